"""A web server on this machine for looking at a site, under a prefix as GitHub Pages has one."""

import functools
import http.server
import sys
from pathlib import Path
from typing import Any

from ..errors import InputError

PREFIX = "/atlas"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the folder under `PREFIX` and sends `/` there."""

    def do_GET(self) -> None:
        """Answer a request for a file below the prefix."""
        if not self.path.startswith(f"{PREFIX}/"):
            self.send_response(302)
            self.send_header("Location", f"{PREFIX}/")
            self.end_headers()
            return
        self.path = self.path.removeprefix(PREFIX)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal quiet."""


class Server(http.server.ThreadingHTTPServer):
    """A server that says nothing of browsers that hang up before they have got a file."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, but for connections that the other side has closed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def serve(site: Path, port: int = 8000) -> int:
    """Serve `site`, or the folder of several that are its parts, until Ctrl-C.

    Raises:
        InputError: there is no site, or no port from `port` to `port` + 20 is free.
    """
    if not (site / "index.html").exists() and not any(site.glob("*/atlas.json")):
        raise InputError(f"{site} holds no site; make one with `build_atlas.py build`")
    handler = functools.partial(Handler, directory=str(site))
    for candidate in range(port, port + 20):
        try:
            server = Server(("127.0.0.1", candidate), handler)
        except OSError:
            continue
        print(f"http://127.0.0.1:{candidate}{PREFIX}/  (Ctrl-C stops)", file=sys.stderr)
        with server:
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                return 0
    raise InputError(f"ports {port} to {port + 20} are in use")
