"""The node: how soon it answers, and what requests and transactions cost, beside anvil where that is installed.

On the official bundle of the test data, on a folder, with every block synced. anvil is the one of `scripts/clients`.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from bench.data import BUNDLES, PROJECT
from bench.rows import Row, seconds
from bridge.transactions import DYNAMIC_FEE, Transaction
from localnet import Network, admission
from localnet.accounts import Account, accounts
from localnet.execution import execute
from localnet.records import Tipset

BUNDLE = BUNDLES / "v18-testing-fake-proofs.car"
ANVIL = PROJECT / "build" / "clients" / "node_modules" / ".bin" / "anvil"
HYPERVISOR = Path(sys.executable).with_name("hypervisor")
CHAIN_ID = 31_415_926
TRANSFERS = 100


def rows() -> Iterator[Row]:
    """The rows of this area, in the order of targets.toml."""
    if not BUNDLE.is_file():
        for name in ("warm start to ready", "eth_chainId", "a transfer and its receipt", "snapshot and revert"):
            yield Row(name, None, note=f"no bundle {BUNDLE.name}: set FVM_DATA")
        return
    with TemporaryDirectory() as folder:
        state = Path(folder) / "chain"
        yield start_row(Path(folder), state)
        with node(Path(folder), state) as port:
            yield chain_id_row(port)
            full = transfer_milliseconds(port)
    yield transfer_row(full)
    yield snapshot_row()


def start_row(folder: Path, state: Path) -> Row:
    """Milliseconds from the command to the ready file, on a folder that is there; the first start fills the caches."""
    taken = []
    for _ in range(4):
        start = perf_counter()
        with node(folder, state):
            taken.append(1e3 * (perf_counter() - start))
    return Row("warm start to ready", min(taken[1:]), note="hypervisor node --state, modules cached")


def chain_id_row(port: int) -> Row:
    """A request that needs nothing of the chain, over a kept connection, against anvil's."""
    ours = seconds(requests(port, "eth_chainId"), calls=300)
    parts = {"microseconds": 1e6 * ours}
    if not ANVIL.exists():
        return Row("eth_chainId", None, note="anvil is not installed: run scripts/clients", parts=parts)
    with anvil() as other:
        theirs = seconds(requests(other, "eth_chainId"), calls=300)
    return Row("eth_chainId", ours / theirs, parts=parts | {"anvil's microseconds": 1e6 * theirs})


def transfer_row(full: float) -> Row:
    """Milliseconds of one transfer, sent raw, with its receipt, one after the other; and where they go."""
    with TemporaryDirectory() as folder, Network(Path(folder) / "chain", bundle=BUNDLE) as stored:
        on_disk = transfers(stored)
    with Network(bundle=BUNDLE) as network:
        in_memory = transfers(network)
        raw = [_transfer(network.accounts[0], network.nonce(network.accounts[0]) + step) for step in range(TRANSFERS)]
        empty = 1e3 * seconds(lambda: network.mine(), calls=20)
        start = perf_counter()
        for data in raw:
            candidate = admission.from_raw(data, network.chain_id)
        admission.check(network.machine, candidate, network.base_fee)
        checked = 1e3 * (perf_counter() - start) / TRANSFERS
        candidates = [admission.from_raw(data, network.chain_id) for data in raw]
        start = perf_counter()
        with network.machine.trial():
            done = list(execute(network.machine, candidates))
        executed = 1e3 * (perf_counter() - start) / TRANSFERS
    parts = {
        "HTTP, JSON, the way to the owner's thread, the receipt": full - on_disk,
        "the synced commit": on_disk - in_memory,
        "signature and checks": checked,
        "the message": executed,
        "reward, cron and the block": empty,
        "the rest": in_memory - checked - executed - empty,
    }
    return Row("a transfer and its receipt", full, note=f"{len(done)} transfers, one by one", parts=parts)


def snapshot_row() -> Row:
    """Milliseconds of a snapshot and the way back to it over some blocks."""
    with TemporaryDirectory() as folder, Network(Path(folder) / "chain", bundle=BUNDLE) as network:
        taken = []
        for _ in range(20):
            before: Tipset = network.head
            start = perf_counter()
            snapshot = network.snapshot()
            taken_so_far = perf_counter() - start
            network.mine(5)
            start = perf_counter()
            network.revert(snapshot)
            taken.append(1e3 * (taken_so_far + perf_counter() - start))
            assert network.head == before
    return Row("snapshot and revert", min(taken), note="five blocks back, on a folder, synced")


# --- nodes and requests -----------------------------------------------------------------------------------------------


@contextmanager
def node(folder: Path, state: Path) -> Iterator[int]:
    """A node on a folder; its port."""
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    options = ["--bundle", str(BUNDLE), "--state", str(state), "--port", "0", "--ready-file", str(ready), "--silent"]
    process = subprocess.Popen([HYPERVISOR, "node", *options])  # noqa: S603
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError("the node did not start")
            time.sleep(0.001)
        yield int(ready.read_text().strip().rsplit(":", 1)[1])
    finally:
        process.terminate()
        process.wait()


@contextmanager
def anvil() -> Iterator[int]:
    """anvil on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen([ANVIL, "--port", str(port), "--silent"])  # noqa: S603
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait()


class Connection:
    """A kept connection, as thin as the client of a measurement must be."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, *params: Any) -> Any:
        """The result of a method."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self._socket.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65536)
        header, _, rest = data.partition(b"\r\n\r\n")
        length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(rest) < length:
            rest += self._socket.recv(65536)
        return json.loads(rest)["result"]


def requests(port: int, method: str) -> Callable[[], Any]:
    """A request that can be made again and again."""
    connection = Connection(port)
    return lambda: connection.ask(method)


def transfer_milliseconds(port: int) -> float:
    """One transfer and its receipt over JSON-RPC: the best of some rounds."""
    connection, sender = Connection(port), accounts()[0]
    best = float("inf")
    for _ in range(3):
        nonce = int(connection.ask("eth_getTransactionCount", f"0x{sender.address.hex()}", "latest"), 16)
        raw = [f"0x{_transfer(sender, nonce + step).hex()}" for step in range(TRANSFERS)]
        start = perf_counter()
        for data in raw:
            assert connection.ask("eth_getTransactionReceipt", connection.ask("eth_sendRawTransaction", data))
        best = min(best, 1e3 * (perf_counter() - start) / TRANSFERS)
    return best


def transfers(network: Network) -> float:
    """One transfer in this process, in milliseconds: the best of some rounds."""
    sender, best = network.accounts[0], float("inf")
    for _ in range(3):
        raw = [_transfer(sender, network.nonce(sender) + step) for step in range(TRANSFERS)]
        start = perf_counter()
        for data in raw:
            network.submit(data)
        best = min(best, 1e3 * (perf_counter() - start) / TRANSFERS)
    return best


def _transfer(sender: Account, nonce: int) -> bytes:
    receiver = accounts(count=2)[1].address
    transaction = Transaction(DYNAMIC_FEE, CHAIN_ID, nonce, receiver, 1, b"", 3_000_000, 10**6, 10**5)
    return sender.sign(transaction).raw()
