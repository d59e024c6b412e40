"""Random EVM bytecode: instructions with about as many operands as they take."""

from random import Random

from bridge.ethereum.addresses import masked_id
from hypervisor.types import ActorID
from runtimes.evm.opcodes import OPCODE_NUMBERS

CONTRACT = ActorID(1000)
"""The actor that programs use as their own address, or as another one."""

OPCODES = tuple(sorted(OPCODE_NUMBERS.values()))
_PLACES = (0, 1, 4, 31, 32, 33, 64, 1024, 2**16, 2**24, 2**32, 2**64 - 1, 2**64, 2**255, 2**256 - 1)
_ADDRESSES = (
    masked_id(int(CONTRACT)),
    masked_id(0),
    masked_id(99),
    bytes(range(1, 21)),
    *(bytes(19) + bytes((at,)) for at in range(1, 19)),
    *(b"\xfe" + bytes(18) + bytes((at,)) for at in range(1, 6)),
)


def program(rng: Random) -> bytes:
    """Return instructions with about as many operands as they take."""
    parts: list[bytes] = []
    for _ in range(rng.randrange(1, 40)):
        parts += [push(rng) for _ in range(rng.choice((0, 1, 2, 2, 3, 7)))]
        parts.append(bytes((rng.choice(OPCODES),)))
        if rng.random() < 0.1:
            parts.append(b"\x5b")
        if rng.random() < 0.05:
            place = rng.randrange(len(b"".join(parts)) + 1) % 256
            parts.append(bytes((0x60, place, rng.choice((0x56, 0x57)))))
    return b"".join(parts)


def push(rng: Random) -> bytes:
    """Return a push of a number, often at a boundary, or of an address."""
    if rng.random() < 0.2:
        return b"\x73" + bytes(rng.choice(_ADDRESSES))
    number = rng.choice(_PLACES) if rng.random() < 0.9 else rng.getrandbits(256)
    width = max(1, (number.bit_length() + 7) // 8)
    return bytes((0x5F + width,)) + number.to_bytes(width, "big")
