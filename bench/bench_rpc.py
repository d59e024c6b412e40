"""Requests over JSON-RPC compared with anvil in one run: their processor time in the node, and their duration for viem.

The node has the default bundle. Requests of viem wait for one another, and their duration includes viem itself.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import count, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import workloads
from bench.bench_node import node
from bench.peers import TRANSFERS, PeerConnection, Running, Step, Transactions, anvil
from bench.rows import Row, seconds
from bridge.ethereum.addresses import EthAddress
from localnet.accounts import accounts
from store.keccak import keccak
from tests.harness.paths import PROJECT
from tests.runtimes.evm.assembler import deployer

VIEM: Final = {
    "transfer": "a transfer by viem",
    "estimateGas": "estimateGas by viem",
    "getLogs": "getLogs of 200 logs by viem",
    "call": "call by viem",
}
"""Rows by the requests of viem.mjs."""
_PROGRAM: Final = Path(__file__).with_name("viem.mjs")
_VIEM: Final = PROJECT / "build" / "clients" / "node_modules" / "viem" / "_esm" / "index.js"

Microseconds = dict[str, float]
"""Microseconds by request."""
_EMPTY, _WRITER = (EthAddress(bytes(19) + last) for last in (b"\x99", b"\x98"))
_EMPTY_CODE: Final = (
    "0x6080604052348015600e575f5ffd5b50600436106026575f3560e01c8063448f30a314602a575b5f5ffd5b00fea26469706673582212"
    "20a045034d901a4b9885069dcc056db509b1e408babaa9cf8dedf56a5e13c1f88a64736f6c63430008250033"
)
"""`contract Empty { function nothing() external {} }`, by solc 0.8.37, optimised."""
_NOTHING: Final = "0x448f30a3"
_TRANSFER: Final = bytes.fromhex("a9059cbb")
_HOLDER: Final = int.from_bytes(b"\x11" * 20, "big")
"""The first receiver of tokens."""
_SLOTS: Final = 500
_WRITER_CODE: Final = "0x5f356101f45b80820181905560019003806005575000"
"""Code that writes 500 slots from the number of the input on."""

StartedNode = Callable[[], AbstractContextManager[Running | None]]


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    with TemporaryDirectory() as folder:
        ethereum, filecoin = (partial(node, Path(folder), None, "--rules", rules) for rules in ("ethereum", "filecoin"))
        for measure in (_costs, _durations):
            theirs = measure(anvil)
            yield from beside_anvil("Ethereum's rules", measure(ethereum), theirs)
            yield from beside_anvil("Filecoin's rules", measure(filecoin), theirs)


def beside_anvil(rules: str, ours: Microseconds, theirs: Microseconds) -> Iterator[Row]:
    """Yield our microseconds as multiples of anvil's; the parts show both."""
    for name, microseconds in ours.items():
        if not microseconds or not theirs.get(name):
            yield Row(f"{name}, {rules}", None, "anvil or viem is not installed: run scripts/clients")
            continue
        parts = {"ours, us": microseconds, "anvil's, us": theirs[name]}
        yield Row(f"{name}, {rules}", microseconds / theirs[name], parts=parts)


