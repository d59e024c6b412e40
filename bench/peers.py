"""anvil (from `scripts/clients`) and titanoboa, and the costs of requests there and here.

A cost is the processor time of the node, all threads together. So neither the client nor other programs count; nor, on
the other hand, waiting for the disk, to which the peers do not write.
"""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from localnet.accounts import Account, accounts
from tests.harness.paths import PROJECT

ANVIL = PROJECT / "build" / "clients" / "node_modules" / "@foundry-rs"
TRANSFERS = 100
ROUNDS = 4
_RECEIVER = accounts(count=2)[1].address
_TRANSFER_GAS = 3_000_000
_TIMEOUT = 60.0
"""Time limit in seconds for a node's response."""

Step = Callable[[list[str]], list[str]]
"""Sends signed transactions, or mines sent ones; returns their hashes."""


class PeerConnection:
    """A persistent connection with minimal overhead."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, method: str, *params: Any) -> Any:
        """Return the result of a method. Raises RuntimeError for an error response."""
        response = self.response(method, *params)
        if "result" not in response:
            raise RuntimeError(f"{method}: {response['error']}")
        return response["result"]

    def response(self, method: str, *params: Any) -> dict[str, Any]:
        """Return the whole response to a request."""
        response: dict[str, Any] = self._exchange(request_body(method, *params))
        return response

    def send(self, raw: str) -> str:
        """Send a transaction; return its hash."""
        sent: str = self.request("eth_sendRawTransaction", raw)
        return sent

    def send_each(self, raw: list[str]) -> list[str]:
        """Send transactions one by one; return their hashes."""
        return [self.send(one) for one in raw]

    def send_with_receipts(self, raw: list[str]) -> list[str]:
        """Send transactions, and request the receipt of each before the next; return their hashes."""
        return [self.receipt(self.send(one)) for one in raw]

    def send_all(self, raw: list[str]) -> list[str]:
        """Send transactions in a batch; return their hashes."""
        bodies = [request_body("eth_sendRawTransaction", one) for one in raw]
        return [response["result"] for response in self._exchange(bodies)]

    def send_in_one_block(self, raw: list[str]) -> list[str]:
        """Send transactions one by one, and mine them together; return their hashes."""
        return self.mine(self.send_waiting(raw))

    def send_waiting(self, raw: list[str]) -> list[str]:
        """Send transactions one by one that wait for `mine`; return their hashes."""
        self.request("evm_setAutomine", False)
        return self.send_each(raw)

    def mine(self, sent: list[str]) -> list[str]:
        """Mine the waiting transactions; return their hashes, which are `sent`."""
        self.request("evm_mine")
        self.request("evm_setAutomine", True)
        return sent

    def receipt(self, sent: str) -> str:
        """Poll for the receipt of a transaction; return the transaction's hash."""
        while (receipt := self.request("eth_getTransactionReceipt", sent)) is None:
            pass
        found: str = receipt["transactionHash"]
        return found

    def _exchange(self, content: Any) -> Any:
        body = json.dumps(content)
        head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self._socket.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        header, _, rest = data.partition(b"\r\n\r\n")
        if b"content-length:" not in header.lower():
            return json.loads(self._chunks(rest))
        length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(rest) < length:
            rest += self._receive()
        return json.loads(rest)

    def _chunks(self, rest: bytes) -> bytes:
        """Return a chunked body."""
        body = b""
        while True:
            while b"\r\n" not in rest:
                rest += self._receive()
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            while len(rest) < length + 2:
                rest += self._receive()
            if not length:
                return body
            body, rest = body + rest[:length], rest[length + 2 :]

    def _receive(self) -> bytes:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the node hung up")
        return data


def request_body(method: str, *params: Any) -> dict[str, Any]:
    """Return the JSON of a request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@dataclass(frozen=True, slots=True)
class Running:
    """A node's process and its port."""

    process: int
    port: int

    def processor_time(self) -> float:
        """Return seconds of processor time of the process, by Linux's clock of another process."""
        return time.clock_gettime(~self.process << 3 | 2)


class Transactions:
    """Transactions of the first default account, and what they cost a node."""

    def __init__(self, connection: PeerConnection, clock: Callable[[], float]) -> None:
        self._connection, self._clock = connection, clock
        self._chain_id = int(connection.request("eth_chainId"), 16)
        self._sender = accounts()[0]

    def transfers(self, send: Step) -> float:
        """Return microseconds for one of a hundred transfers sent by `send`, until the last one has its receipt."""
        return self.calls(_RECEIVER, repeat(b""), send, TRANSFERS)

    def calls(
        self, to: EthAddress | None, data: Iterator[bytes], send: Step, size: int = 1, before: Step = list
    ) -> float:
        """Return microseconds for one of `size` transactions with the next data, until the last one has its receipt.

        `before` gets the signed transactions and is not measured; `send` gets what it returns.
        """
        return min(self._microseconds(send, [(to, one) for one in islice(data, size)], before) for _ in range(ROUNDS))

    def _microseconds(self, send: Step, calls: list[tuple[EthAddress | None, bytes]], before: Step) -> float:
        sender = f"0x{self._sender.address.hex()}"
        nonce = int(self._connection.request("eth_getTransactionCount", sender, "latest"), 16)
        gas = self._gas(sender, *calls[0])
        raw = [
            f"0x{signed_transaction(self._sender, nonce + step, self._chain_id, to, data, gas).hex()}"
            for step, (to, data) in enumerate(calls)
        ]
        prepared = before(raw)
        start = self._clock()
        self._connection.receipt(send(prepared)[-1])
        return 1e6 * (self._clock() - start) / len(calls)

    def _gas(self, sender: str, to: EthAddress | None, data: bytes) -> int:
        fields = {"from": sender, "data": f"0x{data.hex()}"} | ({} if to is None else {"to": f"0x{to.hex()}"})
        return int(self._connection.request("eth_estimateGas", fields), 16)


def signed_transaction(
    sender: Account, nonce: int, chain_id: int, to: EthAddress | None = _RECEIVER, data: bytes = b"",
    gas: int = _TRANSFER_GAS,
) -> bytes:  # fmt: skip
    """Return a signed transaction, with fees that suffice on every node."""
    value = 0 if data else 1
    return sender.sign(Transaction(DYNAMIC_FEE, chain_id, nonce, to, value, data, gas, 2 * 10**9, 10**5)).raw()


@contextmanager
def anvil() -> Iterator[Running | None]:
    """Run anvil; None if it is not installed."""
    found = sorted(ANVIL.glob("anvil-*/bin/anvil"))
    if not found:
        yield None
        return
    port = free_port()
    with _running([found[0], "--port", str(port), "--silent"], port) as node:
        yield node


def titanoboa() -> float | None:
    """Return microseconds of a transfer in titanoboa's process; None if it is not installed (`scripts/peers`)."""
    python = PROJECT / "build" / "peers" / "titanoboa" / "bin" / "python"
    if not python.exists():
        return None
    program = [python, PROJECT / "bench" / "titanoboa_alone.py"]
    result = subprocess.run(program, check=True, capture_output=True, text=True, cwd=python.parent)
    return float(result.stdout)


@contextmanager
def _running(command: list[Any], port: int) -> Iterator[Running]:
    """Run a node, and wait until its port accepts connections."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} did not start")
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.01)
        yield Running(process.pid, port)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
