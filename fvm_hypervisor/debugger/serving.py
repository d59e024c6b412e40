"""Transports of the debug adapter: standard input and output, or a TCP port on the loopback interface."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from contextlib import redirect_stdout
from typing import BinaryIO, cast

from fvm_hypervisor.debugger.adapter import Adapter, OpenSession
from fvm_hypervisor.debugger.protocol import Channel

HOST = "127.0.0.1"


def serve_streams(open_session: OpenSession) -> None:
    """Serve one session on standard input and output; other output of the process goes to standard error."""
    writer = sys.stdout.buffer
    # Unbuffered: at exit, the interpreter would wait for the lock that the reading thread holds on a buffer.
    with open(os.dup(sys.stdin.fileno()), "rb", buffering=0) as reader, redirect_stdout(sys.stderr):
        Adapter(Channel(cast(BinaryIO, reader), writer), open_session).serve()


def serve_port(port: int, open_session: OpenSession) -> None:
    """Serve one session after another until Ctrl-C; port 0 is any free port. Raises OSError if the port is in use."""
    with socket.create_server((HOST, port)) as server:
        print(f"listening for an editor at {HOST}:{server.getsockname()[1]}", flush=True)
        while True:
            try:
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as reader, connection.makefile("wb") as writer:
                    Adapter(Channel(reader, writer), open_session).serve()
                    connection.shutdown(socket.SHUT_RDWR)  # ends the reading thread
            except KeyboardInterrupt:
                return
            except OSError:
                continue  # the client disconnected; accept the next one
            except Exception:  # noqa: BLE001  # a bug ends only this session
                traceback.print_exc()
