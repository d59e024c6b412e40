"""Kills a node at random moments, again and again on one folder, and looks for receipts that are gone.

    python -m tests.localnet.kill_run --count 50 --seed 1 [--bundle NAME] [--record FILE]

Each round starts the node, sends transactions one after the other, notes each that has a receipt, kills the process
(SIGKILL), starts it again and asks for every receipt noted in any round so far: each must be there, unchanged, in a
block of the chain. Every other kill comes at a moment drawn from the seed, mostly in the middle of a transaction; the
others right behind a receipt, where a write that is late is certain to be missed. Then the same, shorter, on a node
with a planted defect, which writes each block to the folder only when a few more came: it must find losses. What it
came to is a record (bench.recorded).
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.recorded import RunRecord, finish, options
from bridge.transactions import DYNAMIC_FEE, Transaction
from devtools.cli.rpc_client import ask
from localnet.accounts import Account, accounts
from localnet.fork.node_client import NodeError
from tests.conftest import fvm_data

CHAIN_ID = 31_415_926
LONGEST = 0.8
MOST_SENT = 20
START = 60.0
DEFECTS = ("write-behind",)
PLANTED_KILLS = 10
LATE = 8
"""Commits that the planted defect holds back. Of ten transactions that are sent together five have been seen when the
node is killed: all ten may have a block by then, and one of the eight last was seen for certain."""


@dataclass
class Run:
    """What a run has seen: receipts by hash, counts of what happened, losses in words."""

    folder: Path
    options: list[str]
    receipts: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    with_receipt: int = 0


class Node:
    """A node process on the run's folder."""

    def __init__(self, run: Run) -> None:
        ready = run.folder / "ready"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.localnet.kill_run", "--serve", str(run.folder), *run.options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the node did not start on the folder that it left")
            time.sleep(0.005)
        self.url = ready.read_text().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def rounds(run: Run, kills: int, seed: int) -> None:
    """The whole run."""
    randomness = random.Random(seed)
    senders = accounts()
    for number in range(kills):
        node = Node(run)
        check(run, node.url)
        # The first transaction loads the actors' modules: the clock of the kill starts behind it.
        send(run, node.url, senders, randomness)
        run.with_receipt += 1
        if number % 2:
            for _ in range(randomness.randrange(MOST_SENT)):
                send(run, node.url, senders, randomness)
            node.kill()
            run.counts["kills right behind a receipt"] += 1
        else:
            killer = _kill_after(node, randomness.random() * LONGEST)
            send_until_killed(run, node.url, senders, randomness)
            killer.wait()
            node.process.wait()
            run.counts["kills at any moment"] += 1
    node = Node(run)
    check(run, node.url)
    node.kill()


def _kill_after(node: Node, seconds: float) -> subprocess.Popen[bytes]:
    """A process that kills the node: this one is busy sending."""
    program = f"import os, time; time.sleep({seconds}); os.kill({node.process.pid}, {signal.SIGKILL:d})"
    return subprocess.Popen([sys.executable, "-S", "-c", program])


def send_until_killed(run: Run, url: str, senders: tuple[Account, ...], randomness: random.Random) -> None:
    """Transactions, one after the other, until nobody answers; an error as an answer is the node's fault."""
    while True:
        try:
            send(run, url, senders, randomness)
        except NodeError as error:
            if str(error).startswith("no node answers"):
                return
            raise


def send(run: Run, url: str, senders: tuple[Account, ...], randomness: random.Random) -> None:
    """One transaction; its receipt is noted once it is there. Raises NodeError."""
    sender, receiver = randomness.sample(senders, 2)
    nonce = int(ask(url, "eth_getTransactionCount", _hex(sender.address), "latest"), 16)
    raw = _transfer(sender, receiver, nonce, randomness.randrange(1, 1000))
    run.counts["sent"] += 1
    sent = ask(url, "eth_sendRawTransaction", _hex(raw))
    receipt = ask(url, "eth_getTransactionReceipt", sent)
    if receipt is None:
        raise RuntimeError(f"the node took {sent} and has no receipt")
    run.receipts[sent] = receipt
    run.counts["receipts"] += 1


def check(run: Run, url: str) -> None:
    """Every receipt noted so far is there, in a block of the chain; what is lost is forgotten, to be told once."""
    head = int(ask(url, "eth_blockNumber"), 16)
    for transaction, receipt in list(run.receipts.items()):
        found = ask(url, "eth_getTransactionReceipt", transaction)
        block: Any = ask(url, "eth_getBlockByNumber", receipt["blockNumber"], False) if found else None
        if found != receipt or int(receipt["blockNumber"], 16) > head or transaction not in block["transactions"]:
            run.losses.append(f"{transaction} of block {int(receipt['blockNumber'], 16)}, head {head}")
            del run.receipts[transaction]
        run.counts["checks"] += 1


def _transfer(sender: Account, receiver: Account, nonce: int, value: int) -> bytes:
    transaction = Transaction(DYNAMIC_FEE, CHAIN_ID, nonce, receiver.address, value, b"", 5_000_000, 1_000_000, 100_000)
    return sender.sign(transaction).raw()


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


# --- the node ---------------------------------------------------------------------------------------------------------


def serve(folder: Path, bundle: Path | None, defect: str | None, accounts: int = 10) -> None:
    """Serve the network in a folder, until killed."""
    from localnet import Network
    from localnet.rpc.server import Server, ready_file

    with Network(folder / "chain", bundle=bundle, account_count=accounts) as network:
        if defect == "write-behind":
            write_behind(network)
        server = Server(network, 0)
        with ready_file(folder / "ready", server.url) as write:
            server.run(write)


def write_behind(network: Any) -> None:
    """Plant the defect: a commit reaches the folder when `LATE` more are made."""
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
    """One run on a folder of its own."""
    options = [*(["--bundle", bundle.name] if bundle else []), *(["--defect", defect] if defect else [])]
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), options)
        rounds(run, kills, seed)
    return run


def recorded(kills: int, seed: int, bundle: Path | None) -> RunRecord:
    """A run and, with the same seed, one with the planted defect."""
    run = play(kills, seed, bundle, None)
    broken = play(PLANTED_KILLS, seed, bundle, DEFECTS[0])
    stages = {"killed": kills, "killed with a receipt given since the start": run.with_receipt}
    found = {DEFECTS[0]: {"losses": len(broken.losses)}}
    return RunRecord(seed, kills, stages, run.losses, found, dict(run.counts))


def official(name: str) -> Path:
    """A bundle of the test data."""
    folder = fvm_data()
    if folder is None:
        raise SystemExit("--bundle needs the test data: set FVM_DATA to the folder that holds bundles/")
    return folder / "bundles" / name


def main() -> int:
    """The exit code: 0 where nothing was lost, and losses were found with the planted defect."""
    parser = options(__doc__, 50)
    parser.add_argument("--bundle", metavar="NAME", help="an official one of the test data (FVM_DATA)")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--defect", choices=DEFECTS, help=argparse.SUPPRESS)
    parser.add_argument("--accounts", type=int, default=10, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    bundle = official(chosen.bundle) if chosen.bundle else None
    if chosen.serve:
        serve(chosen.serve, bundle, chosen.defect, chosen.accounts)
        return 0
    started = time.monotonic()
    return finish(recorded(chosen.count, chosen.seed, bundle), chosen, started)


if __name__ == "__main__":
    sys.exit(main())
