"""Kills of a loaded node on one folder, and a search for lost receipts.

python -m tests.localnet.kill_run --count 50 --seed 1 [--bundle NAME] [--pause 60] [--record FILE]

Each round starts the node. Fifty clients send transactions concurrently and record each received receipt, until the
process is killed (SIGKILL). Every other kill is at a random moment, mostly within a block; the others are right after a
receipt, where a late write is certainly lost. Before one kill in ten the node is stopped for `--pause` seconds
(SIGSTOP), before another one its clock steps ahead and then back. Every client must get a receipt after each of these.

The next node on the folder is asked for every receipt of that round and some earlier ones; every hundredth one and the
last one for all. Each must exist, unchanged, in a block of the chain, and block timestamps must ascend. The result is a
record (tests.harness.recorded). Ctrl-C ends the run after its next kill.
"""

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, TypeVar

from localnet.accounts import TEST_MNEMONIC, Account, accounts
from tests.conftest import fvm_data
from tests.harness.recorded import RunRecord, finish, options
from tests.localnet.clients import Client, Load, run_load

T = TypeVar("T")

CLIENTS = 50
LONGEST = 0.15
"""Maximum seconds from the first receipt to a kill at a random moment, without a disturbance."""
MAX_SEEN = 40
"""Exclusive upper bound of a round's receipts before a kill right after one."""
SOME, ALL_EACH = 20, 100
BATCH = 100
"""Number of requests that a check sends together."""
START = 600.0
"""Maximum seconds until a node is ready, on a busy machine."""
PAUSE = 1.0
"""Seconds for which a node is stopped by default."""
STEP = 86_400
"""Seconds of the first step of the clock ahead, and of each step back; later ones ahead are longer."""
RECEIPT_TIMEOUT = 120.0
"""Maximum seconds until every client has a receipt after a disturbance."""


@dataclass
class Run:
    """Observations of a run: receipts by hash, event counts, and losses as text."""

    folder: Path
    bundle: Path | None = None
    clients: int = CLIENTS
    receipts: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    with_receipt: int = 0
    kills: int = 0
    pause: float = PAUSE
    disturbances: "Mapping[int, Disturbance]" = field(default_factory=dict)
    """Disturbances by the last digit of their round's number."""
    steps: int = 0
    """Number of clock steps ahead."""
    checked: int = 0
    """Height up to which block timestamps were checked."""
    is_ending: bool = False

    def end(self) -> None:
        """Stop after the current kill."""
        self.is_ending = True


class Node:
    """A node process on the run's folder, forked from one that has loaded the modules and opened nothing."""

    def __init__(self, run: Run) -> None:
        bundle = None if (run.folder / "chain").exists() else run.bundle
        self.clock_offset = get_context("forkserver").RawValue("d", 0.0)
        """Seconds that the node's clock is ahead."""
        serving = run.folder, bundle, run.clients, self.clock_offset
        self.process, self.port = start_node(run.folder, serve, *serving)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def start_node(folder: Path, serving: Callable[..., None], *arguments: object) -> tuple[BaseProcess, int]:
    """Return a process that serves a node, and its port, which it writes to the file `ready` of a folder."""
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "tests.localnet.loaded_node"])
    process = context.Process(target=serving, args=arguments, daemon=True)
    process.start()
    deadline = time.monotonic() + START
    while not ready.exists():
        if not process.is_alive():
            raise RuntimeError(f"the node did not start on the folder that it left: status {process.exitcode}")
        if time.monotonic() > deadline:
            process.kill()
            process.join()
            raise RuntimeError(f"the node was not ready after {START:g} s: repeat the run on a less busy machine")
        time.sleep(0.002)
    return process, int(ready.read_text().strip().rsplit(":", 1)[1])


