"""Mixed traffic of `tests.localnet.long_life_run`, and the cost of each request for the node.

A round has 200 transactions, fewer in a short run: ten single, the others in two batches. Every second one calls a
contract that emits an event. A round also has one request of each other kind, and two subscriptions that are created
and dropped. Each fifth round is inside a snapshot that is reverted; one snapshot in ten is kept. The cost is CPU time
of the node's process, so that other programs do not count. Blocks with one transaction and blocks of a batch are
separate kinds: their costs differ so much that the median of both together would depend on the few blocks selected.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from websockets.asyncio.client import ClientConnection, connect

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from localnet import Artifact
from localnet.accounts import Account
from localnet.rpc.values import as_data
from tests.localnet.clients import Client, Load
from tests.localnet.conftest import ARTIFACTS

T = TypeVar("T")

ROUND: Final = 200
"""Maximum number of transactions per round."""
SHORTEST: Final = 20
"""Minimum number of transactions per round."""
_ALONE: Final = 10
_SNAPSHOT_EACH: Final = 5
_LEFT_EACH: Final = 10
"""One in this many snapshots is not reverted."""
_UNSAID_EACH: Final = 7
"""One in this many rounds leaves its subscriptions open; they end with their connection."""
_CONNECTION: Final = 40
"""Number of rounds per connection."""
_TRACE_EACH: Final = 5
_OLD: Final = 1_000
"""Number of recent transactions that later requests use."""
_GAS: Final = {"filecoin": 100_000_000, "ethereum": 200_000}
_LOGS: Final = 50
"""Number of blocks in log queries."""


class Traffic:
    """A client of a node. `size` is the number of transactions per round.

    `costs` are nanoseconds of the node's CPU time by kind, `waits` wall-clock seconds.
    """

    def __init__(self, port: int, process: int, rules: str, senders: Sequence[Account], seed: int, size: int) -> None:
        self._port, self._gas, self._senders, self._size = port, _GAS[rules], senders, size
        self._clock = ~process << 3 | 2  # clock_getcpuclockid(3) of a process
        self._random = random.Random(seed)
        self._http = Client(Load(), senders[0], self._random)
        self._inbox = Artifact.load(ARTIFACTS / "Inbox.json")
        self._nonces = [0] * len(senders)
        self._contract = ""
        self._socket: Subscriber | None = None
        self._old: list[str] = []
        self._rounds = self._snapshots = 0
        self.costs: defaultdict[str, list[int]] = defaultdict(list)
        self.waits: list[float] = []
        self.sent = self.subscriptions = self.snapshots = 0
        self.failures: list[str] = []

    async def open(self) -> None:
        """Connect and deploy the contract."""
        await self._http.open(self._port)
        self._chain_id = int(await self._http.request("eth_chainId"), 16)
        code = as_data(self._inbox.interface.encode_constructor(self._inbox.bytecode))
        self._contract = "0x" + "0" * 40
        deployed = await self._http.request("eth_sendRawTransaction", self._signed(None, bytes.fromhex(code[2:])))
        self._contract = (await self._http.request("eth_getTransactionReceipt", deployed))["contractAddress"]

    async def close(self) -> None:
        """Close the connections."""
        if self._socket is not None:
            await self._socket.close()
        self._http.close()

    async def next_hour(self) -> None:
        """Advance the network's time by an hour and reset the costs."""
        await self._http.request("evm_increaseTime", 3600)
        self.costs.clear()
        self.waits.clear()

    async def round(self) -> None:
        """Run a round and record its failures."""
        self._rounds += 1
        snapshot = None
        if self._rounds % _SNAPSHOT_EACH == 0:
            snapshot = await self._timed("evm_snapshot", self._http.request("evm_snapshot"))
            self.snapshots += 1
        nonces, left = [*self._nonces], len(self._old)
        subscriber = await self._subscriber()
        made = [await self._timed("eth_subscribe", subscriber.subscribe(kind)) for kind in ("newHeads", "logs")]
        self.subscriptions += len(made)
        last = await self._transactions()
        await self._questions(last)
        if self._rounds % _UNSAID_EACH:
            for one in made:
                await self._timed("eth_unsubscribe", subscriber.unsubscribe(one))
        self.failures += subscriber.late
        subscriber.late.clear()
        if snapshot is not None and self.snapshots % _LEFT_EACH:
            if not await self._timed("evm_revert", self._http.request("evm_revert", snapshot)):
                self.failures.append(f"snapshot {snapshot} is not there")
            self._nonces = nonces
            del self._old[left:]

    async def _transactions(self) -> str:
        """Send the transactions of a round; return the hash of the last one, which has a receipt."""
        for number in range(_ALONE):
            raw = self._signed(*self._next(number))
            sent = await self._timed("eth_sendRawTransaction", self._http.request("eth_sendRawTransaction", raw))
        half = (_ALONE + self._size) // 2
        for batch in (range(_ALONE, half), range(half, self._size)):
            together = [(self._signed(*self._next(number)),) for number in batch]
            hashes = await self._timed("a batch", self._http.request_batch("eth_sendRawTransaction", together))
        self.sent += self._size
        for transaction in (sent, hashes[-1]):
            receipt = await self._timed("a receipt", self._http.request("eth_getTransactionReceipt", transaction))
            if receipt is None or receipt["status"] != "0x1":
                self.failures.append(f"transaction {transaction} was taken and has the receipt {receipt}")
        if len(self._old) < _OLD:
            self._old.append(sent)
        elif self._random.random() < _OLD * self._size / (self.sent + 1):
            self._old[self._random.randrange(_OLD)] = sent if self._rounds % _SNAPSHOT_EACH else self._old[0]
        return str(hashes[-1])

    async def _questions(self, last: str) -> None:
        """Send one request of each kind."""
        sender = as_data(self._senders[self._random.randrange(len(self._senders))].address)
        call = {"from": sender, "to": self._contract, "data": as_data(self._inbox.interface.encode_call("greetings"))}
        head = int(await self._timed("eth_blockNumber", self._http.request("eth_blockNumber")), 16)
        blocks = {"fromBlock": hex(max(0, head - _LOGS)), "toBlock": hex(head)}
        asked: list[tuple[str, str, tuple[Any, ...]]] = [
            ("eth_getBalance", "eth_getBalance", (sender, "latest")),
            ("eth_call", "eth_call", (call, "latest")),
            ("eth_estimateGas", "eth_estimateGas", (call,)),
            ("eth_getLogs", "eth_getLogs", (blocks,)),
        ]
        if self._old:
            asked.append(("an old receipt", "eth_getTransactionReceipt", (self._random.choice(self._old),)))
        if self._rounds % _TRACE_EACH == 1:
            asked.append(("a trace", "debug_traceTransaction", (last, {"tracer": "callTracer"})))
        for kind, method, params in asked:
            if await self._timed(kind, self._http.request(method, *params)) is None:
                self.failures.append(f"{kind}: {method} of {params} answered null")
        old = self._http.request("eth_getBlockByNumber", hex(self._random.randrange(head + 1)), True)
        if await self._timed(_kind_of_block, old) is None:
            self.failures.append("an old block: eth_getBlockByNumber answered null")

    async def _timed(self, kind: str | Callable[[T], str], asking: Awaitable[T]) -> T:
        """Return the response, and record its cost under its kind, or the kind that a function gives it."""
        began, processor = time.monotonic(), time.clock_gettime_ns(self._clock)
        answer = await asking
        cost = time.clock_gettime_ns(self._clock) - processor
        self.costs[kind if isinstance(kind, str) else kind(answer)].append(cost)
        self.waits.append(time.monotonic() - began)
        return answer

    async def _subscriber(self) -> "Subscriber":
        """Return the connection for subscriptions, sometimes a new one."""
        if self._socket is not None and self._rounds % _CONNECTION == 0:
            await self._socket.close()
            self._socket = None
        if self._socket is None:
            self._socket = Subscriber(await connect(f"ws://127.0.0.1:{self._port}"))
        return self._socket

    # --- transactions -----------------------------------------------------------------------------------------

    def _next(self, number: int) -> tuple[bytes | None, bytes, int]:
        """Return receiver, data and value of the next transaction."""
        if number % 2:
            return bytes.fromhex(self._contract[2:]), self._inbox.interface.encode_call("greet", f"{self.sent}"), 0
        return bytes([self._random.randrange(1, 250)] * 20), b"", self._random.randrange(1, 10**9)

    def _signed(self, to: bytes | None, data: bytes, value: int = 0) -> str:
        sender = self._random.randrange(len(self._senders))
        nonce, self._nonces[sender] = self._nonces[sender], self._nonces[sender] + 1
        gas = self._gas if to is not None else 10 * self._gas
        transaction = Transaction(DYNAMIC_FEE, self._chain_id, nonce, to, value, data, gas, 10**10, 10**5)  # type: ignore[arg-type]  # bytes of an address
        return as_data(self._senders[sender].sign(transaction).raw())


def _kind_of_block(block: dict[str, Any] | None) -> str:
    """Return the kind of a request by the block that it returned."""
    return "an old block" if block is None or len(block["transactions"]) <= 1 else "an old block of a batch"


class Subscriber:
    """A WebSocket, and notifications of dropped subscriptions."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._dropped: set[str] = set()
        self.late: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def subscribe(self, kind: str) -> str:
        """Return a new subscription's ID."""
        return str(await self._ask("eth_subscribe", kind))

    async def unsubscribe(self, subscription: str) -> bool:
        """Drop the subscription."""
        dropped = bool(await self._ask("eth_unsubscribe", subscription))
        self._dropped.add(subscription)
        return dropped

    async def close(self) -> None:
        """Close the connection with its open subscriptions."""
        await self._connection.close()
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    async def _ask(self, method: str, parameter: str) -> Any:
        await self._connection.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [parameter]}))
        answer = await self._answers.get()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def _read(self) -> None:
        async for message in self._connection:
            content = json.loads(message)
            if "id" in content:
                self._answers.put_nowait(content)
            elif content["params"]["subscription"] in self._dropped:
                self.late.append(f"subscription {content['params']['subscription']} was dropped and still reports")
