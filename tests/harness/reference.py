"""The reference implementation as a program: tests/oracle, built once per version of its sources (`make oracle`).

The program is kept in the cache folder under a digest of the lock file, the toolchain and the sources, so all copies of
this repository share it. If it is missing, cargo builds it, which takes some minutes. `Reference` is a process in its
timing mode, queried for one variant at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from time import time
from types import TracebackType
from typing import Final

from hypervisor.installation import user_folder
from tests.harness.paths import PROJECT

FOLDER: Final = PROJECT / "tests" / "oracle"
TARGET: Final = PROJECT / "build" / "oracle"
"""Cargo's intermediate files, which can be deleted."""
_SOURCES: Final = ("Cargo.*", "rust-toolchain.toml", "src/**/*.rs", "contracts/*.hex")
_DIGEST_LENGTH: Final = 16
_KEPT_DAYS: Final = 30
"""Age in days up to which programs of other versions are kept: other copies of the repository may use them."""


class NoReference(Exception):
    """Raised if the reference cannot be run here; the message names what is missing."""


def cached_program() -> Path:
    """Return the path of the built program for the current sources; the file may not exist."""
    digest = hashlib.sha256(f"{sys.platform} {platform.machine()}".encode())
    for file in sorted(file for pattern in _SOURCES for file in FOLDER.glob(pattern)):
        data = file.read_bytes()
        digest.update(f"\n{file.relative_to(FOLDER).as_posix()} {len(data)}\n".encode() + data)
    return user_folder("cache") / "oracle" / f"oracle-{digest.hexdigest()[:_DIGEST_LENGTH]}"


def reference_program() -> Path:
    """Return the program, built if needed. Raises NoReference if it cannot be built."""
    program = cached_program()
    if not program.is_file():
        _build(program)
    return program


def _build(program: Path) -> None:
    """Build the program, and delete those of other versions that are older than `_KEPT_DAYS`."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise NoReference(f"cargo was not found: install the toolchain in {FOLDER / 'rust-toolchain.toml'}")
    print("building ref-fvm's oracle, once; this takes some minutes", file=sys.stderr, flush=True)
    command = [cargo, "build", "--release", "--locked", "--target-dir", str(TARGET)]
    if subprocess.run(command, cwd=FOLDER, check=False).returncode:
        raise NoReference("tests/oracle cannot be built: cargo's errors are above")
    program.parent.mkdir(parents=True, exist_ok=True)
    others = set(program.parent.glob("oracle-*"))
    temporary = program.with_name(f"new-{os.getpid()}")
    shutil.copy2(TARGET / "release" / "oracle", temporary)
    temporary.replace(program)
    for other in others:
        if time() - other.stat().st_mtime > _KEPT_DAYS * 86_400:
            other.unlink(missing_ok=True)


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


def main() -> int:
    """Build the program if needed, and print its path and size."""
    try:
        program = reference_program()
    except NoReference as missing:
        print(f"NOT RUN: {missing}")
        return 2
    print(f"{program} ({program.stat().st_size / 1e6:.0f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
