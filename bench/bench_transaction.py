"""An empty transaction through all layers: from a message to its receipt, with its state in memory.

It transfers nothing between two accounts, and is applied to a network's first state and flushed. Signatures are not
included. Rows use the processor time of all threads; parts are measured one at a time, and each includes what it calls
except for the parts below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import process_time
from typing import Any

from bench.rows import Row
from bridge.transactions import DYNAMIC_FEE, Transaction
from hypervisor.call_manager import CallManager
from hypervisor.deep_stack import Stacks
from hypervisor.executor import Executor
from hypervisor.machine import Hypervisor
from hypervisor.message import Message, SignedMessage
from hypervisor.state_tree import StateTree
from hypervisor.types import Gas, TokenAmount
from localnet import Network
from localnet.chain import admission
from runtimes.evm.ethereum.accounts import Accounts
from runtimes.evm.ethereum.application import Application
from runtimes.wasm import WasmRuntime
from store.buffered import BufferedStore
from store.compiled import compiled_modules
from store.memory import MemoryStore

ROUNDS = 100
FEE = TokenAmount(2 * 10**9)
GAS = Gas(3_000_000)

Part = tuple[str, type, str]
_FLUSH: tuple[Part, ...] = (
    ("flush: the actors and their tree encoded", StateTree, "flush"),
    ("flush: what the root leads to", BufferedStore, "reachable"),
    ("flush: the commit", MemoryStore, "commit"),
)
_FILECOIN: tuple[Part, ...] = (
    ("sender, nonce, prepaid gas", Executor, "_preflight"),
    ("the call: look-ups, value, kernel", CallManager, "send"),
    ("to the thread of guests and back", Stacks, "run"),
    ("the account's guest: made, run and dropped", WasmRuntime, "invoke"),
    ("burn, tip and refund", Executor, "_settle"),
    *_FLUSH,
)
_ETHEREUM: tuple[Part, ...] = (
    ("sender, nonce, prepaid gas", Application, "_check_sender"),
    ("warm addresses", Application, "_warm_up"),
    ("the call", CallManager, "send"),
    ("refund, tip and burn", Application, "_settle"),
    ("accounts written", Accounts, "write_back"),
    *_FLUSH,
)


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    yield row("an empty message, Filecoin's rules", "filecoin", native, _FILECOIN)
    yield row("an empty Ethereum transaction, Filecoin's rules", "filecoin", ethereum, _FILECOIN)
    yield row("an empty transaction, Ethereum's rules", "ethereum", ethereum, _ETHEREUM)


def row(name: str, rules: str, make: Callable[[Network, int], SignedMessage], parts: tuple[Part, ...]) -> Row:
    """Return microseconds of one transaction; its parts are measured in separate runs."""
    with Network(rules=rules) as network:
        nonces = iter(range(ROUNDS * (len(parts) + 1)))

        def best(clock: Callable[[Callable[[], None]], float]) -> float:
            messages = [make(network, next(nonces)) for _ in range(ROUNDS)]
            return 1e6 * min(clock(partial(through, network.machine, message)) for message in messages)

        whole = best(_process_seconds)
        if compiled_modules():  # a method of a compiled class cannot be wrapped
            return Row(name, whole, note="applied and flushed to memory")
        found = {label: best(_part(owner, method)) for label, owner, method in parts}
    return Row(name, whole, note="applied and flushed to memory", parts=_exclusive_seconds(found, parts, whole))


def through(machine: Hypervisor, message: SignedMessage) -> None:
    """Apply a message and flush the state."""
    result = machine.apply(message)
    if result.exit_code:
        raise RuntimeError(f"the transaction exited with {result.exit_code}: {result.message}")
    machine.flush()


def native(network: Network, nonce: int) -> SignedMessage:
    """Return a Filecoin message without value, parameters and method."""
    sender, receiver = network.accounts[:2]
    message = Message(receiver.native, sender.native, nonce, gas_limit=GAS, gas_fee_cap=FEE, gas_premium=FEE)
    return sender.sign_native(message)


def ethereum(network: Network, nonce: int) -> SignedMessage:
    """Return an Ethereum transaction without value and data, as a message."""
    sender, receiver = network.accounts[:2]
    transaction = Transaction(DYNAMIC_FEE, network.chain_id, nonce, receiver.address, 0, b"", GAS, FEE, 10**5)
    return admission.from_raw(network.machine, sender.sign(transaction).raw()).message


# --- the parts --------------------------------------------------------------------------------------------------------

_ABOVE = {"run": "send", "invoke": "run", "write_back": "_settle"}
"""Parts called by another one, whose figure excludes them."""


def _process_seconds(action: Callable[[], None]) -> float:
    start = process_time()
    action()
    return process_time() - start


def _part(owner: type, method: str) -> Callable[[Callable[[], None]], float]:
    """Return a function that measures a method while an action runs."""

    def clock(action: Callable[[], None]) -> float:
        with _timing(owner, method) as taken:
            action()
        return sum(taken)

    return clock


@contextmanager
def _timing(owner: type, method: str) -> Iterator[list[float]]:
    taken: list[float] = []
    plain = getattr(owner, method)

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = process_time()
        try:
            return plain(*args, **kwargs)
        finally:
            taken.append(process_time() - start)

    setattr(owner, method, timed)
    try:
        yield taken
    finally:
        setattr(owner, method, plain)


def _exclusive_seconds(found: dict[str, float], parts: tuple[Part, ...], whole: float) -> dict[str, float]:
    """Return each part without those it calls, omitting parts that did not run; and the rest."""
    labels = {method: label for label, _, method in parts}
    alone = dict(found)
    for below, above in _ABOVE.items():
        if below in labels:
            alone[labels[above]] -= found[labels[below]]
    alone["checks of the message, its length, the rest"] = whole - sum(alone.values())
    return {label: value for label, value in alone.items() if found.get(label, value)}
