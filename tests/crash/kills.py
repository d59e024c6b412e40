"""A process commits numbered states, collects garbage and reopens its folder, and is killed at random instants.

Whatever it was doing, the folder must reopen at the last state that it acknowledged, or at the one that it was
committing, with every block.
"""

import random
import shutil
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import sleep

from tests.crash.plants import PLANTS
from tests.crash.states import StateRoots, Unexpected, check, collector, commit_next

LONGEST = 0.12
"""Maximum life of a writer in seconds, if it is killed by time."""


@dataclass(slots=True)
class Kills:
    """The result of a run. `during` counts the activities that were interrupted."""

    kills: int = 0
    commits: int = 0
    in_flight_kept: int = 0
    during: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def write(folder: str, seed: int, plant: str, pipe: Connection) -> None:
    """Write states; print each action before it starts, and each number after its commit is acknowledged."""
    rng = random.Random(seed)
    while True:
        pipe.send("open")
        with PLANTS[plant].open(folder) as store:
            pipe.send("commit")
            for _ in range(rng.randrange(5, 60)):
                pipe.send(commit_next(store))
            pipe.send("collect")
            collection = collector(store, rng.randrange(5, 100))
            for _ in range(rng.randrange(40)):
                if not collection.step():
                    pipe.send("compact")
                    collection.finish()
                    break
                pipe.send(commit_next(store))


def run_kills(folder: Path, count: int, seed: int, plant: str = "none") -> Kills:
    """Kill `count` writers of one folder in sequence; stop at a finding."""
    context = get_context("forkserver")  # a process that never opened a store makes the writers, in milliseconds
    context.set_forkserver_preload(["tests.crash.kills"])
    rng = random.Random(seed)
    roots = StateRoots()
    result = Kills()
    acknowledged = 0
    for number in range(count):
        ours, theirs = context.Pipe(duplex=False)
        writer = context.Process(target=write, args=(str(folder), rng.getrandbits(32), plant, theirs))
        writer.start()
        theirs.close()
        doing = ours.recv()  # it lives
        heard = []
        if rng.random() < 0.5:  # after some commits, else wherever it is after some time
            heard = [ours.recv() for _ in range(rng.randrange(60))]
            sleep(rng.random() * 0.002)
        else:
            sleep(rng.random() * LONGEST)
        writer.kill()
        try:
            while True:
                said = heard.pop(0) if heard else ours.recv()
                if isinstance(said, int):
                    acknowledged = said
                else:
                    doing = said
        except (EOFError, OSError):
            ours.close()
        writer.join()
        result.kills += 1
        result.during[doing] = result.during.get(doing, 0) + 1
        try:
            with PLANTS[plant].open(folder) as store:
                found = check(store, roots)
            if found not in (acknowledged, acknowledged + 1):
                raise Unexpected(f"state {acknowledged} was acknowledged, state {found} is there")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            result.findings.append(f"kill {number} during {doing}: {type(error).__name__}: {error}")
            break
        result.in_flight_kept += found - acknowledged
        acknowledged = found
    result.commits = acknowledged
    shutil.rmtree(folder, ignore_errors=True)
    return result
