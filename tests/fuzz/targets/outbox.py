"""Posts to the outbox of the lab `async`, as CBOR and as calldata: refused with an exit code, or one entry more.

Either way no money comes or goes, and the outbox holds what its entries say. What was taken is delivered, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

from eth_abi.abi import encode as encode_abi

from bridge.method_numbers import INVOKE_EVM
from bridge.params import invoke_params
from fvm_hypervisor.laboratory.profiles import outbox
from fvm_hypervisor.laboratory.profiles.asynchronous import deliver
from fvm_hypervisor.laboratory.profiles.outbox import OUTBOX, POST, POST_SELECTOR, OutboxEntry, post_params
from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from hypervisor.machine_state import Snapshot
from hypervisor.message import Message
from hypervisor.types import BURNT_FUNDS_ACTOR, METHOD_SEND, ChainEpoch, MethodNumber, TokenAmount
from localnet import Network
from store.codec import CodecError, decode, encode
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.labs.outbox import FRESH, MISSING

_TYPES = ("bytes", "uint64", "bytes", "uint256", "uint64", "uint64", "uint64", "uint64")


@cache
def _stage() -> tuple[Hypervisor, Snapshot, Address, int]:
    network = Network(rules="lab:async")
    network.mine()
    machine = network.machine
    return machine, machine.snapshot(), network.accounts[0].native, machine.context.epoch


def run(data: bytes) -> bool:
    machine, start, alice, epoch = _stage()
    machine.restore(start)
    machine.advance(epoch=ChainEpoch(epoch), base_fee=TokenAmount(100))
    actors = [alice, FRESH, Address.id(OUTBOX), Address.id(BURNT_FUNDS_ACTOR)]
    money = _money(machine, actors)
    by_abi = data[:4] == POST_SELECTOR
    method, params = (INVOKE_EVM, invoke_params(data)) if by_abi else (POST, data)
    result = machine.apply_implicit(
        Message(Address.id(OUTBOX), alice, value=TokenAmount(10**19), method=MethodNumber(method), params=params)
    )
    assert result.fatal is None, result.fatal
    assert result.exit_code in (0, 16, 19, 21, 22), result
    taken = _waiting(machine)
    assert len(taken) == (result.exit_code == 0)
    assert _money(machine, actors) == money
    actors += [Address.from_bytes(entry.to) for _, entry in taken]
    money = _money(machine, actors)
    for later in range(epoch + 1, epoch + 4):
        machine.advance(epoch=ChainEpoch(later))
        deliver(machine)
        _waiting(machine)
    assert not _waiting(machine)
    assert _money(machine, actors) == money
    return bool(taken)


def _money(machine: Hypervisor, actors: list[Address]) -> int:
    """attoFIL of all of them, each counted once whatever its address."""
    named = {machine.state_tree.lookup_id(actor) or actor: machine.balance(actor) for actor in actors}
    return sum(named.values())


def _waiting(machine: Hypervisor) -> list[tuple[int, OutboxEntry]]:
    state = machine.state_tree.get_actor(OUTBOX)
    assert state is not None
    found = outbox.entries(machine.store, state.head)
    assert state.balance == sum(entry.escrow for _, entry in found)
    return found


def seeds() -> Iterator[bytes]:
    _, _, alice, epoch = _stage()
    for to in (FRESH, MISSING, alice):
        yield post_params(to, METHOD_SEND, value=5, gas=10**8, expiry=epoch + 9)
        yield post_params(to, 2, b"\x80", gas=10**8, expiry=epoch + 9, receipt_method=2, receipt_gas=10**7)
        fields = (to.to_bytes(), 0, b"", 5, 10**8, epoch + 9, 7, 10**6)
        yield POST_SELECTOR + encode_abi(_TYPES, fields)
    yield from (b"", b"\x80", POST_SELECTOR)


def mutate(data: bytes, rng: Random) -> bytes:
    if data[:4] == POST_SELECTOR:
        return POST_SELECTOR + trees.scrambled(data[4:], rng)
    try:
        return encode(trees.mutated(decode(data), rng))
    except (CodecError, ValueError, TypeError, OverflowError):
        return rng.choice([*seeds()])


TARGET = Target(run, seeds, mutate, share=3, longest=4096, memory=MACHINE)
