"""Kills of a loaded node on one folder, and a search for lost receipts.

python -m tests.localnet.kill_run --count 50 --seed 1 [--bundle NAME] [--record FILE]

Each round starts the node. Fifty clients send transactions concurrently and record each received receipt, until the
process is killed (SIGKILL). Every other kill is at a random moment, mostly within a block; the others are right after a
receipt, where a late write is certainly lost. The next node on the folder is asked for every receipt of that round and
some earlier ones; every hundredth one and the last one for all. Each must exist, unchanged, in a block of the chain. A
shorter run on a node with a planted defect, which writes each block only after a few more, must find losses. The result
is a record (bench.recorded). Ctrl-C ends the first part after the current kill, and the record states the number.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bench.recorded import RunRecord, finish, options
from localnet.accounts import TEST_MNEMONIC, Account, accounts
from tests.conftest import fvm_data
from tests.localnet.clients import Client, Load, run_load

CLIENTS = 50
LONGEST = 0.15
"""Maximum seconds from the first receipt to a kill at a random moment."""
MAX_SEEN = 40
"""Maximum number of receipts of a round before a kill right after one."""
SOME, ALL_EACH = 20, 100
BATCH = 100
"""Number of requests that a check sends together."""
START = 600.0
"""Maximum seconds until a node is ready, on a busy machine."""
DEFECTS = ("write-behind",)
PLANTED_KILLS = 10
LATE = 8
"""Number of commits that the planted defect delays."""


@dataclass
class Run:
    """Observations of a run: receipts by hash, event counts, and losses as text."""

    folder: Path
    bundle: Path | None = None
    defect: str | None = None
    clients: int = CLIENTS
    receipts: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    with_receipt: int = 0
    kills: int = 0
    is_ending: bool = False

    def end(self) -> None:
        """Stop after the current kill."""
        self.is_ending = True


class Node:
    """A node process on the run's folder, forked from one that has loaded the modules and opened nothing."""

    def __init__(self, run: Run) -> None:
        bundle = None if (run.folder / "chain").exists() else run.bundle
        self.process, self.port = started(run.folder, serve, run.folder, bundle, run.defect, run.clients)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def started(folder: Path, serving: Callable[..., None], *arguments: object) -> tuple[BaseProcess, int]:
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
        asyncio.run(_killed(run, node, load, clients, randomness, at_any_moment=number % 2 == 0))
        run.kills += 1
        seen = load.receipts
        run.losses += load.failures
        run.with_receipt += bool(seen)
        run.counts["sent"] += load.counts["sent"]
        run.counts["receipts"] += len(seen)


async def _killed(
    run: Run, node: Node, load: Load, clients: list[Client], randomness: random.Random, *, at_any_moment: bool
) -> None:
    """Run the load until the node is killed. The first transaction loads the actors' code; timing starts after it."""
    wanted = 1 if at_any_moment else randomness.randrange(1, MAX_SEEN)
    pause = randomness.random() * LONGEST if at_any_moment else 0.0

    async def killer() -> None:
        while len(load.receipts) < wanted and not load.failures and node.process.is_alive():
            await asyncio.sleep(0.0005)
        await asyncio.sleep(pause)
        if not node.process.is_alive():
            load.failures.append(f"the node ended by itself, with status {node.process.exitcode}")
        run.counts["clients connected at a kill"] += sum(client.is_connected for client in clients)
        node.kill()

    await asyncio.gather(run_load(load, node.port, clients, sys.maxsize), killer())
    run.counts["kills at any moment" if at_any_moment else "kills right after a receipt"] += 1


