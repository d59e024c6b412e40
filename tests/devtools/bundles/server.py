"""A web server on this machine with one file, which misbehaves in the way that a test asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Site:
    """What is served under /file; `asked` are the ranges that clients asked for, "" for none."""

    content: bytes = b""
    ranges: bool = True
    cut_after: int | None = None
    """The connection ends after so many bytes of a body."""
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """The site on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
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

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _file(handler: BaseHTTPRequestHandler, site: Site) -> None:
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


def _endless(handler: BaseHTTPRequestHandler) -> None:
    try:
        while True:
            handler.wfile.write(bytes(1 << 16))
    except OSError:  # the client has had enough
        return
