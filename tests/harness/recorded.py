"""Recorded runs: the format of the files in bench/records, how a long run writes its own, and `make records`.

A long run (kills, fuzzing, differential cases) is a program `python -m MODULE --count N --seed S ...` that ends with
`finish`: it prints its record, or writes it to `--record FILE`. `python -m tests.harness.recorded [NAME...]` repeats
one per cent of every record with its seed on the current code, and exits with code 1 unless the results agree: the
same share of inputs at each stage, and no finding. Speed is not compared here: bench/targets.toml does that.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from tests.harness.paths import PROJECT

RECORDS = (PROJECT / "bench" / "records", PROJECT / "integrations" / "labs" / "records")
"""Folders of the records."""
MIN_INPUTS = 10
"""Minimum number of inputs of a replay, which is otherwise one per cent of a run (and never more than the run)."""
TOLERANCE = 0.1
"""Maximum difference between a stage's share of the inputs and the recorded share, besides the error of a sample."""
MAX_AGE = 200
"""Maximum number of commits since the one that a record was made with."""
NIGHTLY = PROJECT / ".ci" / "nightly.tsv"
"""Results of the steps of `.ci/nightly`."""
MAX_NIGHTLY_AGE = 100
"""Maximum number of commits since that run."""
NOT_RUN = "NOT RUN: "
"""Prefix of a run's output if it cannot run here: no Rust, no official bundles."""
MIN_EXECUTED = 1 / 3
"""Minimum share of inputs that must reach the last stage; otherwise mostly rejections are tested."""


class RecordError(ValueError):
    """Raised for a file that is not a record."""


class NotRun(Exception):
    """Raised if this machine lacks something that a run needs; the message names it."""


@dataclass(slots=True)
class Slice:
    """A part of a run that was done in slices (tests/harness/slices.py)."""

    seed: int
    count: int
    commit: str
    machine: str
    duration_seconds: float


@dataclass(slots=True)
class RunRecord:
    """The result of a run.

    `stages` holds how many of the `count` inputs reached each stage, in order. `details` is additional information that
    a replay ignores. `commit` is that of the last slice, if the run was done in slices; `command` is that of the first.
    `date` is in UTC. The author of a run writes `planted_defect` by hand: the defects in a copy of the code that the
    run found, with the number of findings by place.
    """

    seed: int
    count: int
    stages: dict[str, int]
    findings: list[str]
    details: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    commit: str = ""
    date: str = ""
    duration_seconds: float = 0.0
    slices: list[Slice] = field(default_factory=list)
    planted_defect: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> RunRecord:
        """Read a record. Raises RecordError."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RecordError(f"{file.name} is not valid JSON: {error}") from None
        names = {one.name for one in fields(cls)} - {"slices"}
        if not isinstance(content, dict) or content.keys() - {"slices"} != names:
            raise RecordError(f"{file.name} does not have the fields {', '.join(sorted(names))}")
        return cls(**content | {"slices": [Slice(**one) for one in content.get("slices", ())]})

    def text(self) -> str:
        """Return the record as JSON, the facts about the run first."""
        content = asdict(self)
        first = (
            "command",
            "commit",
            "date",
            "seed",
            "duration_seconds",
            "count",
            "stages",
            "findings",
            "planted_defect",
        )
        last = ("details", *(("slices",) if self.slices else ()))
        return json.dumps({name: content[name] for name in (*first, *last)}, indent=2) + "\n"

    def write(self, file: Path) -> None:
        """Write the record to a file, whole or not at all."""
        temporary = file.with_suffix(".new")
        temporary.write_text(self.text(), encoding="utf-8")
        temporary.replace(file)

    def share(self, stage: str) -> float:
        """Return the share of the inputs that passed a stage; 0 without inputs."""
        return self.stages[stage] / self.count if self.count else 0.0

    def problems(self) -> list[str]:
        """Return why the run does not prove what it should; empty if it does."""
        last = [*self.stages][-1:]
        return [
            *self.findings,
            *("no input reached any stage" for _ in range(not last)),
            *(
                f"only {self.stages[stage]} of {self.count} inputs: {stage}"
                for stage in last
                if self.share(stage) + sampling_error(MIN_EXECUTED, self.count) < MIN_EXECUTED or not self.stages[stage]
            ),
        ]


@dataclass
class Tally:
    """Sums over the inputs of a run: stages, findings, other `counts`. A subclass adds counters, numbers and lists."""

    count: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Self) -> None:
        """Add another tally's sums."""
        for each in fields(self):
            total = getattr(self, each.name)
            total += getattr(other, each.name)
            setattr(self, each.name, total)


