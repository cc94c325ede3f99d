"""Looking at a site on this machine."""

from pathlib import Path

import pytest

from atlas.errors import InputError
from atlas.gallery.serve import Handler, Server, serve


def said_of(error: Exception, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the server's output when a request ends in an error."""
    with Server(("127.0.0.1", 0), Handler) as server:
        try:
            raise error
        except type(error):
            server.handle_error(None, ("127.0.0.1", 1))
    return capsys.readouterr().err


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError()])
def test_a_browser_that_hangs_up_is_no_news(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said_of(error, capsys) == ""


def test_any_other_error_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ValueError: broken" in said_of(ValueError("broken"), capsys)


def test_a_folder_without_a_site_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no site"):
        serve(tmp_path)


def test_the_folder_of_the_parts_of_a_site_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Server) -> None:
        raise KeyboardInterrupt

    (tmp_path / "atlas-1").mkdir()
    (tmp_path / "atlas-1" / "atlas.json").write_text("{}")
    monkeypatch.setattr(Server, "serve_forever", stop)
    assert serve(tmp_path) == 0
