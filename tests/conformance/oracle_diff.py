"""Golden vectors made again by the reference: `make oracle-diff`.

Builds tests/oracle (Rust, crate `fvm` 4.8.4), lets it make a sample of the vectors from their sources, spread over the
files, and compares each with the one that is committed, the state before it included. Without Rust or the official
bundles there is nothing to compare: then it says NOT RUN and ends with exit code 2, as it ends with 1 on a difference.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fvm_hypervisor.laboratory.vectors.conformance import find_vectors, read_vectors
from tests.conformance.golden import GOLDEN, MESSAGE_FILES
from tests.conftest import fvm_data

ORACLE = GOLDEN.parent / "oracle"
NOT_RUN = 2

Vectors = dict[str, dict[str, Any]]
"""Vectors by id."""


class CannotRun(Exception):
    """Raised if this machine lacks something that the comparison needs."""


def main() -> int:
    """Compare a sample; the exit code."""
    options = argparse.ArgumentParser(prog="oracle-diff", description=__doc__)
    options.add_argument("--count", type=int, default=20, help="how many vectors (default 20)")
    options.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    chosen = options.parse_args()
    wanted = sample([by_id(path) for path in MESSAGE_FILES], chosen.count, chosen.seed)
    try:
        made = make_again(wanted)
    except CannotRun as lack:
        print(f"NOT RUN: {lack}")
        return NOT_RUN
    different = 0
    for name, vector in wanted.items():
        words = next(differences(made.get(name, {}), vector), "equal")
        different += words != "equal"
        print(f"{name}: {words}")
    print(f"{len(wanted) - different} of {len(wanted)} golden vectors made again are equal")
    return 1 if different else 0


def by_id(path: Path) -> Vectors:
    """The vectors of a file."""
    return {vector["_meta"]["id"]: vector for vector in read_vectors(path)}


def sample(files: list[Vectors], count: int, seed: int) -> Vectors:
    """`count` vectors, from the files in turn."""
    chance = random.Random(seed)
    shuffled = [chance.sample(sorted(vectors), len(vectors)) for vectors in files]
    chance.shuffle(shuffled)
    turns = [name for turn in range(max(map(len, shuffled))) for names in shuffled for name in names[turn : turn + 1]]
    everything = {name: vector for vectors in files for name, vector in vectors.items()}
    return {name: everything[name] for name in turns[:count]}


def make_again(names: Iterable[str]) -> Vectors:
    """The vectors of these ids, and maybe more, as the oracle makes them now. Raises CannotRun."""
    with TemporaryDirectory(prefix="oracle-") as folder:
        oracle("generate", "--out", folder, "--only", ",".join(names))
        return {name: vector for path in find_vectors([Path(folder)]) for name, vector in by_id(path).items()}


def oracle(command: str, *arguments: str) -> str:
    """Return the output of a command of tests/oracle, building it if needed. Raises CannotRun."""
    done = subprocess.run(
        [*command_of(command), *arguments], cwd=ORACLE, check=False, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise CannotRun(f"tests/oracle could not be built or ended with {done.returncode}; its words stand above")
    return done.stdout


def command_of(command: str) -> list[str]:
    """Return the command line of tests/oracle in its folder, with the official bundles. Raises CannotRun."""
    data = fvm_data()
    if data is None or not (data / "bundles").is_dir():
        raise CannotRun("the official bundles are missing (FVM_DATA)")
    if shutil.which("cargo") is None:
        raise CannotRun(f"there is no Rust here: install the toolchain that {ORACLE / 'rust-toolchain.toml'} names")
    cargo = ["cargo", "run", "--release", "--locked", "--quiet", "--"]
    return [*cargo, command, "--bundles", str(data / "bundles")]


def differences(made: Any, committed: Any, place: str = "vector") -> Iterator[str]:
    """Every place where two JSON values differ, in words."""
    if isinstance(made, dict) and isinstance(committed, dict):
        for key in sorted({*made, *committed}):
            yield from differences(made.get(key), committed.get(key), f"{place}.{key}")
    elif isinstance(made, list) and isinstance(committed, list) and len(made) == len(committed):
        for index, pair in enumerate(zip(made, committed, strict=True)):
            yield from differences(*pair, f"{place}[{index}]")
    elif made != committed:
        yield f"{place} is {str(made)[:200]}, committed is {str(committed)[:200]}"


if __name__ == "__main__":
    sys.exit(main())
