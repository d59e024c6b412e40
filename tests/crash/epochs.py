"""Kill a network at random instants and check that it continues where it was: `make crash-epochs`.

    python -m tests.crash.epochs --count 200 --seed 1 [--epochs N] [--record FILE]

There are `count` kills, ten in each run. A run is a chain of 1,000 epochs (tests.crash.states) in a separate process,
in a folder that the next process reopens. A process is killed while it opens the folder, right after it has reported a
block, or at any other time. After reopening, the head must be a tipset of the uninterrupted chain, not before the last
reported one, and each run must end with the uninterrupted chain, tipset for tipset. A kill loses nothing that the
operating system holds, so the folders are in memory if possible. The result is a record (tests.harness.recorded).
"""

import random
import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from localnet import Network
from tests.crash import states
from tests.harness.recorded import RunRecord, finish, options
from tests.localnet.conftest import Clock
from tests.store.stores import scratch

KILLS_OF_A_RUN = 10
EPOCHS = 1000
LONGEST_START, LONGEST_REST = 0.4, 0.02
"""Maximum delay in seconds before a kill, after the process starts and after a block."""


@dataclass(slots=True)
class Killing:
    """The result of a run. `during` counts the activities that were interrupted."""

    kills: int = 0
    reopened: int = 0
    ended: int = 0
    during: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """The uninterrupted run: its initial folder, its end, and all its tipsets."""

    folder: Path
    end: int
    tipsets: list[tuple[int, Any, Any]]


def undisturbed(place: Path, epochs: int) -> Undisturbed:
    """Run the network without kills, on the unmodified store."""
    end = states.start_network(place / "first", epochs)
    shutil.copytree(place / "first", place / "whole")
    with Network(place / "whole", clock=Clock()) as network:
        while network.block_number < end:
            states.make_tipset(network)
        if network.version != states.LAST_VERSION:
            raise RuntimeError("the upgrade has not come")
        return Undisturbed(place / "first", end, states.tipset_positions(network))


def run(whole: Undisturbed, folder: Path, kills: int, rng: random.Random, result: Killing) -> None:
    """Run a network with this many kills, then to its end without kills."""
    shutil.copytree(whole.folder, folder)
    told = 0
    apart = 2 * len(whole.tipsets) // (kills + 1)
    for number in range(kills):
        process, pipe = _start(folder, whole.end)
        heard, doing = _kill(process, pipe, rng, apart)
        result.kills += 1
        result.during[doing] += 1
        told, words = _check(whole, heard, told)
        if words:
            result.findings.append(f"kill {number} of a run, {doing}: {words}")
            break
        result.reopened += 1
    else:
        process, pipe = _start(folder, whole.end)
        told, words = _check(whole, _everything(pipe), told)
        process.join()
        with Network(folder, clock=Clock()) as network:
            if words or states.tipset_positions(network) != whole.tipsets or network.machine.root != network.head.state:
                result.findings.append(f"a run does not end with the uninterrupted chain: {words}")
            else:
                result.ended += kills
    shutil.rmtree(folder)


def _start(folder: Path, end: int) -> tuple[BaseProcess, Connection]:
    context = get_context("forkserver")  # a process that never opened a store makes the others, in milliseconds
    context.set_forkserver_preload(["tests.crash.states", "runtimes.evm.frames.py_evm"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=states.run_until_killed, args=(str(folder), end, theirs))
    process.start()
    theirs.close()
    return process, ours


def _kill(process: BaseProcess, pipe: Connection, rng: random.Random, apart: int) -> tuple[list[Any], str]:
    """Kill a process at a random instant; return its output and the interrupted activity."""
    heard: list[Any] = []
    if rng.random() < 0.2:
        sleep(rng.random() * LONGEST_START)
    else:
        try:
            heard.extend(pipe.recv() for _ in range(1 + rng.randrange(apart)))
            if rng.random() < 0.5:
                sleep(rng.random() * LONGEST_REST)
        except EOFError:  # its life was over before
            pass
    process.kill()
    heard += _everything(pipe)
    process.join()
    if not heard:
        return heard, "opening"
    return heard, "closing" if heard[-1] == "closed" else "making a block" if len(heard) > 1 else "just opened"


def _everything(pipe: Connection) -> list[Any]:
    heard = []
    try:
        while True:
            heard.append(pipe.recv())
    except (EOFError, OSError):
        pipe.close()
    return heard


def _check(whole: Undisturbed, heard: list[Any], told: int) -> tuple[int, str]:
    """Return the last reported height, and the errors in the report, given the height reported before."""
    if not heard:
        return told, ""
    height, key, state, root = heard[0]
    if height < told:
        return told, f"block {told} was told, and {height} is the head"
    known = {at: (key, state) for at, key, state in whole.tipsets}
    if (key, state) != known.get(height, (key, state)) or root != state:
        return told, f"the tipset at {height} or the machine's state is another one than in the uninterrupted life"
    return max([height, *(said for said in heard[1:] if isinstance(said, int))]), ""


def kill(count: int, epochs: int, seed: int) -> Killing:
    """Kill processes `count` times on networks of this many epochs; stop at a finding."""
    rng, result = random.Random(seed), Killing()
    with TemporaryDirectory(prefix="epochs-", dir=scratch()) as place:
        whole = undisturbed(Path(place), epochs)
        for number in range(-(-count // KILLS_OF_A_RUN)):
            kills = min(KILLS_OF_A_RUN, count - number * KILLS_OF_A_RUN)
            run(whole, Path(place, "life"), kills, rng, result)
            print(
                f"run {number + 1}: {result.kills} kills, {len(result.findings)} findings", file=sys.stderr, flush=True
            )
    return result


def recorded(count: int, epochs: int, seed: int) -> RunRecord:
    """Return the record of the kills."""
    result = kill(count, epochs, seed)
    stages = {
        "killed": result.kills,
        "reopened at a tipset of the uninterrupted life": result.reopened,
        "in a run that ended with the uninterrupted chain": result.ended,
    }
    details = {"killed during": dict(sorted(result.during.items())), "epochs of a run": epochs}
    return RunRecord(seed, count, stages, result.findings, details)


def main() -> int:
    """Run the kills and return the exit code."""
    parser = options(__doc__, 200)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of each run (default: %(default)s)")
    chosen = parser.parse_args()
    started = monotonic()
    return finish(recorded(chosen.count, chosen.epochs, chosen.seed), chosen, started)


if __name__ == "__main__":
    sys.exit(main())
