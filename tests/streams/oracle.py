"""The published crate of the reward actor's state, asked about streams: a Rust program in `oracle/`.

It is built where there is Rust, and says of a block of streams with its accruals whether the invariants hold at an
epoch, and what is owed.
"""

import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "oracle"
_PROGRAM: Final = _FOLDER / "target" / "release" / "streams-oracle"

Question = tuple[int, bytes, bytes]
"""An epoch, the CBOR of the accruals and that of the block of streams."""


@lru_cache(maxsize=1)
def build() -> str | None:
    """Build the program where it must be; why it cannot be asked, None where it can."""
    if shutil.which("cargo") is None:
        return f"there is no Rust here: install the toolchain that {_FOLDER.name}/rust-toolchain.toml names"
    built = subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=_FOLDER, check=False)
    return f"{_FOLDER.name} could not be built" if built.returncode else None


def ask(questions: Sequence[Question]) -> list[str]:
    """An answer for each: `valid` and what is owed in attoFIL, or `broken` and why."""
    lines = "".join(f"{epoch} {accrued.hex()} {streams.hex()}\n" for epoch, accrued, streams in questions)
    done = subprocess.run([_PROGRAM], input=lines, capture_output=True, text=True, check=True)
    results = done.stdout.splitlines()
    assert len(results) == len(questions), "an answer for each question"
    return results
