"""Programs run by tests (`vm.ffi` and the like), with a time limit. All end with their worker.

A worker's signal handler may call `end_programs` at any moment, even during imports, so this module imports only what
a worker has loaded.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from hypervisor_tools.jobs.workers import AT_EXIT

_MAX_SECONDS: Final = 60.0
"""Default time limit of a program, in seconds."""
_RUNNING: Final = set[int]()
"""Process groups of the programs that are running."""
_AT_ONCE: Final = 1 << 16
AT_EXIT.append(lambda: end_programs())


def run_program(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    check: Callable[[int], None],
    seconds: float = _MAX_SECONDS,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program until it exits and its output is closed; kill its process group on failure.

    `check` is called with the number of bytes written so far, and raises if there are too many. Raises what `check`
    raises, OSError, TimeoutExpired.
    """
    with subprocess.Popen(  # the project has allowed its tests to run programs
        list(command), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, process_group=0
    ) as process:
        _RUNNING.add(process.pid)
        try:
            output, errors = _outputs(process, check, seconds)
            return subprocess.CompletedProcess(command, process.wait(seconds), output, errors)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            _RUNNING.discard(process.pid)


def end_programs() -> None:
    """Kill all running programs and their children, for a process that is about to exit."""
    for process in tuple(_RUNNING):
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)


def _outputs(process: subprocess.Popen[bytes], check: Callable[[int], None], seconds: float) -> tuple[bytes, bytes]:
    """Return what a program writes until all writers have closed its output."""
    end = monotonic() + seconds
    assert process.stdout is not None
    assert process.stderr is not None
    written = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as open_pipes:
        for pipe in written:
            open_pipes.register(pipe, selectors.EVENT_READ)
        while open_pipes.get_map():
            ready = open_pipes.select(max(0.0, end - monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(process.args, seconds)
            for key, _ in ready:
                data = os.read(key.fd, _AT_ONCE)
                if not data:
                    open_pipes.unregister(key.fd)
                written[key.fd] += data
            check(sum(map(len, written.values())))
    output, errors = map(bytes, written.values())
    return output, errors