def positive(text: str) -> int:
    """Return a command line's number of inputs. Raises ArgumentTypeError below 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text:.40}' is not a number of inputs: expected a whole number, 1 or more")
    return int(text)


def options(description: str | None, count: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every recorded run; `count` is the default number of inputs."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n\n")[0])
    parser.add_argument("--count", type=positive, default=count, help=f"inputs; default: {count}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the record to a file, not to stdout")
    return parser


def finish(record: RunRecord, chosen: argparse.Namespace, started: float) -> int:
    """Complete and write the record (`started` is from time.monotonic); return the exit code."""
    record.command = shlex.join(["python", "-m", _module(), *_without_record(sys.argv[1:], record)])
    record.commit = commit_of_code()
    record.date = time.strftime("%Y-%m-%d", time.gmtime())
    record.duration_seconds = round(time.monotonic() - started, 1)
    if chosen.record is None:
        sys.stdout.write(record.text())
    else:
        record.write(chosen.record)
    problems = record.problems()
    for problem in problems:
        print(f"FOUND: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _module() -> str:
    specification = sys.modules["__main__"].__spec__
    if specification is None:
        raise RecordError("a recorded run is started as `python -m MODULE`, so that it can be started again")
    return specification.name.removesuffix(".__main__")


def _without_record(arguments: list[str], record: RunRecord) -> list[str]:
    """Return the arguments that define the run, count and seed first, including defaults."""
    parser = argparse.ArgumentParser(add_help=False)
    for name in ("--count", "--seed", "--record", "--beside"):
        parser.add_argument(name)
    _, others = parser.parse_known_args(arguments)
    return ["--count", str(record.count), "--seed", str(record.seed), *others]


def commit_of_code() -> str:
    """Return the commit of the code, with a suffix if tracked files other than records differ from it."""
    git = ["git", "-C", str(PROJECT)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ":!*/records/*.json"], check=False).returncode
    return f"{commit} and changes" if changed else commit


# --- replay -----------------------------------------------------------------------------------------------------------


def replay(name: str) -> Iterator[str]:
    """Repeat one per cent of a record; yield the differences as sentences. Raises NotRun."""
    try:
        old = RunRecord.read(record_files()[name])
    except RecordError as error:
        yield str(error)
        return
    with TemporaryDirectory(prefix="record-") as folder:
        file = Path(folder, "record.json")
        try:
            command = replay_command(old, file)
        except RecordError as error:
            yield str(error)
            return
        process = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
        if process.stdout.startswith(NOT_RUN):
            raise NotRun(process.stdout.removeprefix(NOT_RUN).strip())
        if not file.exists():
            yield f"`{old.command}` no longer runs: exit code {process.returncode}, no record"
            return
        new = RunRecord.read(file)
    yield from old.problems()
    yield from new.problems()
    yield from differences(old, new)


def replay_command(old: RunRecord, file: Path) -> list[str]:
    """Return the command of a record, shortened; with this interpreter."""
    first = old.slices[0].count if old.slices else old.count
    return command_of(old, file, count=min(first, max(MIN_INPUTS, first // 100)), seed=old.seed)


def command_of(record: RunRecord, file: Path, *, count: int, seed: int) -> list[str]:
    """Return a record's command with another number of inputs and another seed. Raises RecordError."""
    python, *arguments = shlex.split(record.command)
    for option, value in (("--count", count), ("--seed", seed)):
        if python != "python" or option not in arguments:
            raise RecordError(f"no command with {option}: {record.command}")
        arguments[arguments.index(option) + 1] = str(value)
    return [sys.executable, *arguments, "--record", str(file)]


