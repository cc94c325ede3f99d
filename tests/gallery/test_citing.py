"""BibTeX, Markdown, the frame, and the small page that it shows."""

from dataclasses import replace
from pathlib import Path

import pytest

from atlas.gallery.citing import Citation, tex
from tests.gallery.test_write import Parsed, build, small
from tests.synthetic import judged

URL = "https://me.example/atlas"
CITATION = Citation(
    name="a_b:7 of 100 % [net]",
    folder="net/a_b/",
    channel=7,
    image="img/7.jpg",
    key="atlas-net-a-b-7",
    version="0.1.0",
    year="2026",
    note="weights SHA-256 5a; seed 0",
)


def test_bibtex_has_an_address_only_where_one_is_public() -> None:
    assert CITATION.bibtex(URL) == (
        "@misc{atlas-net-a-b-7,\n"
        "  author = {{The CNN atlas maintainers}},\n"
        "  title = {{Unit a\\_b:7 of 100 \\% [net]}},\n"
        "  howpublished = {CNN atlas 0.1.0},\n"
        "  year = {2026},\n"
        "  note = {weights SHA-256 5a; seed 0},\n"
        "  url = {https://me.example/atlas/net/a_b/7.html}\n"
        "}"
    )
    assert "url" not in CITATION.bibtex("")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a_b", r"a\_b"),
        ("50 % & #1 $", r"50 \% \& \#1 \$"),
        ("{x}", r"\{x\}"),
        (r"\~^", r"\textbackslash{}\textasciitilde{}\textasciicircum{}"),
        ("Größe", "Größe"),
    ],
)
def test_signs_of_tex_are_printed(text: str, printed: str) -> None:
    assert tex(text) == printed


def test_markdown_is_the_picture_as_a_link() -> None:
    said = r"a\_b:7 of 100 % \[net\]"
    home = f"{URL}/net/a_b/"
    assert CITATION.markdown(URL) == f"[![{said}]({home}img/7.jpg)]({home}7.html)"
    assert replace(CITATION, image="").markdown(URL) == f"[{said}]({home}7.html)"
    assert CITATION.markdown("") == CITATION.markdown("https://…")


def test_the_frame_cannot_be_left_by_a_name() -> None:
    markup = replace(CITATION, name='"><script>').frame(URL)
    (frame,) = Parsed(markup).tags
    assert frame[0] == "iframe"
    assert frame[1]["title"] == '"><script>'
    assert frame[1]["src"] == f"{URL}/net/a_b/7.embed.html"


def test_the_small_page_has_one_picture_its_patch_one_line_and_a_way_back(tmp_path: Path) -> None:
    atlas = judged(small(plain=True))
    layer = atlas.layers[0]
    channel = layer.chosen[0]
    build(tmp_path, atlas, {f"synthetic/conv_stem:{channel}": "<b>eyes</b>"})
    data = (tmp_path / f"synthetic/conv_stem/{channel}.embed.html").read_bytes()
    page = Parsed(data.decode())
    assert len(data) < 1500
    assert [image["src"] for image in page.all("img")] == [
        f"img/{channel}.jpg",
        f"img/{channel}.p1.jpg",
    ]
    (link,) = page.all("a")
    assert (link["href"], link["target"]) == (f"{channel}.html", "_top")
    assert "<b>eyes</b>" in page.text
    assert "picks this unit as" in page.text
    assert page.all("script") == []


def test_every_unit_has_a_small_page_whatever_its_state(tmp_path: Path) -> None:
    atlas = small(units=12)
    build(tmp_path, atlas)
    for layer in atlas.layers:
        for channel in layer.chosen:
            path = tmp_path / f"synthetic/{layer.info.name}/{channel}.embed.html"
            assert path.stat().st_size < 1500
            made = any(one.unit.channel == channel for one in layer.renderings)
            assert made or "There is no picture of this unit." in path.read_text()


def test_the_page_of_a_unit_cites_its_weights_its_recipe_and_the_version(tmp_path: Path) -> None:
    atlas = small(plain=True)
    channel = atlas.layers[0].chosen[0]
    build(tmp_path, atlas, url=URL)
    text = Parsed((tmp_path / f"synthetic/conv_stem/{channel}.html").read_text()).text
    assert f"@misc{{atlas-synthetic-conv-stem-{channel}," in text
    assert f"weights SHA-256 {'5a' * 32}; recipe octaves {'01' * 6}; seed {atlas.seed}" in text
    assert f"url = {{{URL}/synthetic/conv_stem/{channel}.html}}" in text
    assert "…" not in text.partition("@misc")[2].partition("The frame shows")[0]