def rounds(run: Run, kills: int, seed: int) -> None:
    """Run all rounds."""
    randomness = random.Random(seed)
    senders = accounts(TEST_MNEMONIC, run.clients)
    seen: dict[str, Any] = {}
    for number in range(kills + 1):
        node = Node(run)
        earlier = randomness.sample([*run.receipts], min(SOME, len(run.receipts)))
        last = number == kills or run.is_ending
        whole = last or number % ALL_EACH == 0
        asked = {**run.receipts, **seen} if whole else {**{one: run.receipts[one] for one in earlier}, **seen}
        run.receipts |= seen
        asyncio.run(check(run, node.port, senders[0], asked))
        if last:
            node.kill()
            return
        load = Load()
        clients = [Client(load, sender, random.Random(randomness.random())) for sender in senders]
        disturbance = run.disturbances.get(number % 10)
        asyncio.run(_killed(run, node, load, clients, randomness, disturbance, at_any_moment=number % 2 == 0))
        run.kills += 1
        seen = load.receipts
        run.losses += load.failures
        run.with_receipt += bool(seen)
        run.counts["sent"] += load.counts["sent"]
        run.counts["receipts"] += len(seen)


async def _killed(
    run: Run,
    node: Node,
    load: Load,
    clients: list[Client],
    randomness: random.Random,
    disturbance: "Disturbance | None" = None,
    *,
    at_any_moment: bool,
) -> None:
    """Run the load until the node is disturbed and killed. The first transaction loads the actors' code; timing starts
    after it.
    """
    wanted = 1 if at_any_moment else randomness.randrange(1, MAX_SEEN)
    pause = randomness.random() * LONGEST if at_any_moment else 0.0

    async def killer() -> None:
        while len(load.receipts) < wanted and not load.failures and node.process.is_alive():
            await asyncio.sleep(0.0005)
        if disturbance is not None and node.process.is_alive():
            await disturbance(run, node, load)
        await asyncio.sleep(pause)
        if not node.process.is_alive():
            load.failures.append(f"the node ended by itself, with status {node.process.exitcode}")
        run.counts["clients connected at a kill"] += sum(client.is_connected for client in clients)
        node.kill()

    await asyncio.gather(run_load(load, node.port, clients, sys.maxsize), killer())
    run.counts["kills at any moment" if at_any_moment else "kills right after a receipt"] += 1


# --- disturbances -----------------------------------------------------------------------------------------------------


async def stop_for_a_while(run: Run, node: Node, load: Load) -> None:
    """Stop the node's process, and continue it."""
    assert node.process.pid is not None
    os.kill(node.process.pid, signal.SIGSTOP)
    await asyncio.sleep(run.pause)
    os.kill(node.process.pid, signal.SIGCONT)
    await _all_answered(run, node, load)
    run.counts["stopped nodes"] += 1


async def step_clock(run: Run, node: Node, load: Load) -> None:
    """Step the node's clock ahead of the head, then behind the right time. The next node has the right time."""
    run.steps += 1
    for offset in (run.steps * STEP, -STEP):
        node.clock_offset.value = offset
        await _all_answered(run, node, load)
    run.counts["clock steps"] += 2


Disturbance = Callable[[Run, Node, Load], Awaitable[None]]
DISTURBANCES: Final[Mapping[int, Disturbance]] = {2: stop_for_a_while, 7: step_clock}


async def _all_answered(run: Run, node: Node, load: Load) -> None:
    """Wait until every client has another receipt, or the node or a client has failed."""
    before, end = len(load.receipts), time.monotonic() + RECEIPT_TIMEOUT
    while not load.failures and node.process.is_alive():
        answered = {receipt["from"] for receipt in islice(load.receipts.values(), before, None)}
        if len(answered) == run.clients:
            return
        if time.monotonic() > end:
            load.failures.append(f"{run.clients - len(answered)} clients have no receipt after {RECEIPT_TIMEOUT:g} s")
        await asyncio.sleep(0.005)


# --- checks on the next node ------------------------------------------------------------------------------------------


