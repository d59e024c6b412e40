"""Kills a node at random moments, again and again on one folder, and looks for receipts that are gone.

    python -m tests.localnet.kill_run --kills 50 --seed 1 [--bundle CAR] [--defect write-behind] [--record FILE]

Each round starts the node, sends transactions one after the other, notes each that has a receipt, kills the process
(SIGKILL), starts it again and asks for every receipt noted in any round so far: each must be there, unchanged, in a
block of the chain. Every other kill comes at a moment drawn from the seed, mostly in the middle of a transaction; the
others right behind a receipt, where a write that is late is certain to be missed. Ends with 1 if one is lost. With a
planted defect, which writes each block to the folder only when the next one comes, the same run must find losses.
"""

from __future__ import annotations

import argparse
import json
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

from bridge.transactions import DYNAMIC_FEE, Transaction
from devtools.cli.rpc_client import NodeError, ask
from localnet.accounts import Account, accounts

CHAIN_ID = 31_415_926
LONGEST = 0.8
MOST_SENT = 20
START = 60.0
DEFECTS = ("write-behind",)
PLANTED_KILLS = 10


@dataclass
class Run:
    """What a run has seen: receipts by hash, counts of what happened, losses in words."""

    folder: Path
    options: list[str]
    receipts: dict[str, Any] = field(default_factory=dict)
    stages: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)


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
        if number % 2:
            for _ in range(randomness.randrange(MOST_SENT)):
                send(run, node.url, senders, randomness)
            node.kill()
            run.stages["kills right behind a receipt"] += 1
        else:
            killer = _kill_after(node, randomness.random() * LONGEST)
            send_until_killed(run, node.url, senders, randomness)
            killer.wait()
            node.process.wait()
            run.stages["kills at any moment"] += 1
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
    run.stages["sent"] += 1
    sent = ask(url, "eth_sendRawTransaction", _hex(raw))
    receipt = ask(url, "eth_getTransactionReceipt", sent)
    if receipt is None:
        raise RuntimeError(f"the node took {sent} and has no receipt")
    run.receipts[sent] = receipt
    run.stages["receipts"] += 1


def check(run: Run, url: str) -> None:
    """Every receipt noted so far is there, in a block of the chain; what is lost is forgotten, to be told once."""
    head = int(ask(url, "eth_blockNumber"), 16)
    for transaction, receipt in list(run.receipts.items()):
        found = ask(url, "eth_getTransactionReceipt", transaction)
        block: Any = ask(url, "eth_getBlockByNumber", receipt["blockNumber"], False) if found else None
        if found != receipt or int(receipt["blockNumber"], 16) > head or transaction not in block["transactions"]:
            run.losses.append(f"{transaction} of block {int(receipt['blockNumber'], 16)}, head {head}")
            del run.receipts[transaction]
        run.stages["checks"] += 1


def _transfer(sender: Account, receiver: Account, nonce: int, value: int) -> bytes:
    transaction = Transaction(DYNAMIC_FEE, CHAIN_ID, nonce, receiver.address, value, b"", 5_000_000, 1_000_000, 100_000)
    return sender.sign(transaction).raw()


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


# --- the node ---------------------------------------------------------------------------------------------------------


def serve(folder: Path, bundle: Path | None, defect: str | None) -> None:
    """Serve the network in a folder, until killed."""
    from localnet import Network
    from localnet.rpc.server import Server, ready_file

    with Network(folder / "chain", bundle=bundle) as network:
        if defect == "write-behind":
            _write_behind(network)
        server = Server(network, 0)
        with ready_file(folder / "ready", server.url) as write:
            server.run(write)


def _write_behind(network: Any) -> None:
    """Plant the defect: a commit reaches the folder when the next one is made."""
    store = network.machine.base
    commit: Any = store.commit
    kept: list[Any] = []

    def late(*arguments: Any, **keywords: Any) -> None:
        if kept:
            commit(*kept[0][0], **kept[0][1])
        copied = [list(argument) if index == 0 else dict(argument) for index, argument in enumerate(arguments)]
        kept[:] = [(copied, keywords)]
        blocks.update(dict(copied[0]))
        entries.update(copied[2] if len(copied) > 2 else {})

    blocks: dict[Any, Any] = {}
    entries: dict[Any, Any] = {}
    get, index = store.get, store.index
    store.commit = late
    store.get = lambda cid: blocks[cid] if cid in blocks else get(cid)
    store.index = lambda key: entries[key] if key in entries else index(key)


def play(kills: int, seed: int, bundle: Path | None, defect: str | None) -> tuple[Run, float]:
    """One run on a folder of its own, and how many seconds it took."""
    options = [*(["--bundle", str(bundle)] if bundle else []), *(["--defect", defect] if defect else [])]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), options)
        rounds(run, kills, seed)
    return run, round(time.monotonic() - start, 1)


def recorded(kills: int, seed: int, bundle: Path | None) -> tuple[dict[str, Any], bool]:
    """A run and, with the same seed, one with the planted defect, as a record; and whether all is as it should be."""
    run, seconds = play(kills, seed, bundle, None)
    broken, _ = play(PLANTED_KILLS, seed, bundle, DEFECTS[0])
    git = ["git", "rev-parse", "HEAD"]
    record = {
        "command": f"python -m tests.localnet.kill_run --kills {kills} --seed {seed}",
        "bundle": bundle.name if bundle else "our own",
        "commit": subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip(),
        "seed": seed,
        "duration_seconds": seconds,
        "count": kills,
        "stages": dict(run.stages),
        "losses": run.losses,
        "planted_defect": {"name": DEFECTS[0], "kills": PLANTED_KILLS, "losses_found": len(broken.losses)},
    }
    return record, not run.losses and bool(broken.losses) and run.stages["receipts"] > kills


def main() -> int:
    """Returns the exit code: 0 where nothing was lost (with a planted defect: where it was found)."""
    options = argparse.ArgumentParser(prog="kill_run", description=(__doc__ or "").split("\n\n")[0])
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--bundle", type=Path)
    options.add_argument("--defect", choices=DEFECTS)
    options.add_argument("--record", type=Path, help="run with a planted defect too, and write the record to this file")
    options.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        serve(chosen.serve, chosen.bundle, chosen.defect)
        return 0
    if chosen.record:
        record, good = recorded(chosen.kills, chosen.seed, chosen.bundle)
        chosen.record.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return int(not good)
    run, seconds = play(chosen.kills, chosen.seed, chosen.bundle, chosen.defect)
    print(json.dumps({"seconds": seconds, "stages": dict(run.stages), "losses": run.losses}))
    return int(bool(run.losses) != bool(chosen.defect))


if __name__ == "__main__":
    sys.exit(main())
