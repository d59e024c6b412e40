"""The adapter's two doors: standard input and output, for an editor that starts it, and a port of this machine."""

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
    # Without a buffer: its lock would be held by the thread that reads when the program ends.
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
                    connection.shutdown(socket.SHUT_RDWR)  # so that the thread that reads ends, too
            except KeyboardInterrupt:
                return
            except OSError:
                continue  # an editor that is gone: the next one comes
            except Exception:  # noqa: BLE001  # a defect ends this conversation; the next editor is served
                traceback.print_exc()
