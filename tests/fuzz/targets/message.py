"""Messages and signed messages as bytes: decoded ones re-encode to the same meaning.

The bytes may differ: as on the network, amounts and numbers in addresses have several valid forms.
"""

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

from bridge.ethereum.transactions import TransactionError
from bridge.filecoin.messages import from_signed_message
from hypervisor.errors import MessageError
from hypervisor.integers import encode_bigint
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, SignedMessage
from store.codec import encode
from tests.fuzz import trees
from tests.fuzz.target import Target, cbor_mutation

CHAIN = 314


def run(data: bytes) -> bool:
    try:
        signed = SignedMessage.from_cbor(data)
    except MessageError:
        return _bare(data)
    assert SignedMessage.from_cbor(signed.to_cbor()) == signed
    assert signed.chain_length() > 0
    signed.cid()
    try:
        carried = from_signed_message(signed, CHAIN)
    except TransactionError:
        return True
    assert carried.raw()
    return True


def _bare(data: bytes) -> bool:
    try:
        message = Message.from_cbor(data)
    except MessageError:
        return False
    assert Message.from_cbor(message.to_cbor()) == message
    with suppress(MessageError):  # a fee below zero can be written, not paid
        message.check()
    return True


def _fields(rng: Random) -> list[Any]:
    def amount() -> bytes:
        return encode_bigint(rng.choice((0, 1, 10**18, 2**128, -1, rng.getrandbits(300))))

    def address() -> bytes:
        ethereum = rng.choice((b"\xff" + bytes(11) + b"\0\0\0\0\0\0\0\5", rng.randbytes(20)))
        return rng.choice(
            (Address.id(rng.randrange(200)), Address.delegated(10, ethereum), Address.actor(b"x"))
        ).to_bytes()

    numbers = [rng.choice(trees.NUMBERS) % 2**64 for _ in range(3)]
    params = rng.choice((b"", b"\x40", b"\x43abc", rng.randbytes(5)))
    method = rng.choice((0, 1, 3844450837, numbers[2]))
    return [0, address(), address(), numbers[0], amount(), numbers[1], amount(), amount(), method, params]


def _signature(rng: Random) -> bytes:
    kind, length = rng.choice(((1, 65), (2, 96), (3, 65), (3, 66), (3, 67), (3, 69)))
    data = rng.randbytes(length)
    return bytes((kind,)) + (bytes((rng.choice((1, 2, data[0])),)) + data[1:-1] + bytes((rng.choice((0, 1, 27, 28)),)))


def seeds() -> Iterator[bytes]:
    rng = Random(1)
    for _ in range(6):
        yield encode(_fields(rng))
        yield encode([_fields(rng), _signature(rng)])


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new message, one in three with a changed field."""
    fields = _fields(rng)
    if rng.random() < 0.3:
        at = rng.randrange(10)
        fields[at] = trees.mutated(fields[at], rng)
    if rng.random() < 0.1:
        return _changed(data, rng)
    try:
        return encode(fields if rng.random() < 0.3 else [fields, _signature(rng)])
    except ValueError:
        return data


_changed = cbor_mutation(seeds)


TARGET = Target(run, seeds, mutate, share=100, longest=600)