def sampling_error(share: float, count: int) -> float:
    """Return twice the standard deviation of the share of `count` inputs, if it is `share` of all."""
    return 2 * sqrt(share * (1 - share) / count) if count else 0.0


def commits_since(commit: str) -> int | None:
    """Return how many commits are newer than a record's, or None if this repository does not have it."""
    git = ["git", "-C", str(PROJECT), "rev-list", "--count", "--first-parent", f"{commit}..HEAD"]
    counted = subprocess.run(git, capture_output=True, text=True, check=False)
    return int(counted.stdout) if counted.returncode == 0 else None


def age_problems(record: RunRecord) -> Iterator[str]:
    """Yield why a record is too old to count as evidence for the current code."""
    newer = commits_since(record.commit)
    if newer is None:
        yield f"this repository has no commit {record.commit}: add a slice with `make slices`"
    elif newer > MAX_AGE:
        yield f"{newer} commits are newer, the limit is {MAX_AGE}: add a slice with `make slices`"


def nightly_problems() -> Iterator[str]:
    """Yield why steps of `.ci/nightly` do not count for the current code: no record, no success, their age."""
    try:
        lines = NIGHTLY.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        yield "no record: run .ci/nightly and commit .ci/nightly.tsv"
        return
    for commit, title, result in (line.split("\t") for line in lines):
        newer = commits_since(commit)
        if not result.startswith("passed"):
            yield f"{title}: {result}"
        elif newer is None:
            yield f"{title}: this repository has no commit {commit}: run .ci/nightly"
        elif newer > MAX_NIGHTLY_AGE:
            yield f"{title}: {newer} commits are newer, the limit is {MAX_NIGHTLY_AGE}: run .ci/nightly"


def record_files() -> dict[str, Path]:
    """Return the files of all records, by name."""
    return {file.stem: file for folder in RECORDS for file in sorted(folder.glob("*.json"))}


def differences(old: RunRecord, new: RunRecord) -> Iterator[str]:
    """Yield stages with another share of inputs than before."""
    if [*old.stages] != [*new.stages]:
        yield f"the stages were {', '.join(old.stages)}, they are {', '.join(new.stages)}"
        return
    for stage in old.stages:
        before, now = old.share(stage), new.share(stage)
        if abs(before - now) > TOLERANCE + sampling_error(before, new.count):
            yield f"{stage}: {now:.0%} of the inputs, {before:.0%} on record"


def main() -> int:
    """Return the exit code of `make records`."""
    names = [*record_files()]
    parser = argparse.ArgumentParser(prog="make records", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; default: all")
    named = parser.parse_args().names
    chosen = named or names
    if unknown := set(chosen) - set(names):
        parser.error(f"no record {', '.join(sorted(unknown))}: expected some of {', '.join(names)}")
    failed = 0
    for problem in () if named else nightly_problems():
        failed += ": not run: " not in problem
        print(f"nightly: {problem}")
    for name in chosen:
        start = time.monotonic()
        try:
            problems = [*replay(name), *age_problems(RunRecord.read(record_files()[name]))]
        except NotRun as lack:
            print(f"{name}: {NOT_RUN}{lack}", flush=True)
            continue
        failed += bool(problems)
        print(f"{name}: {'DIFFERENT' if problems else 'the same'} in {time.monotonic() - start:.0f} s", flush=True)
        for problem in problems:
            print(f"  {problem}")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    os.nice(10)  # gives precedence to interactive programs
    sys.exit(main())
