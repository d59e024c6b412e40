"""A local web server for one file, with configurable misbehaviour."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests import web_server
from tests.web_server import Handler


@dataclass
class Site:
    """The file served under /file; `asked` lists the ranges that clients requested, "" for none."""

    content: bytes = b""
    ranges: bool = True
    cut_after: int | None = None
    """Number of bytes of a body after which the connection is closed."""
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve the site on a free port until the block ends."""

    class Misbehaving(Handler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            match self.path:
                case "/file":
                    _file(self, site)
                case "/moved":
                    self.send_response(302)
                    self.send_header("Location", "/file")
                    self.end_headers()
                case "/loop" | "/local":
                    self.send_response(302)
                    self.send_header("Location", "/loop" if self.path == "/loop" else "file:///etc/passwd")
                    self.end_headers()
                case "/endless":
                    self.send_response(200)
                    self.end_headers()
                    _endless(self)
                case "/other-range":
                    self.send_response(206)
                    self.send_header("Content-Range", "bytes 3-5/6")
                    self.end_headers()
                case _:
                    self.send_error(404, "Not here")

    with web_server.serving(Misbehaving) as url:
        site.url = url
        yield site


def _file(handler: Handler, site: Site) -> None:
    asked = handler.headers.get("Range", "")
    site.asked.append(asked)
    found = re.fullmatch(r"bytes=(\d+)-", asked) if site.ranges else None
    start, size = int(found[1]) if found else 0, len(site.content)
    if start >= size and found:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{size}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    handler.send_response(206 if found else 200)
    if found:
        handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
    handler.send_header("Content-Length", str(size - start))
    handler.end_headers()
    end = size if site.cut_after is None else start + site.cut_after
    handler.wfile.write(site.content[start:end])


def _endless(handler: Handler) -> None:
    try:
        while True:
            handler.wfile.write(bytes(1 << 16))
    except OSError:  # the client has had enough
        return
