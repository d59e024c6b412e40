"""Random programs of governance, awards and claims at the reward actor of nv29, as a recorded run.

After each message every invariant must hold and no attoFIL may come or go; the published crate of the actor's state
must say the same, where there is Rust to ask it. A finding names its program: `--program SEED` plays one.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from time import monotonic
from typing import Final

from tests.harness.recorded import RunRecord, Tally, finish, options
from tests.streams import programs
from tests.streams.programs import Play, play

STAGES: Final = ("ended", "a stream got something", "a recipient was paid")
MAX_FINDINGS: Final = 20
_BATCH: Final = 20
_APART: Final = 1 << 32
"""Programs of one run have seeds that no other run's have."""


def compare(seed: int, count: int, workers: int, *, ask: bool = True) -> Tally:
    """Run `count` programs, and compare with the oracle if `ask` is True.

    The tally's `counts` are messages by method and exit code, its `count` the states that the oracle was asked about.
    """
    batches = [
        (range(seed * _APART + first, seed * _APART + min(count, first + _BATCH)), ask)
        for first in range(0, count, _BATCH)
    ]
    tally = Tally()
    with ProcessPoolExecutor(workers) as pool:
        for part in pool.map(_batch, batches):
            tally.merge(part)
    return tally


def _batch(task: tuple[range, bool]) -> Tally:
    seeds, ask = task
    tally = Tally()
    plays = [play(seed) for seed in seeds]
    for played in plays:
        tally.counts.update(played.exits)
        tally.stages.update(_stages(played))
        tally.findings += [f"{played.seed}: {words}" for words in played.findings]
    if ask:
        _ask(plays, tally)
    return tally


def _stages(played: Play) -> list[str]:
    passed = (not played.findings, played.accrued, bool(played.paid))
    return [name for place, name in enumerate(STAGES) if all(passed[: place + 1])]


def _ask(plays: list[Play], tally: Tally) -> None:
    """Hold each state of the programs against the oracle's word; the last one of a program may be broken."""
    responses = iter(programs.ask([question[:3] for played in plays for question in played.asked]))
    for played in plays:
        tally.count += len(played.asked)
        said = [next(responses) for _ in played.asked]
        differing = [words for words, (*_, owed) in zip(said, played.asked, strict=True) if words != f"valid {owed}"]
        if differing:
            tally.findings.append(f"{played.seed}: oracle: {differing[0]}")


def main() -> int:
    """Run what the command line asks for; the exit code."""
    parser = options(__doc__, 10_000)
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--program", type=int, metavar="SEED", help="play one program, and say what it found")
    chosen = parser.parse_args()
    if chosen.program is not None:
        findings = play(chosen.program).findings
        print("\n".join(findings) or "no finding")
        return int(bool(findings))
    started = monotonic()
    why_not = programs.build()
    if why_not:
        print(f"the published crate is not asked: {why_not}", file=sys.stderr)
    tally = compare(chosen.seed, chosen.count, chosen.workers, ask=not why_not)
    details = {
        "messages by method and exit code": dict(sorted(tally.counts.items())),
        "states that the published crate was asked about": tally.count,
    }
    stages = {name: tally.stages[name] for name in STAGES}
    return finish(RunRecord(chosen.seed, chosen.count, stages, tally.findings[:MAX_FINDINGS], details), chosen, started)


if __name__ == "__main__":
    sys.exit(main())
