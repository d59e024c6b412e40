"""A node process started by its command line, with a free port and a ready file."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def node_process(folder: Path, *options: str) -> Iterator[str]:
    """Yield the URL of a `hypervisor node` that runs until the context ends. Its log is `node.log` in the folder.

    Raises RuntimeError if it ends, or is not ready after two minutes.
    """
    ready = folder / "node.url"
    ready.unlink(missing_ok=True)
    command = [Path(sys.executable).with_name("hypervisor"), "node", "--port", "0", "--ready-file", ready, *options]
    with (folder / "node.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(list(map(str, command)), cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield _url(process, ready, folder / "node.log")
        finally:
            process.terminate()
            process.wait(timeout=60)


def _url(process: subprocess.Popen[bytes], ready: Path, log: Path) -> str:
    deadline = time.monotonic() + 120
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the node did not start:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.05)
    return ready.read_text(encoding="utf-8").strip()
