"""Messages with arbitrary numbers in their fields: rejected by name, or applied within their gas.

The sum of all balances never changes, except for paid and burnt amounts, which stay in it.
"""

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

from hypervisor.bundles.genesis import Genesis
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import TokenAmount
from store.codec import CodecError, decode_strict, encode
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target

RICH = Address.delegated(10, bytes(range(1, 21)))
POOR = Address.delegated(10, bytes(range(2, 22)))
HALF = 1 << 128


def run(data: bytes) -> bool:
    message = _message(data)
    if message is None:
        return False
    machine, start = _machine()
    written = len(machine.store.pending)
    try:
        result = machine.apply(message)
    except InvalidInput:
        assert machine.root == start.root
        return True  # a message that was read, and refused by the name of its field
    assert result.fatal is None, result.fatal
    assert 0 <= result.gas_used <= message.gas_limit
    assert _money(machine) == _total()
    if machine.root != start.root:
        machine.restore(start)
    machine.store.forget_after(written)
    return True


def _message(data: bytes) -> Message | None:
    """[to, from, nonce, value, method, params, gas limit, fee cap, premium, version], numbers as [low, high]."""
    try:
        fields = decode_strict(data)
        to, sender, *numbers = fields
        if not (isinstance(to, bytes) and isinstance(sender, bytes) and isinstance(numbers[3], bytes)):
            return None
        nonce, value, method, gas, cap, premium, version = (
            low + high * HALF for low, high in (*numbers[:3], *numbers[4:8])
        )
        return Message(
            Address.from_bytes(to),
            Address.from_bytes(sender),
            nonce,
            TokenAmount(value),
            method,
            numbers[3],
            gas,
            TokenAmount(cap),
            TokenAmount(premium),
            version,
        )
    except (CodecError, InvalidInput, TypeError, ValueError, IndexError, OverflowError):
        return None


@cache
def _machine() -> tuple[Hypervisor, Snapshot]:
    machine = Hypervisor.open(genesis=Genesis(accounts={RICH: TokenAmount(10**24), POOR: TokenAmount(10**9)}))
    return machine, machine.snapshot()


@cache
def _total() -> int:
    return _money(_machine()[0])


def _money(machine: Hypervisor) -> int:
    return sum(actor.balance for _, actor in machine.state_tree.actors())


def _number(number: int) -> list[int]:
    return [number % HALF % 2**64, 0] if 0 <= number < 2**64 else [-1, 0] if number < 0 else [0, 1]


def _fields(rng: Random, odd: float) -> list[Any]:
    def number(usual: int) -> list[int]:
        return _number(rng.choice(trees.NUMBERS) if rng.random() < odd else usual)

    to = rng.choice(
        (
            RICH,
            POOR,
            Address.id(rng.randrange(110)),
            Address.delegated(10, rng.randbytes(20)),
            Address.bls(rng.randbytes(48)),
            Address.actor(b"nobody"),
            Address.id(2**64 - 1),
        )
    )
    sender = RICH if rng.random() < 0.9 else rng.choice((POOR, Address.id(0), to))
    method = rng.choice((0, 0, 1, 2, 3, 4, 3844450837, rng.getrandbits(32)))
    params = rng.choice((b"", b"\x80", b"\x40", b"\x41\x60", rng.randbytes(9)))
    return [
        to.to_bytes(),
        sender.to_bytes(),
        number(0),
        number(rng.choice((0, 1, 10**18))),
        number(method),
        params,
        number(rng.choice((10**8, 10**9, 3 * 10**6))),
        number(rng.choice((0, 10**9))),
        number(rng.choice((0, 1))),
        number(0),
    ]


def seeds() -> Iterator[bytes]:
    rng = Random(3)
    for _ in range(20):
        yield encode(_fields(rng, 0.05))


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new message with no, some or many odd fields."""
    fields = _fields(rng, rng.choice((0, 0, 0.1, 0.3)))
    if rng.random() < 0.1:
        at = rng.randrange(len(fields))
        fields[at] = trees.mutated(fields[at], rng)
    try:
        return encode(fields)
    except CodecError:
        return data


TARGET = Target(run, seeds, mutate, share=4, longest=400, memory=MACHINE)