class RequestCosts:
    """Microseconds of processor time per request over a persistent connection, the best of several rounds.

    The node mines every transaction immediately.
    """

    def __init__(self, running: Running) -> None:
        self._connection, self._clock = PeerConnection(running.port), running.processor_time
        self._transactions = Transactions(self._connection, self._clock)
        for address, code in ((_EMPTY, _EMPTY_CODE), (_WRITER, _WRITER_CODE)):
            self._connection.request("hardhat_setCode", f"0x{address.hex()}", code)

    def chain_id(self) -> float:
        """Return the cost of the chain ID, the smallest request."""
        return self._each(300, "eth_chainId")

    def call(self) -> float:
        """Return the cost of a call of an empty function."""
        return self._each(100, "eth_call", {"to": f"0x{_EMPTY.hex()}", "data": _NOTHING}, "latest")

    def transfer(self) -> float:
        """Return the cost of sending and mining a transfer."""
        return self._transactions.transfers(self._connection.send_each)

    def receipt(self) -> float:
        """Return the cost of a transfer whose receipt is requested before the next one."""
        return self._transactions.transfers(self._connection.send_with_receipts)

    def batched(self) -> float:
        """Return the cost of a transfer of a batch request."""
        return self._transactions.transfers(self._connection.send_all)

    def in_one_block(self) -> float:
        """Return the cost of a transfer of a block with a hundred."""
        return self._transactions.transfers(self._connection.send_in_one_block)

    def tokens_batched(self) -> float:
        """Return the cost of an ERC-20 transfer of a batch request, each to a new holder."""
        return self._tokens(self._connection.send_all)

    def tokens_in_one_block(self) -> float:
        """Return the cost of an ERC-20 transfer of a block with a hundred, each to a new holder."""
        return self._tokens(self._connection.send_in_one_block)

    def tokens_mined(self) -> float:
        """Return the cost of an ERC-20 transfer of such a block without sending it: from evm_mine to the receipt."""
        return self._tokens(self._connection.mine, self._connection.send_waiting)

    def mined(self) -> float:
        """Return the cost of an empty block."""
        return self._each(50, "evm_mine")

    def writes(self) -> float:
        """Return the cost of a transaction that writes 500 fresh slots, and its receipt."""
        data = (slot.to_bytes(32, "big") for slot in count(1 << 200, _SLOTS))
        return self._transactions.calls(_WRITER, data, self._connection.send_all)

    def deployment(self) -> float:
        """Return the cost of a transaction that deploys 20 KB, and its receipt."""
        data = repeat(deployer(bytes(at % 251 for at in range(20_000))))
        return self._transactions.calls(None, data, self._connection.send_all)

    def _tokens(self, send: Step, before: Step = list) -> float:
        connection, sender = self._connection, accounts()[0].address
        place, balance = f"0x{workloads.TOKEN.hex()}", keccak(bytes(12) + sender + bytes(32)).hex()
        connection.request("hardhat_setCode", place, f"0x{workloads.accounts()[workloads.TOKEN].code.hex()}")
        connection.request("hardhat_setStorageAt", place, f"0x{balance}", f"0x{1 << 64:064x}")
        data = (_TRANSFER + word.to_bytes(32, "big") + (1).to_bytes(32, "big") for word in count(_HOLDER))
        return self._transactions.calls(workloads.TOKEN, data, send, TRANSFERS, before)

    def _each(self, calls: int, method: str, *params: object) -> float:
        return 1e6 * seconds(lambda: self._connection.request(method, *params), calls=calls, clock=self._clock)


COSTS: Final[dict[str, Callable[[RequestCosts], float]]] = {
    "eth_chainId": RequestCosts.chain_id,
    "eth_call of an empty function": RequestCosts.call,
    "a transfer": RequestCosts.transfer,
    "a transfer and its receipt": RequestCosts.receipt,
    "a transfer of a batch": RequestCosts.batched,
    "a transfer of a block of 100": RequestCosts.in_one_block,
    "an ERC-20 transfer of a batch": RequestCosts.tokens_batched,
    "an ERC-20 transfer of a block of 100": RequestCosts.tokens_in_one_block,
    "an ERC-20 transfer of a block of 100, only mined": RequestCosts.tokens_mined,
    "an empty block": RequestCosts.mined,
    "a transaction with 500 fresh slots": RequestCosts.writes,
    "a deployment of 20 KB": RequestCosts.deployment,
}
"""Rows of single requests."""


def _costs(start: StartedNode) -> Microseconds:
    """Return the cost of each request to a fresh node, 0 without the node; anvil stores old states after 500 blocks."""
    found = {}
    for name, measure in COSTS.items():
        with start() as running:
            found[name] = 0.0 if running is None else measure(RequestCosts(running))
    return found


def _durations(start: StartedNode) -> Microseconds:
    """Return microseconds by the requests of viem, 0 without the node or viem."""
    with start() as running:
        if running is None or not _VIEM.is_file():
            return dict.fromkeys(VIEM.values(), 0.0)
        command = ["node", str(_PROGRAM), str(_VIEM), f"http://127.0.0.1:{running.port}"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    return {name: found[key] for key, name in VIEM.items()}
