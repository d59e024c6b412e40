"""An empty transaction through all layers: from a message to its receipt, with its state in memory.

It transfers nothing between two accounts, and is applied to a network's first state and flushed. Signatures are not
included. Rows use the processor time of all threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import process_time

from bench.rows import Row
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message, SignedMessage
from hypervisor.types import Gas, TokenAmount
from localnet import Network
from localnet.chain import admission

ROUNDS = 100
FEE = TokenAmount(2 * 10**9)
GAS = Gas(3_000_000)


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    yield row("an empty message, Filecoin's rules", "filecoin", native)
    yield row("an empty Ethereum transaction, Filecoin's rules", "filecoin", ethereum)
    yield row("an empty transaction, Ethereum's rules", "ethereum", ethereum)


def row(name: str, rules: str, make: Callable[[Network, int], SignedMessage]) -> Row:
    """Return microseconds of one transaction."""
    with Network(rules=rules) as network:
        messages = [make(network, nonce) for nonce in range(ROUNDS)]
        best = min(_process_seconds(partial(through, network.machine, message)) for message in messages)
    return Row(name, best * 1e6, note="applied and flushed to memory")


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


def _process_seconds(action: Callable[[], None]) -> float:
    start = process_time()
    action()
    return process_time() - start
