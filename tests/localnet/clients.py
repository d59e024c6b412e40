"""Concurrent clients of a node, each with its own connection and account, for runs that kill the node."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.context import DEVNET_CHAIN_ID
from localnet.accounts import Account
from localnet.rpc.values import as_data

_ASIDE: Final = ("balance", "logs", "call", "estimate", "block")
_TARGET: Final = EthAddress(b"\x77" * 20)


@dataclass
class Load:
    """Observations of the clients: receipts by hash, counts, and failed requests with their errors."""

    receipts: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    sends: list[float] = field(default_factory=list)
    """Times of sent transactions in seconds."""
    notes: dict[str, float] = field(default_factory=dict)


class Client:
    """A persistent connection and an account."""

    def __init__(self, load: Load, account: Account, randomness: random.Random) -> None:
        self._load, self._account, self._random = load, account, randomness
        self._nonce = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.is_connected = False
        """True from the node's first response until the connection is closed."""

    async def open(self, port: int) -> None:
        """Connect, and request the next nonce."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._nonce = int(await self.request("eth_getTransactionCount", as_data(self._account.address), "latest"), 16)
        self.is_connected = True

    def close(self) -> None:
        """Close the connection."""
        self.is_connected = False
        if self._writer is not None:
            self._writer.close()

    async def request(self, method: str, *params: Any) -> Any:
        """Return the result of a request. Raises ConnectionError without a node, RuntimeError for an error response."""
        return _result(method, await self._exchange(_request(method, params)))

    async def request_batch(self, method: str, each: Iterable[Sequence[Any]]) -> list[Any]:
        """Return the results of one batch of requests of a method. Raises as `request`."""
        responses = await self._exchange([_request(method, params, number) for number, params in enumerate(each)])
        return [_result(method, result) for result in sorted(responses, key=itemgetter("id"))]

    async def _exchange(self, content: Any) -> Any:
        assert self._reader is not None
        assert self._writer is not None
        body = json.dumps(content).encode()
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        started = time.monotonic()
        self._writer.write(head.encode() + b"\r\n\r\n" + body)
        await self._writer.drain()
        try:
            answer_head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(answer_head.split("content-length:")[1].split("\r\n")[0])
            response = json.loads(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError(str(error)) from None
        self._load.slowest = max(self._load.slowest, time.monotonic() - started)
        self._load.counts["requests"] += 1
        return response

    async def transact(self) -> None:
        """Send a transfer, get its receipt, and send another request."""
        value = self._random.randrange(1, 1000)
        transaction = Transaction(
            DYNAMIC_FEE, DEVNET_CHAIN_ID, self._nonce, _TARGET, value, b"", 5_000_000, 10**9, 10**5
        )
        self._load.counts["sent"] += 1
        raw, began = as_data(self._account.sign(transaction).raw()), time.monotonic()
        sent = await self.request("eth_sendRawTransaction", raw)
        self._load.sends.append(time.monotonic() - began)
        receipt = await self.request("eth_getTransactionReceipt", sent)
        if receipt is None or receipt["status"] != "0x1":
            raise RuntimeError(f"transaction {sent} was taken and has the receipt {receipt}")
        self._load.receipts[sent] = receipt
        self._nonce += 1
        await self._aside(receipt)

    async def _aside(self, receipt: dict[str, Any]) -> None:
        address, block = as_data(self._account.address), receipt["blockNumber"]
        match self._random.choice(_ASIDE):
            case "balance":
                await self.request("eth_getBalance", address, "latest")
            case "logs":
                await self.request("eth_getLogs", {"fromBlock": block, "toBlock": block})
            case "call":
                await self.request("eth_call", {"from": address, "to": address}, "latest")
            case "estimate":
                await self.request("eth_estimateGas", {"from": address, "to": address, "value": "0x1"})
            case _:
                found = await self.request("eth_getBlockByNumber", block, False)
                if receipt["transactionHash"] not in found["transactions"]:
                    raise RuntimeError(f"block {block} lacks transaction {receipt['transactionHash']}")


def _request(method: str, params: Sequence[Any], number: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def _result(method: str, answer: Any) -> Any:
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]


async def run_load(load: Load, port: int, clients: list[Client], count: int) -> None:
    """Run all clients until they have sent `count` transactions together, or the node stops responding."""
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
