"""A web server on this machine that answers as a test's handler does, and ports for servers of other programs."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """A handler that logs nothing and keeps a connection open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def posted(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def answer(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Discard the message."""


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port for a server that sets SO_REUSEADDR, as asyncio and tokio do; the system gives it to no one else."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def replying(reply: Callable[[Any], object]) -> AbstractContextManager[str]:
    """Serve JSON: the reply to each posted request is `reply` of the decoded request."""

    class Replying(Handler):
        def do_POST(self) -> None:
            self.answer(json.dumps(reply(json.loads(self.posted()))).encode())

    return serving(Replying)


@contextmanager
def serving(handler: type[Handler]) -> Iterator[str]:
    """The URL of a server on a free port, until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
