"""Two hundred clients ask one node at once; then it is killed under that load, and has every receipt that it gave.

    python -m tests.localnet.load_run --count 20000 --seed 1 [--record FILE]

Each client has a connection and an account of its own. It sends transfers, one after the other, waits for each receipt,
and asks for balances, logs, calls and estimates between them: `--count` transactions in all, shared out between the
clients. No request may fail. The last tenth of them is cut short: the node is killed (SIGKILL) in its middle, started
again on its folder, and asked for every receipt that any client has seen. Then the same, shorter, on a node that writes
each block only when the next one comes (the defect of `tests.localnet.kill_run`), which must lose one.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.recorded import RunRecord, finish, options
from bridge.addresses import EthAddress
from bridge.transactions import DYNAMIC_FEE, Transaction
from localnet.accounts import TEST_MNEMONIC, Account, accounts
from tests.localnet.kill_run import CHAIN_ID, Node, Run

CLIENTS: Final = 200
_ASIDE: Final = ("balance", "logs", "call", "estimate", "block")
_PLANTED: Final = 400
_TARGET: Final = EthAddress(b"\x77" * 20)


@dataclass
class Load:
    """What the clients have seen: receipts by hash, counts, and requests that failed, in words."""

    receipts: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0


class Client:
    """A connection that is kept, and an account."""

    def __init__(self, load: Load, account: Account, randomness: random.Random) -> None:
        self._load, self._account, self._random = load, account, randomness
        self._nonce = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, port: int) -> None:
        """Connect, and find out the next nonce."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._nonce = int(await self.ask("eth_getTransactionCount", _hex(self._account.address), "latest"), 16)

    def close(self) -> None:
        """Let the connection go."""
        if self._writer is not None:
            self._writer.close()

    async def ask(self, method: str, *params: Any) -> Any:
        """The result of a request. Raises ConnectionError where nobody answers, RuntimeError for an error."""
        assert self._reader is not None
        assert self._writer is not None
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        started = time.monotonic()
        self._writer.write(head.encode() + b"\r\n\r\n" + body)
        await self._writer.drain()
        try:
            answer_head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(answer_head.split("content-length:")[1].split("\r\n")[0])
            answer = json.loads(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError(str(error)) from None
        self._load.slowest = max(self._load.slowest, time.monotonic() - started)
        self._load.counts["requests"] += 1
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def transact(self) -> None:
        """A transfer, its receipt, and something else."""
        value = self._random.randrange(1, 1000)
        transaction = Transaction(DYNAMIC_FEE, CHAIN_ID, self._nonce, _TARGET, value, b"", 5_000_000, 10**9, 10**5)
        self._load.counts["sent"] += 1
        sent = await self.ask("eth_sendRawTransaction", _hex(self._account.sign(transaction).raw()))
        receipt = await self.ask("eth_getTransactionReceipt", sent)
        if receipt is None or receipt["status"] != "0x1":
            raise RuntimeError(f"transaction {sent} was taken and has the receipt {receipt}")
        self._load.receipts[sent] = receipt
        self._nonce += 1
        await self._aside(receipt)

    async def _aside(self, receipt: dict[str, Any]) -> None:
        address, block = _hex(self._account.address), receipt["blockNumber"]
        match self._random.choice(_ASIDE):
            case "balance":
                await self.ask("eth_getBalance", address, "latest")
            case "logs":
                await self.ask("eth_getLogs", {"fromBlock": block, "toBlock": block})
            case "call":
                await self.ask("eth_call", {"from": address, "to": address}, "latest")
            case "estimate":
                await self.ask("eth_estimateGas", {"from": address, "to": address, "value": "0x1"})
            case _:
                found = await self.ask("eth_getBlockByNumber", block, False)
                if receipt["transactionHash"] not in found["transactions"]:
                    raise RuntimeError(f"block {block} lacks transaction {receipt['transactionHash']}")


async def hold(load: Load, port: int, clients: list[Client], count: int) -> None:
    """All clients at once, until they have sent so many transactions together, or nobody answers any more."""
    left = count

    async def work(client: Client) -> None:
        nonlocal left
        try:
            await client.open(port)
            while left > 0:
                left -= 1
                await client.transact()
        except ConnectionError:
            load.counts["cut off"] += 1
        except RuntimeError as error:
            load.failures.append(str(error))
        finally:
            client.close()

    await asyncio.gather(*(work(client) for client in clients))


async def _killed_in_the_middle(load: Load, node: Node, clients: list[Client], count: int) -> None:
    """The load, and the kill when half of it has a receipt."""
    before = len(load.receipts)

    async def killer() -> None:
        while len(load.receipts) < before + count // 2 and not load.failures:
            await asyncio.sleep(0.001)
        node.kill()

    await asyncio.gather(hold(load, _port(node), clients, count), killer())


def play(count: int, seed: int, defect: str | None) -> tuple[Load, list[str]]:
    """The whole run on a folder of its own; what was seen, and each receipt that was lost."""
    load = Load()
    randomness = random.Random(seed)
    arguments = ["--accounts", str(CLIENTS), *(["--defect", defect] if defect else [])]
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), arguments)
        senders = accounts(TEST_MNEMONIC, CLIENTS)
        clients = [Client(load, sender, random.Random(randomness.random())) for sender in senders]
        node = Node(run)
        last = count // 10
        asyncio.run(hold(load, _port(node), clients, count - last))
        asyncio.run(_killed_in_the_middle(load, node, clients, last))
        node = Node(run)
        lost = asyncio.run(_lost(load, _port(node), senders[0]))
        node.kill()
    return load, lost


async def _lost(load: Load, port: int, account: Account) -> list[str]:
    client = Client(load, account, random.Random(0))
    await client.open(port)
    lost = []
    for transaction, receipt in load.receipts.items():
        if await client.ask("eth_getTransactionReceipt", transaction) != receipt:
            lost.append(f"{transaction} of block {int(receipt['blockNumber'], 16)}")
    client.close()
    return lost


def _port(node: Node) -> int:
    return int(node.url.rsplit(":", 1)[1])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def recorded(count: int, seed: int) -> RunRecord:
    """A run and, shorter, one with the planted defect."""
    started = time.monotonic()
    load, lost = play(count, seed, None)
    seconds = time.monotonic() - started
    _, planted = play(_PLANTED, seed, "write-behind")
    return RunRecord(
        seed=seed,
        count=count,
        stages={"receipts seen": len(load.receipts), "there after the kill": len(load.receipts) - len(lost)},
        findings=[*load.failures, *lost],
        planted_defect={"write-behind": {"lost receipts": len(planted)}},
        details={
            "clients": CLIENTS,
            "requests": load.counts["requests"],
            "seconds": round(seconds, 1),
            "slowest answer, seconds": round(load.slowest, 2),
        },
    )


def main() -> int:
    """The command line."""
    chosen = options(__doc__ or "", 20_000).parse_args()
    started = time.monotonic()
    return finish(recorded(chosen.count, chosen.seed), chosen, started)


if __name__ == "__main__":
    sys.exit(main())
