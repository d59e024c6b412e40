"""Load of two hundred concurrent clients on one node, which is then killed and must have every receipt it returned.

python -m tests.localnet.load_run --count 20000 --seed 1 [--record FILE]

Each client has its own connection and account. It sends transfers in sequence, waits for each receipt, and requests
balances, logs, calls and estimates in between: `--count` transactions in all. No request may fail. In the second half,
another client requests endless traces; the details compare the times of sends and the node's memory. In the middle of
the last tenth the node is killed (SIGKILL), restarted on its folder, and asked for every receipt seen by any client.
"""

import asyncio
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from localnet.accounts import TEST_MNEMONIC, Account, accounts
from tests.harness.recorded import RunRecord, finish, options
from tests.localnet.clients import Client, Load, run_load
from tests.localnet.kill_run import Node, Run

CLIENTS: Final = 200
TRACES: Final = 12
"""Concurrent traces of one client."""
_TRACED: Final = "0x" + "99" * 20
_ENDLESS: Final = {_TRACED: {"code": "0x5b600056"}}


async def _killed_in_the_middle(load: Load, node: Node, clients: list[Client], count: int) -> None:
    """Run the load, and kill the node when half of it has a receipt."""
    before = len(load.receipts)

    async def killer() -> None:
        while len(load.receipts) < before + count // 2 and not load.failures:
            await asyncio.sleep(0.001)
        node.kill()

    await asyncio.gather(run_load(load, node.port, clients, count), killer())


def play(count: int, seed: int) -> tuple[Load, list[str]]:
    """Run everything on a new folder; return the observations and the lost receipts."""
    load = Load()
    randomness = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), clients=CLIENTS)
        senders = accounts(TEST_MNEMONIC, CLIENTS)
        clients = [Client(load, sender, random.Random(randomness.random())) for sender in senders]
        node = Node(run)
        last = count // 10
        half = (count - last) // 2
        asyncio.run(run_load(load, node.port, clients, half))
        _note(load, node, "alone")
        asyncio.run(_beside_traces(load, node.port, clients, senders[0], count - last - half))
        _note(load, node, "beside traces")
        asyncio.run(_killed_in_the_middle(load, node, clients, last))
        node = Node(run)
        lost = asyncio.run(_lost(load, node.port, senders[0]))
        node.kill()
    return load, lost


async def _beside_traces(load: Load, port: int, clients: list[Client], account: Account, count: int) -> None:
    """Run the load while a client requests traces without end on several connections."""

    async def trace() -> None:
        client = Client(Load(), account, random.Random(0))
        await client.open(port)
        try:
            while True:
                with suppress(RuntimeError):  # the trace is too long
                    await client.request("debug_traceCall", {"to": _TRACED}, "latest", {"stateOverrides": _ENDLESS})
        finally:
            client.close()

    tracing = [asyncio.ensure_future(trace()) for _ in range(TRACES)]
    try:
        await run_load(load, port, clients, count)
    finally:
        for each in tracing:
            each.cancel()
        await asyncio.gather(*tracing, return_exceptions=True)


def _note(load: Load, node: Node, when: str) -> None:
    """Note the 99th percentile of the sends since the last note, and the node's memory."""
    status = Path(f"/proc/{node.process.pid}/status")
    load.notes[f"99th percentile of send {when}, ms"] = round(1000 * sorted(load.sends)[int(0.99 * len(load.sends))], 1)
    if status.exists():  # on Linux
        resident = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        load.notes[f"resident memory {when}, MB"] = int(resident.split()[1]) >> 10
    load.sends.clear()


async def _lost(load: Load, port: int, account: Account) -> list[str]:
    client = Client(load, account, random.Random(0))
    await client.open(port)
    lost = []
    for transaction, receipt in load.receipts.items():
        if await client.request("eth_getTransactionReceipt", transaction) != receipt:
            lost.append(f"{transaction} of block {int(receipt['blockNumber'], 16)}")
    client.close()
    return lost


def recorded(count: int, seed: int) -> RunRecord:
    """Return the record of a run."""
    started = time.monotonic()
    load, lost = play(count, seed)
    seconds = time.monotonic() - started
    return RunRecord(
        seed=seed,
        count=count,
        stages={"receipts seen": len(load.receipts), "there after the kill": len(load.receipts) - len(lost)},
        findings=[*load.failures, *lost],
        details={
            "clients": CLIENTS,
            "requests": load.counts["requests"],
            "seconds": round(seconds, 1),
            "slowest answer, seconds": round(load.slowest, 2),
            **load.notes,
        },
    )


def main() -> int:
    """Parse the command line and run."""
    chosen = options(__doc__ or "", 20_000).parse_args()
    started = time.monotonic()
    return finish(recorded(chosen.count, chosen.seed), chosen, started)


if __name__ == "__main__":
    sys.exit(main())
