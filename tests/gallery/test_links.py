"""Links of pages."""

from pathlib import Path

from atlas.gallery.links import broken_links


def test_a_link_out_of_the_site_is_broken(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<a href="../secret">x</a><a href="#top">y</a>')
    assert broken_links(tmp_path) == ["index.html links to ../secret, which is not there"]
