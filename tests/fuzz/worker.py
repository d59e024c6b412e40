"""A worker process for one target, with limits: `python -m tests.fuzz.worker NAME --count N --seed S --out FILE`.

The process is libFuzzer's (atheris), which chooses inputs by the branches of our packages that they reach. It stops
after a number of inputs or seconds of processor time, or with `--saturate` when the target is saturated according to
libFuzzer's output in the file `LOG`, and writes its result. On a crash, a hang or excessive memory use libFuzzer writes
the input to the folder of FILE, where `__main__` finds it.
"""

import argparse
import json
import logging
import os
import resource
import sys
import traceback
from pathlib import Path
from random import Random
from time import process_time
from typing import NoReturn

import atheris

RESIDENT_LIMIT = 1536
"""Maximum memory at the end in MiB, which bounds the sum of the leaks of all inputs."""
LONGEST = 60
"""Maximum time of one input in seconds, on a busy machine."""
FORMED = 0.6
"""Probability of a mutation by the target, which keeps the input decodable; otherwise libFuzzer mutates the bytes."""
OURS = ["store", "hypervisor", "runtimes", "bridge", "localnet", "hypervisor_labs"]

with atheris.instrument_imports(include=OURS):  # the packages' modules are imported here, and with the target
    from tests.fuzz.__main__ import LEAST, read_coverage
    from tests.fuzz.target import Target, load, stored_inputs


class Worker:
    """Runner of inputs that ends the process at its limits."""

    def __init__(self, name: str, target: Target, options: argparse.Namespace) -> None:
        self._name = name
        self._target = target
        self._count: int | None = options.count
        self._until = None if options.seconds is None else process_time() + options.seconds
        self._log: Path | None = options.saturate
        self._next_look = LEAST
        self._out: Path = options.out
        self._seeds = [*target.seeds(), *stored_inputs(name)]
        self._done = self._passed = 0

    def one(self, data: bytes) -> None:
        self._done += 1
        try:
            self._passed += self._target.run(data)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is a finding
            self._end([self._finding(data, error)])
        if self._done == self._count or (self._until is not None and process_time() > self._until):
            self._end([])
        if self._done >= self._next_look and self._is_saturated():
            self._end([])

    def mutate(self, data: bytes, most: int, seed: int) -> bytes:
        """Return a mutation of an input for libFuzzer."""
        rng = Random(seed)
        if rng.random() < FORMED:
            changed = self._target.mutate(data, rng)
            if len(changed) <= most:
                return changed
            data = rng.choice(self._seeds)[:most]
            changed = self._target.mutate(data, rng)
            return changed if len(changed) <= most else data
        return bytes(atheris.Mutate(data, most))

    def start(self, folder: Path, seed: int) -> None:
        """Run until the end of the process; interesting inputs are written to a folder."""
        for number, data in enumerate(self._seeds):
            (folder / f"seed-{number:04}").write_bytes(data)
        arguments = [
            f"-seed={seed}",
            f"-max_len={self._target.longest}",
            f"-timeout={LONGEST}",
            f"-rss_limit_mb={RESIDENT_LIMIT}",
            f"-artifact_prefix={self._out.parent}/{self._name}-",
            "-verbosity=1",
            "-print_final_stats=0",
            "-len_control=0",
            "-reload=0",
            str(folder),
        ]
        self._target.run(self._seeds[0])  # what is made once (machines, compiled modules) is not an input's time
        atheris.Setup([sys.argv[0], *arguments], self.one, custom_mutator=self.mutate)
        atheris.Fuzz()

    def _is_saturated(self) -> bool:
        """Read the log; the next time is when the target can be saturated, if there is no new edge until then."""
        if self._log is None:
            self._next_look = sys.maxsize
            return False
        coverage = read_coverage(self._log.read_text(encoding="utf-8", errors="replace"))
        self._next_look = max(self._done + LEAST, 10 * coverage.last_new)
        return coverage.is_saturated(self._done)

    def _finding(self, data: bytes, error: BaseException) -> str:
        file = self._out.parent / f"{self._name}-found"
        file.write_bytes(data)
        traceback.print_exception(error)
        return f"{self._name}, input {self._done} ({file}): {type(error).__name__}: {error}"

    def _end(self, findings: list[str]) -> NoReturn:
        self._out.write_text(json.dumps({"count": self._done, "passed": self._passed, "findings": findings}))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # libFuzzer never returns


def main() -> None:
    """Run the worker; never returns."""
    options = argparse.ArgumentParser(prog="tests.fuzz.worker", description=(__doc__ or "").split("\n\n")[0])
    options.add_argument("name")
    options.add_argument("--count", type=int)
    options.add_argument("--seconds", type=float, help="of processor time")
    options.add_argument("--saturate", type=Path, metavar="LOG", help="end when the target is saturated")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, required=True, help="where the outcome is written, beside what was found")
    options.add_argument("--corpus", type=Path, required=True, help="an empty folder")
    chosen = options.parse_args()
    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=OURS):
        target = load(chosen.name)
    resource.setrlimit(resource.RLIMIT_DATA, (target.memory, target.memory))
    Worker(chosen.name, target, chosen).start(chosen.corpus, chosen.seed)


if __name__ == "__main__":
    main()
