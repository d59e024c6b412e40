"""The lab `async`: messages that actors post for delivery in a later epoch, with a receipt.

Terms, methods, payments and invariants: docs/labs/async.md. Posted messages are stored in the outbox (`outbox.py`).
This module delivers them after a block's reward and cron, so these are never delayed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from fvm_hypervisor.laboratory.profiles.lab_runtimes import named_code
from fvm_hypervisor.laboratory.profiles.outbox import (
    CODE,
    CODE_BLOCK,
    EPOCH_GAS,
    MAX_RETURN,
    NEXT,
    OUTBOX,
    RUNTIME,
    SETTLE,
    OutboxRuntime,
    first_head,
)
from hypervisor.errors import Fatal
from hypervisor.exit_codes import ExitCode
from hypervisor.integers import decode_bigint
from hypervisor.machine.labs import Lab
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import SYSTEM_ACTOR, Gas, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import NetworkVersion
from localnet.rules.base_fee import GasBid
from localnet.rules.parts import BlockRules, ImplicitResult, NetworkRules
from store.blockstore import get_object
from store.codec import decode_strict, encode

LAB: Final = Lab(
    what="messages that are posted now, delivered in a later epoch, and answered by a receipt",
    network=f"{__name__}:with_outbox",
    genesis=f"{__name__}:install_outbox",
    machine=f"{__name__}:register_outbox",
)
_KNOWN: Final = named_code(CODE, "outbox")
_SYSTEM_GAS: Final = Gas(1 << 40)
"""Gas limit of the outbox's own work, which posters have paid for; no posted message uses it."""
_NONCE: Final = 1 << 63
"""First nonce of delivered messages, plus the message's number; no account's message reaches it."""


def with_outbox(rules: NetworkRules) -> NetworkRules:
    """Return rules whose blocks deliver the messages in the outbox."""
    return replace(rules, blocks=OutboxBlocks(rules.blocks), code=(*rules.code, _KNOWN))


def install_outbox(machine: MachineState) -> None:
    """Add an empty outbox to a state."""
    machine.store.put(CODE, CODE_BLOCK)
    machine.state_tree.set_actor(OUTBOX, ActorState(CODE, first_head(machine.store)))


def register_outbox(machine: MachineState) -> None:
    """Register the outbox's runtime with a machine."""
    machine.registry.override(CODE, RUNTIME, OutboxRuntime)


class OutboxBlocks:
    """Block rules that add deliveries at the end of each epoch to those of another set."""

    def __init__(self, inner: BlockRules) -> None:
        self._inner = inner

    def start_block(self, machine: Hypervisor, parent_hash: bytes) -> None:
        """Install the outbox if the network was created before labs could change the genesis."""
        if machine.state_tree.get_actor(OUTBOX) is None:
            install_outbox(machine)
        self._inner.start_block(machine, parent_hash)

    def null_round(self, machine: Hypervisor) -> tuple[ImplicitResult, ...]:
        """Deliver due messages in an epoch without a block."""
        done = self._inner.null_round(machine)
        deliver(machine)
        return done

    def end_block(self, machine: Hypervisor, producer: Address, tips: int) -> tuple[ImplicitResult, ...]:
        """Deliver after reward and cron."""
        done = self._inner.end_block(machine, producer, tips)
        deliver(machine)
        return done

    def next_base_fee(
        self, version: NetworkVersion, base_fee: int, gas_used: int, bids: Iterable[GasBid]
    ) -> TokenAmount:
        """Delegate to the wrapped rules: deliveries do not affect fees."""
        return self._inner.next_base_fee(version, base_fee, gas_used, bids)


def deliver(machine: Hypervisor, gas_budget: int = EPOCH_GAS) -> None:
    """Deliver due messages, oldest first, until one exceeds the epoch's remaining gas.

    A delivery with a fatal error counts as failed, with exit code 10 and its whole budget used. Otherwise each later
    epoch would stop at the same entry. Raises Fatal if the outbox itself fails.
    """
    while _waits(machine):
        due = decode_strict(_system(machine, NEXT, [gas_budget]))
        if due is None:
            return
        if len(due) == 1:  # expired, or its poster no longer exists
            gas_budget -= due[0]
            continue
        number, sender, to, method, params, value, gas, handling = due
        message = Message(
            Address.from_bytes(to),
            Address.id(sender),
            nonce=_NONCE + number,
            value=TokenAmount(decode_bigint(value)),
            method=MethodNumber(method),
            params=params,
            gas_limit=Gas(gas),
        )
        result = machine.apply_implicit(message)
        if result.fatal is not None and type(result.fatal) is not Fatal:  # the error is specific to this machine
            raise result.fatal
        returned = result.return_data if len(result.return_data) <= MAX_RETURN else None
        _system(machine, SETTLE, [result.exit_code, result.gas_used, returned])
        gas_budget -= gas + handling


def _waits(machine: Hypervisor) -> bool:
    """Return True if the outbox has an entry, without executing a message."""
    outbox = machine.state_tree.get_actor(OUTBOX)
    if outbox is None:
        return False
    number, first, _ = get_object(machine.store, outbox.head)
    return bool(first < number)


def _system(machine: Hypervisor, method: MethodNumber, params: list[Any]) -> bytes:
    message = Message(
        Address.id(OUTBOX), Address.id(SYSTEM_ACTOR), nonce=machine.context.epoch, method=method,
        params=encode(params), gas_limit=_SYSTEM_GAS,
    )  # fmt: skip
    result = machine.apply_implicit(message)
    if result.exit_code != ExitCode.OK:
        raise result.fatal or Fatal(f"the outbox exited with {result.exit_code} in method {method}: {result.message}")
    return result.return_data
