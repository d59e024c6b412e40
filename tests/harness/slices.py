"""Recorded runs continued in slices: `make slices ARGS="crash kill-node --for 20m"`.

Each slice repeats the command of a record under records/ with the next seed, and adds its figures to the record. So a
run of many hours is done in pieces, on any machine, and the record alone says how far it is. A slice with a finding
stops the run: it is not added, its own record is written below build/slices, and the next start repeats its seed.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from time import monotonic

from tests.harness.paths import PROJECT
from tests.harness.recorded import NOT_RUN, RecordError, RunRecord, Slice, command_of, commit_of_code, record_files

FAILED = PROJECT / "build" / "slices"
"""Folder of the records of slices with findings."""
SLICE_SECONDS = 120
"""Duration of a slice whose number of inputs is not given."""
_UNITS = {"s": 1, "m": 60, "h": 3600}


def duration(text: str) -> int:
    """Return the seconds of a duration such as `90s`, `20m` or `2h`."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smh])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write a number and s, m or h, such as 20m")
    return int(found[1]) * _UNITS[found[2]]


def with_slices(record: RunRecord) -> RunRecord:
    """Return the record with slices; a run at once becomes the first slice."""
    if record.slices:
        return record
    first = Slice(record.seed, record.count, record.commit, "", record.duration_seconds)
    return replace(record, slices=[first])


def default_count(record: RunRecord) -> int:
    """Return the number of inputs of the next slice: the last one's, or initially about two minutes' worth."""
    if len(record.slices) > 1:
        return record.slices[-1].count
    return max(1, min(record.count, int(record.count * SLICE_SECONDS / max(record.duration_seconds, 1))))


def add_slice(total: RunRecord, part: RunRecord) -> RunRecord:
    """Return the record with another slice. Counts add up; the details are those of the last slice.

    Raises RecordError if the slice has other stages.
    """
    if [*total.stages] != [*part.stages]:
        raise RecordError(f"the stages are {', '.join(part.stages)}; on record are {', '.join(total.stages)}")
    new = Slice(part.seed, part.count, part.commit, machine(), part.duration_seconds)
    return replace(
        total,
        count=total.count + part.count,
        stages={name: total.stages[name] + part.stages[name] for name in total.stages},
        details=part.details,
        commit=part.commit,
        date=part.date,
        duration_seconds=round(total.duration_seconds + part.duration_seconds, 1),
        slices=[*total.slices, new],
    )


def machine() -> str:
    """Return the processor's architecture, the number of cores, and Python's version."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def next_slice(name: str, count: int | None) -> float | None:
    """Run the next slice of a record and add it. Return its seconds, or None if this machine cannot run it.

    Raises RecordError for a slice with a finding, or one that ended without a record.
    """
    stored = record_files()[name]
    total = with_slices(RunRecord.read(stored))
    seed = max(one.seed for one in total.slices) + 1
    FAILED.mkdir(parents=True, exist_ok=True)
    file = FAILED / f"{name}-{seed}.json"
    file.unlink(missing_ok=True)
    command = command_of(total, file, count=count or default_count(total), seed=seed)
    start = monotonic()
    process = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
    if process.stdout.startswith(NOT_RUN):
        print(f"{name}: {process.stdout.strip()}")
        return None
    shown = shlex.join(["python", *command[1:]])
    if not file.exists():
        raise RecordError(f"exit code {process.returncode} and no record; to repeat it:\n  {shown}")
    part = RunRecord.read(file)
    if problems := part.problems():
        raise RecordError("\n  ".join([f"seed {seed}, see {file}:", *problems, f"to repeat it: {shown}"]))
    add_slice(total, part).write(stored)
    file.unlink()
    print(f"{name}: seed {seed}, {part.count} inputs in {monotonic() - start:.0f} s", flush=True)
    return monotonic() - start


def run(names: Iterable[str], seconds: int | None, count: int | None) -> int:
    """Run slices of each record in turn until the time has passed, or one of each; return the exit code.

    A slice that would end after the limit, judged by the last one of its record, is not started.
    """
    end = monotonic() + (seconds or 0)
    due = dict.fromkeys(names, 0.0)
    while due:
        for name, took in [*due.items()]:
            if took and monotonic() + took > end:
                del due[name]
                continue
            try:
                passed = next_slice(name, count)
            except RecordError as error:
                print(f"FOUND: {name}: {error}", file=sys.stderr)
                return 1
            if passed is None:
                del due[name]
            else:
                due[name] = passed
    return 0


def main() -> int:
    """Run `make slices`, and return its exit code."""
    names = [*record_files()]
    parser = argparse.ArgumentParser(prog="make slices", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="+", metavar="NAME", choices=names, help=f"of {', '.join(names)}")
    parser.add_argument("--for", dest="seconds", type=duration, metavar="TIME", help="default: one slice of each")
    parser.add_argument("--count", type=int, metavar="N", help="inputs of a slice; default: those of the last one")
    chosen = parser.parse_args()
    if " " in (commit := commit_of_code()):
        parser.error(f"commit the changes first: a slice names the commit of its code, which is now {commit}")
    return run(chosen.names, chosen.seconds, chosen.count)


if __name__ == "__main__":
    os.nice(10)  # gives precedence to interactive programs
    sys.exit(main())
