"""The lab `rent`: actors pay for their state by byte and epoch; one without funds is archived until it is restored.

Terms, methods, payments and invariants: docs/labs/rent.md. The rent actor (`rent_actor.py`) keeps the accounts. This
module runs its work at the end of each epoch, after reward and cron.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fvm_hypervisor.laboratory.profiles.lab_runtimes import named_code
from fvm_hypervisor.laboratory.profiles.rent_actor import (
    CODE,
    CODE_BLOCK,
    COLLECT,
    FIRST_USER,
    RENT,
    RUNTIME,
    ArchivedRuntime,
    RentRuntime,
    RentState,
    RentTerms,
)
from fvm_hypervisor.laboratory.profiles.rules import EpochEndBlocks
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.labs import Lab
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.archived import ARCHIVED, ARCHIVED_CODE
from hypervisor.state.state_tree import ActorState
from hypervisor.types import SYSTEM_ACTOR, Gas
from localnet.rules.parts import NetworkRules

LAB: Final = Lab(
    what="rent for state by byte and epoch; an actor that does not pay is archived until its state is proven",
    network=f"{__name__}:with_rent",
    genesis=f"{__name__}:install_rent",
    machine=f"{__name__}:register_rent",
    option="who pays (`own`: actors that opt in, or `all`), rate, period and grace, such as all/1000000/2880/86400",
)
TERMS: Final = RentTerms()
"""Default terms."""
BOUNDS: Final = (("rate", 1, 10**18), ("period", 1, 10**6), ("grace", 0, 10**7))
"""Ranges of the options, which keep one period's rent of the largest measured state below 2^127 attoFIL."""
_KNOWN: Final = named_code(CODE, "rent")
_SYSTEM_GAS: Final = Gas(1 << 40)
"""Gas limit of the rent actor's work at the end of an epoch. The sender of no message pays for it."""


def with_rent(rules: NetworkRules, option: str) -> NetworkRules:
    """Return rules whose blocks collect rent. Raises InvalidInput for an unknown option."""
    terms_of(option)
    return replace(rules, blocks=EpochEndBlocks(rules.blocks, collect), code=(*rules.code, _KNOWN))


def install_rent(machine: MachineState, option: str) -> None:
    """Add a rent actor without tenancies to a state, with the terms of an option."""
    for_all, terms = terms_of(option)
    machine.store.put(CODE, CODE_BLOCK)
    head = RentState.empty(machine.store, terms, FIRST_USER if for_all else None)
    machine.state_tree.set_actor(RENT, ActorState(CODE, head))


def register_rent(machine: MachineState) -> None:
    """Register the runtimes of the rent actor and of archived actors with a machine."""
    machine.registry.override(CODE, RUNTIME, RentRuntime)
    machine.registry.override(ARCHIVED_CODE, ARCHIVED, ArchivedRuntime)


def terms_of(option: str) -> tuple[bool, RentTerms]:
    """Return whether all actors pay, and the terms, from an option such as `all/1000000/2880/86400`.

    The last parts may be omitted.
    """
    payer, *parts = (option or "own").split("/")
    expected = f"rent={option}: expected own or all, then rate, period and grace, such as rent=all/1000000/2880/86400"
    if payer not in ("own", "all") or len(parts) > len(BOUNDS):
        raise InvalidInput(expected)
    numbers = [TERMS.rates[0][1], TERMS.period, TERMS.grace]
    for index, (word, (name, minimum, maximum)) in enumerate(zip(parts, BOUNDS, strict=False)):
        if not (word.isascii() and word.isdigit()) or len(word) > 20:
            raise InvalidInput(expected)
        numbers[index] = int(word)
        if not minimum <= int(word) <= maximum:
            raise InvalidInput(f"rent={option}: a {name} of {word}: expected {minimum} to {maximum}")
    rate, period, grace = numbers
    return payer == "all", RentTerms(((0, rate),), period, grace)


def collect(machine: Hypervisor) -> None:
    """Run the rent actor's work for an epoch, if the actor exists. Raises Fatal if this fails."""
    if not _is_due(machine):
        return
    message = Message(
        Address.id(RENT), Address.id(SYSTEM_ACTOR), nonce=machine.context.epoch, method=COLLECT, gas_limit=_SYSTEM_GAS
    )
    result = machine.apply_implicit(message)
    if result.exit_code != ExitCode.OK:
        raise result.fatal or Fatal(f"the rent actor exited with {result.exit_code}: {result.message}")


def _is_due(machine: Hypervisor) -> bool:
    """Return True if an actor is due or new, without executing a message."""
    rent = machine.state_tree.get_actor(RENT)
    if rent is None:
        return False
    first, cursor = RentState.first_due(machine.store, rent.head)
    if first is not None and first <= machine.context.epoch:
        return True
    return cursor is not None and bool(cursor < machine.state_tree.init_state().next_id)