async def check(run: Run, port: int, account: Account, receipts: Mapping[str, Any]) -> None:
    """Check that all receipts exist in a block of the chain; a lost one is reported once."""
    client = Client(Load(), account, random.Random(0))
    await client.open(port)
    head = int(await client.request("eth_blockNumber"), 16)
    for hashes in batched(receipts):
        found = await client.request_batch("eth_getTransactionReceipt", [(one,) for one in hashes])
        numbers = [*{receipt["blockNumber"]: None for receipt in found if receipt}]
        asked = [(one, False) for one in numbers]
        blocks = await client.request_batch("eth_getBlockByNumber", asked) if asked else []
        included = {number: set(block["transactions"]) for number, block in zip(numbers, blocks, strict=True) if block}
        for transaction, receipt in zip(hashes, found, strict=True):
            given, number = receipts[transaction], int(receipts[transaction]["blockNumber"], 16)
            if receipt != given or number > head or transaction not in included.get(given["blockNumber"], ()):
                run.losses.append(f"{transaction} of block {number}, head {head}")
                del run.receipts[transaction]
        run.counts["checks"] += len(hashes)
    await _check_times(run, client, head)
    client.close()


async def _check_times(run: Run, client: Client, head: int) -> None:
    """Check that each block since the last check has a later timestamp than its parent."""
    times: list[int] = []
    for numbers in batched(range(run.checked, head + 1)):
        blocks = await client.request_batch("eth_getBlockByNumber", [(hex(number), False) for number in numbers])
        times += (int(block["timestamp"], 16) for block in blocks)
    run.losses += [
        f"block {number} has the timestamp {later}, its parent {earlier}"
        for number, (earlier, later) in enumerate(pairwise(times), run.checked + 1)
        if later <= earlier
    ]
    run.counts["blocks ahead of the clock"] += sum(each > time.time() + STEP / 2 for each in times[1:])
    run.checked = head


def batched(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items in lists of `BATCH`."""
    rest = iter(items)
    while part := [*islice(rest, BATCH)]:
        yield part


# --- the node ---------------------------------------------------------------------------------------------------------


def serve(folder: Path, bundle: Path | None, accounts: int, clock_offset: Any) -> None:
    """Serve the network in a folder until killed; its clock is `clock_offset` seconds ahead."""
    from localnet import Network
    from localnet.rpc.server.server import Server, ready_file

    def clock() -> float:
        return time.time() + float(clock_offset.value)

    with Network(folder / "chain", bundle=bundle, account_count=accounts, clock=clock) as network:
        server = Server(network, 0)
        with ready_file(folder / "ready", server.url) as write:
            server.run(write)


def play(
    kills: int,
    seed: int,
    bundle: Path | None,
    pause: float = PAUSE,
    disturbances: Mapping[int, Disturbance] = DISTURBANCES,
) -> Run:
    """Run once on a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), bundle, pause=pause, disturbances=disturbances)
        before = signal.signal(signal.SIGINT, lambda *_: run.end())
        rounds(run, kills, seed)
        signal.signal(signal.SIGINT, before)
    return run


def recorded(kills: int, seed: int, bundle: Path | None, pause: float) -> RunRecord:
    """Return the record of a run."""
    run = play(kills, seed, bundle, pause)
    stages = {"killed": run.kills, "killed with a receipt given since the start": run.with_receipt}
    return RunRecord(seed, run.kills, stages, run.losses, dict(run.counts))


def official(name: str) -> Path:
    """Return a bundle of the test data."""
    folder = fvm_data()
    if folder is None:
        raise SystemExit("--bundle needs the test data: set FVM_DATA to the folder that holds bundles/")
    return folder / "bundles" / name


def main() -> int:
    """Run the test. Return 0 if nothing was lost."""
    parser = options(__doc__, 50)
    parser.add_argument("--bundle", metavar="NAME", help="an official one of the test data (FVM_DATA)")
    parser.add_argument(
        "--pause", type=float, default=PAUSE, metavar="S", help=f"seconds for which a node is stopped; default: {PAUSE}"
    )
    chosen = parser.parse_args()
    bundle = official(chosen.bundle) if chosen.bundle else None
    started = time.monotonic()
    return finish(recorded(chosen.count, chosen.seed, bundle, chosen.pause), chosen, started)


if __name__ == "__main__":
    sys.exit(main())