async def check(run: Run, port: int, account: Account, receipts: Mapping[str, Any]) -> None:
    """Check that all receipts exist in a block of the chain; a lost one is reported once."""
    client = Client(Load(), account, random.Random(0))
    await client.open(port)
    head = int(await client.ask("eth_blockNumber"), 16)
    for hashes in batched(receipts):
        found = await client.ask_together("eth_getTransactionReceipt", [(one,) for one in hashes])
        numbers = [*{receipt["blockNumber"]: None for receipt in found if receipt}]
        asked = [(one, False) for one in numbers]
        blocks = await client.ask_together("eth_getBlockByNumber", asked) if asked else []
        included = {number: set(block["transactions"]) for number, block in zip(numbers, blocks, strict=True) if block}
        for transaction, receipt in zip(hashes, found, strict=True):
            given, number = receipts[transaction], int(receipts[transaction]["blockNumber"], 16)
            if receipt != given or number > head or transaction not in included.get(given["blockNumber"], ()):
                run.losses.append(f"{transaction} of block {number}, head {head}")
                del run.receipts[transaction]
        run.counts["checks"] += len(hashes)
    client.close()


def batched(items: Iterable[str]) -> Iterator[list[str]]:
    """Yield the items in lists of `BATCH`."""
    rest = iter(items)
    while part := [*islice(rest, BATCH)]:
        yield part


# --- the node ---------------------------------------------------------------------------------------------------------


def serve(folder: Path, bundle: Path | None, defect: str | None, accounts: int) -> None:
    """Serve the network in a folder until killed."""
    from localnet import Network
    from localnet.rpc.server import Server, ready_file

    with Network(folder / "chain", bundle=bundle, account_count=accounts) as network:
        if defect == "write-behind":
            write_behind(network)
        server = Server(network, 0)
        with ready_file(folder / "ready", server.url) as write:
            server.run(write)


def write_behind(network: Any) -> None:
    """Plant the defect: a commit is written after `LATE` more."""
    store = network.machine.base
    commit: Any = store.commit
    kept: list[Any] = []

    def late(*arguments: Any, **keywords: Any) -> None:
        if len(kept) == LATE:
            held = kept.pop(0)
            commit(*held[0], **held[1])
        copied = [list(argument) if index == 0 else dict(argument) for index, argument in enumerate(arguments)]
        kept.append((copied, keywords))
        blocks.update(dict(copied[0]))
        entries.update(copied[2] if len(copied) > 2 else {})

    blocks: dict[Any, Any] = {}
    entries: dict[Any, Any] = {}
    get, index = store.get, store.index
    store.commit = late
    store.get = lambda cid: blocks[cid] if cid in blocks else get(cid)
    store.index = lambda key: entries[key] if key in entries else index(key)


def play(kills: int, seed: int, bundle: Path | None, defect: str | None) -> Run:
    """Run once on a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), bundle, defect)
        before = signal.signal(signal.SIGINT, lambda *_: run.end())
        rounds(run, kills, seed)
        signal.signal(signal.SIGINT, before)
    return run


def recorded(kills: int, seed: int, bundle: Path | None) -> RunRecord:
    """Return the record of a run and, with the same seed, one with the planted defect."""
    run = play(kills, seed, bundle, None)
    broken = play(PLANTED_KILLS, seed, bundle, DEFECTS[0])
    stages = {"killed": run.kills, "killed with a receipt given since the start": run.with_receipt}
    found = {DEFECTS[0]: {"losses": len(broken.losses)}}
    return RunRecord(seed, run.kills, stages, run.losses, found, dict(run.counts))


def official(name: str) -> Path:
    """Return a bundle of the test data."""
    folder = fvm_data()
    if folder is None:
        raise SystemExit("--bundle needs the test data: set FVM_DATA to the folder that holds bundles/")
    return folder / "bundles" / name


def main() -> int:
    """Return the exit code: 0 without losses, if the planted defect caused losses."""
    parser = options(__doc__, 50)
    parser.add_argument("--bundle", metavar="NAME", help="an official one of the test data (FVM_DATA)")
    chosen = parser.parse_args()
    bundle = official(chosen.bundle) if chosen.bundle else None
    started = time.monotonic()
    return finish(recorded(chosen.count, chosen.seed, bundle), chosen, started)


if __name__ == "__main__":
    sys.exit(main())
