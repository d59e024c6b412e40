"""Addresses as bytes and text: decoded addresses encode to an equivalent form."""

from collections.abc import Iterator
from random import Random

from bridge.ethereum.addresses import from_delegated, to_ethereum, to_filecoin, unmask_id
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address, Protocol
from tests.fuzz import trees
from tests.fuzz.target import Target


def run(data: bytes) -> bool:
    _text(data)
    try:
        address = Address.from_bytes(data)
    except AddressError:
        return False
    assert Address.from_bytes(address.to_bytes()) == address
    assert address.to_bytes() == data or _has_number(address)
    assert Address.parse(str(address)) == address
    ethereum = from_delegated(address)
    if ethereum is not None:
        assert len(ethereum) == 20
        assert unmask_id(ethereum) is not None or to_filecoin(ethereum) == address
    actor = address.actor_id()
    if actor is not None:
        assert unmask_id(to_ethereum(actor, None)) == actor
    return True


def _has_number(address: Address) -> bool:
    """Return True if bits may have been lost: as on the network, an ID or a namespace is cut to 64 bits."""
    return address.protocol in (Protocol.ID, Protocol.DELEGATED)


def _text(data: bytes) -> None:
    try:
        address = Address.parse(data.decode("latin-1"))
    except AddressError:
        return
    assert Address.parse(str(address)) == address
    assert Address.from_bytes(address.to_bytes()) == address


def _all() -> Iterator[Address]:
    for actor in (0, 1, 127, 128, 2**63 - 1, 2**64 - 1):
        yield Address.id(actor)
    yield Address.secp256k1(bytes(65))
    yield Address.actor(b"actor")
    yield Address.bls(bytes(48))
    for namespace, length in ((10, 20), (0, 0), (2**64 - 1, 54), (32, 1)):
        yield Address.delegated(namespace, b"\xff" + bytes(length - 1) if length else b"")


def seeds() -> Iterator[bytes]:
    for address in _all():
        yield address.to_bytes()
        yield str(address).encode()


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new address as bytes; one in four as text, or invalid."""
    number = rng.choice((rng.choice(trees.NUMBERS) % 2**64, rng.getrandbits(rng.randrange(1, 65))))
    address = rng.choice(
        (
            Address.id(number),
            Address.delegated(number, rng.randbytes(rng.randrange(55))),
            Address.delegated(10, b"\xff" + bytes(11) + rng.randbytes(8)),
            Address.delegated(10, rng.randbytes(20)),
            Address.actor(rng.randbytes(3)),
            Address.bls(rng.randbytes(48)),
            Address.secp256k1(rng.randbytes(65)),
        )
    )
    match rng.randrange(8):
        case 0:
            return str(address).encode()
        case 1:
            return trees.scrambled(rng.choice((str(address).encode(), address.to_bytes(), data)), rng)
        case _:
            return address.to_bytes()


TARGET = Target(run, seeds, mutate, share=250, longest=160)
