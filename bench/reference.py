"""The reference implementation as a peer: tests/oracle in its timing mode, queried for one variant at a time.

It is a Rust program. A built one (`cargo build --release` in tests/oracle) is used; otherwise it is built with cargo,
if available, which takes some minutes; otherwise rows that need it are not run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType

from bench.data import PROJECT

FOLDER = PROJECT / "tests" / "oracle"
PROGRAM = FOLDER / "target" / "release" / "oracle"


class NoReference(Exception):
    """Raised if the reference cannot be run here; the message names what is missing."""


def reference_program() -> Path:
    """Return the built oracle. Raises NoReference if it cannot be built."""
    if PROGRAM.is_file():
        return PROGRAM
    cargo = shutil.which("cargo")
    if cargo is None:
        raise NoReference("no ref-fvm: neither tests/oracle is built nor is cargo there to build it")
    command = [cargo, "build", "--release", "--locked"]
    built = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    if built.returncode:
        raise NoReference(f"no ref-fvm: tests/oracle cannot be built: {built.stderr.strip().splitlines()[-1]}")
    return PROGRAM


class Reference:
    """A process of the oracle that measures variants on request."""

    def __init__(self, bundles: Path, vectors: Iterable[Path], only: str = "", milliseconds: int = 20) -> None:
        """Read the vectors whose id contains `only`; each variant is measured for this time in milliseconds."""
        command = [str(reference_program()), "time", "--bundles", str(bundles), "--milliseconds", str(milliseconds)]
        command += ["--on-request", *(("--only", only) if only else ()), *map(str, vectors)]
        # a file, because an unread pipe would block the program
        self._words = TemporaryFile("w+")  # noqa: SIM115  # closed by `__exit__`
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words, text=True, bufsize=1
        )

    def microseconds(self, variant: str) -> list[float]:
        """Return each message's best time of a variant (`<vector>:<variant>`). NoReference if the process ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(variant + "\n")
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait()
            self._words.seek(0)
            raise NoReference(f"ref-fvm ended: {self._words.read().strip()[-300:]}")
        return [message["least_us"] for message in json.loads(answer)["messages"]]

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._words.close()
