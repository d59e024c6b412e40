"""A search for operands of precompiles and opcodes whose gas differs most between the EVM runtime and the official one.

    python -m tests.differential.operands [--seed N] [--count 2000] [PRECOMPILE|OPCODE...]

Operands are drawn from border cases: zeros, ones, powers of two, even and odd moduli, invalid points, points at
infinity, missing bytes. Those that raise the ratio are kept and changed. Many operands are measured in one message, by
a contract that reads its gas before and after each call. The ratio is that of the cheapest message with the call, or of
code that only pushes operands, executes the opcode and pops the result.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from random import Random
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.parameters import unwrap_return
from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ExitCode
from hypervisor.types import Gas
from runtimes.evm.blocks.alloc import AllocAccount
from runtimes.evm.contracts.precompiles.ethereum import modexp_lengths
from tests.conftest import newest_bundle
from tests.differential.comparison import BUNDLE, official_actor, runners
from tests.differential.twins import CallOf, Case, Twin
from tests.runtimes.evm.assembler import assemble

SENDER, METER = EthAddress(b"\xa1" * 20), EthAddress(b"\xc1" * 20)
UNUSED: Final = 0x13
"""Number of a reserved address without a precompile."""
MESSAGE: Final = 2_200_000
"""Gas of the cheapest message with a call of a precompile, without the call."""
LIMIT: Final = Gas(9_000_000_000)
BATCH: Final = 8
"""Number of operands that are measured in one message."""
MAX_LENGTH: Final = 4096
"""Bytes of MODEXP's numbers: a frame pays once for memory that longer ones need again."""
PROGRAM: Final = assemble("""
    0x100 0x20 MSTORE                                     ; place of the next result; 0 has that of the next call
next:
    0 MLOAD CALLDATASIZE GT ISZERO @end JUMPI
    0 MLOAD CALLDATALOAD 0xe0 SHR 0x40 MSTORE             ; address
    0 MLOAD 4 ADD CALLDATALOAD 0xe0 SHR 0x60 MSTORE       ; length of the input
    0x60 MLOAD 0 MLOAD 8 ADD 0x10000 CALLDATACOPY
    GAS 0x80 MSTORE
    0 0 0x60 MLOAD 0x10000 0x40 MLOAD GAS STATICCALL
    GAS 0x80 MLOAD SUB 0x20 MLOAD MSTORE
    0x20 MLOAD 0x20 ADD MSTORE
    0x20 MLOAD 0x40 ADD 0x20 MSTORE
    0 MLOAD 8 ADD 0x60 MLOAD ADD 0 MSTORE
    @next JUMP
end:
    0x100 0x20 MLOAD SUB 0x100 RETURN
""")

Operands = tuple[bytes, ...]


class Precompile(NamedTuple):
    number: int
    draw: Callable[[Random], Operands]


def words(*numbers: int, size: int = 32) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number in numbers)


# --- operands ---------------------------------------------------------------------------------------------------------

P: Final = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
"""Modulus of bn254's field (EIP-196)."""
Q: Final = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
"""Modulus of BLS12-381's field (EIP-2537)."""
ORDERS: Final = (
    0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001,
    0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
)
"""Orders of the groups of bn254, BLS12-381, secp256k1 and P-256."""
Element = tuple[int, int]
"""An element of a quadratic extension field: real and imaginary part."""


def draw_number(random: Random, size: int) -> int:
    """Draw a number of at most `size` bytes."""
    bits = random.randrange(8 * size + 1)
    kind = random.randrange(8)
    number = (
        0, 1, 2, (1 << bits) - 1, 1 << bits, 1 + (1 << bits), random.getrandbits(8 * size), random.getrandbits(bits + 1)
    )[kind]  # fmt: skip
    return number & ((1 << 8 * size) - 1)


def draw_word(random: Random) -> bytes:
    if random.randrange(4):
        return words(draw_number(random, 32))
    return words(random.choice(ORDERS) + random.randint(-1, 1))


def draw_modexp(random: Random) -> Operands:
    size = 1 << random.randrange(11)
    lengths = [random.choice((size, size, random.randrange(4096) if size > 256 else random.randrange(2 * size), 0, 1))
               for _ in range(3)]  # fmt: skip
    lengths[1] = min(lengths[1], random.choice((1, 4, 32, 4096)))
    numbers = [draw_number(random, length) if length else 0 for length in lengths]
    if random.randrange(2) and lengths[2]:
        numbers[2] &= ~1
    data = b"".join(number.to_bytes(length, "big") for number, length in zip(numbers, lengths, strict=True))
    return words(*lengths), data[: random.randrange(len(data) + 1)] if not random.randrange(8) else data


def square_root(value: Element, prime: int) -> Element | None:
    """Return a square root in the extension by i of a field whose prime is 3 modulo 4."""
    real, imaginary = value
    norm = pow(real * real + imaginary * imaginary, (prime + 1) // 4, prime)
    for sign in (1, -1):
        half = (real + sign * norm) * pow(2, -1, prime) % prime
        root = pow(half, (prime + 1) // 4, prime)
        if root and root * root % prime == half:
            other = imaginary * pow(2 * root, -1, prime) % prime
            if ((root * root - other * other) % prime, 2 * root * other % prime) == (real % prime, imaginary % prime):
                return root, other
    return None


def on_curve(prime: int, constant: Element, start: int) -> tuple[Element, Element]:
    """Return a point of y^2 = x^3 + constant with a small x; with `start`, most are not in the group."""
    for x in range(start, start + 1000):
        y = square_root(((x * x * x + constant[0]) % prime, constant[1]), prime)
        if y is not None and (constant[1] or not y[1]):
            return (x, 0), y
    raise AssertionError


def points(prime: int, size: int, generator: bytes, constant: Element, second: bool) -> list[bytes]:
    """Return points: infinity, two of the group, one of the curve, and four that are refused."""
    (x, _), (y, y_imaginary) = on_curve(prime, constant, 5)
    twist = words(0, x, y_imaginary, y, size=size) if prime == P else words(x, 0, y, y_imaginary, size=size)
    curve = twist if second else words(x, y, size=size)
    half = len(generator) // 2
    zeros = bytes(len(generator) - size)
    return [
        bytes(len(generator)), generator, generator,
        generator[:half] + negative(generator[half:], prime, size),
        curve, words(3, size=size) + zeros, words(prime, size=size) + zeros, zeros + words(prime + 1, size=size),
        b"\xff" * len(generator),
    ]  # fmt: skip


def negative(coordinate: bytes, prime: int, size: int) -> bytes:
    numbers = (int.from_bytes(coordinate[at : at + size], "big") for at in range(0, len(coordinate), size))
    return words(*(-number % prime for number in numbers), size=size)


@cache
def groups() -> tuple[list[bytes], list[bytes], list[bytes], list[bytes]]:
    """Return points of bn254's groups, and of those of BLS12-381."""
    from py_arkworks_bls12381 import G1Point, G2Point

    def padded(data: bytes) -> bytes:
        return b"".join(bytes(16) + data[at : at + 48] for at in range(0, len(data), 48))

    g2 = words(
        0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
        0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
        0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
        0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
    )
    inverse = pow(82, -1, P)  # the twist's constant is 3 / (9 + i)
    bn_twist, bls_g1, bls_g2 = (27 * inverse % P, -3 * inverse % P), G1Point(), G2Point()
    return (
        points(P, 32, words(1, 2), (3, 0), second=False),
        points(P, 32, g2, bn_twist, second=True),
        points(Q, 64, padded(bytes(bls_g1.to_xy_bytes_be())), (4, 0), second=False),
        points(Q, 64, padded(bytes(bls_g2.to_xy_bytes_be())), (4, 4), second=True),
    )


def draw_points(groups_of_term: tuple[int, ...], most: int, factor: bool, random: Random) -> Operands:
    """Draw terms: a point of each group, and a factor; most terms are valid."""
    parts: list[bytes] = []
    for _ in range(random.choice((1, 1, 2, random.randint(0, most)))):
        parts += [groups()[group][random.choice((0, 1, 1, 1, 2, 3, random.randrange(9)))] for group in groups_of_term]
        parts += [draw_word(random)] if factor else []
    return (*parts, *([b"\0"] if not random.randrange(20) else []))


def draw_words(random: Random, count: int) -> Operands:
    return tuple(draw_word(random) for _ in range(count))


def draw_signature(random: Random) -> Operands:
    return draw_word(random), words(random.choice((27, 28, 29, 27 << 8))), *draw_words(random, 2)


def draw_p256(random: Random) -> Operands:
    key = (
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    )
    return *draw_words(random, 3), random.choice(
        (words(*key), words(*key), words(1, 1), b"".join(draw_words(random, 2)))
    )


def draw_bytes(random: Random) -> Operands:
    return (random.randbytes(random.choice((0, 1, 31, 32, 33, 1000, 4096))),)


def draw_blake2f(random: Random) -> Operands:
    rounds = words(draw_number(random, 2), size=4)
    return rounds, random.randbytes(208), random.choice((b"\0", b"\1", b"\2", b""))


PRECOMPILES: Final = {
    "ecrecover": Precompile(1, draw_signature),
    "sha256": Precompile(2, draw_bytes),
    "ripemd160": Precompile(3, draw_bytes),
    "identity": Precompile(4, draw_bytes),
    "modexp": Precompile(5, draw_modexp),
    "bn254_add": Precompile(6, partial(draw_points, (0, 0), 1, False)),
    "bn254_mul": Precompile(7, partial(draw_points, (0,), 1, True)),
    "bn254_pairing": Precompile(8, partial(draw_points, (0, 1), 4, False)),
    "blake2f": Precompile(9, draw_blake2f),
    "bls12_g1add": Precompile(0x0B, partial(draw_points, (2, 2), 1, False)),
    "bls12_g1msm": Precompile(0x0C, partial(draw_points, (2,), 8, True)),
    "bls12_g2add": Precompile(0x0D, partial(draw_points, (3, 3), 1, False)),
    "bls12_g2msm": Precompile(0x0E, partial(draw_points, (3,), 6, True)),
    "bls12_pairing_check": Precompile(0x0F, partial(draw_points, (2, 3), 2, False)),
    "bls12_map_fp_to_g1": Precompile(0x10, lambda random: (words(random.choice((0, 5, Q - 1, Q)), size=64),)),
    "bls12_map_fp2_to_g2": Precompile(0x11, lambda random: (words(*random.choices((0, 5, Q), k=2), size=64),)),
    "p256_verify": Precompile(0x100, draw_p256),
}


OPERANDS: Final = {
    "ADD": 2, "MUL": 2, "SUB": 2, "DIV": 2, "SDIV": 2, "MOD": 2, "SMOD": 2, "ADDMOD": 3, "MULMOD": 3, "EXP": 2,
    "SIGNEXTEND": 2, "LT": 2, "GT": 2, "SLT": 2, "SGT": 2, "EQ": 2, "ISZERO": 1, "AND": 2, "OR": 2, "XOR": 2, "NOT": 1,
    "BYTE": 2, "SHL": 2, "SHR": 2, "SAR": 2,
}  # fmt: skip
"""Number of operands by opcode."""
REPEATED: Final = 20
"""Number of times that code executes an opcode between two readings of the gas."""


def opcode_program(opcode: str, batch: Sequence[Operands]) -> bytes:
    """Return code that returns the gas of an opcode with each of several operands, repeated."""
    lines = [f"0 {32 * len(batch)} MSTORE"]
    for index, operands in enumerate(batch):
        once = b"".join(b"\x7f" + word for word in reversed(operands)) + assemble(f"{opcode} POP")
        lines += [assemble("GAS").hex(), (once * REPEATED).hex(), assemble(f"GAS SWAP1 SUB {32 * index} MSTORE").hex()]
    return assemble(lines[0]) + bytes.fromhex("".join(lines[1:])) + assemble(f"{32 * len(batch)} 0 RETURN")


def changed(random: Random, operands: Operands, drawn: Operands) -> Operands:
    """Return operands of which one is changed: replaced, cut, with another bit, repeated or removed."""
    if not operands or not random.randrange(4):
        return drawn
    at = random.randrange(len(operands))
    part = bytearray(operands[at])
    kind = random.randrange(4)
    if kind == 0 and at < len(drawn):
        part = bytearray(drawn[at])
    elif kind == 1 and part:
        part[random.randrange(len(part))] ^= 1 << random.randrange(8)
    elif kind == 2 and part:
        place, length = random.randrange(len(part)), random.randrange(len(part) + 1)
        part[place : place + length] = bytes([random.choice((0, 255))]) * len(part[place : place + length])
    return (*operands[:at], bytes(part), *operands[at + 1 :])


# --- the search -------------------------------------------------------------------------------------------------------


class Meter:
    """Measures calls on both machines."""

    def __init__(self) -> None:
        bundle = Bundle.open(newest_bundle(BUNDLE))
        self.twins = Twin(bundle, "fast"), Twin(bundle, runners()[1])

    def measure(self, number: int, inputs: Sequence[bytes]) -> list[tuple[int, int]] | None:
        """Return the gas of each call on both machines, without that of a call with this data of an unused address.

        Return None if a message fails: it runs out of gas or memory. Raises AssertionError if results differ.
        """
        calls = [
            (UNUSED, max(inputs, key=len)),
            *(call for data in inputs for call in ((UNUSED, data), (number, data))),
        ]
        outputs = self._outputs(PROGRAM, b"".join(words(to, len(part), size=4) + part for to, part in calls))
        if outputs is None:
            return None
        found: list[list[tuple[int, int]]] = []
        for numbers in (output[2:] for output in outputs):
            plain, own = zip(numbers[::4], numbers[1::4], strict=True), zip(numbers[2::4], numbers[3::4], strict=True)
            found.append([(gas - before, ok) for (before, _), (gas, ok) in zip(plain, own, strict=True)])
        ours, official = found
        assert [ok for _, ok in ours] == [ok for _, ok in official]
        return [(mine, other) for (mine, _), (other, _) in zip(ours, official, strict=True)]

    def measure_opcode(self, opcode: str, batch: Sequence[Operands]) -> list[tuple[int, int]]:
        """Return the gas of an opcode with its operands on both machines, with that of pushes and of POP."""
        outputs = self._outputs(opcode_program(opcode, batch), b"")
        assert outputs is not None, "the code fails"
        return [(ours // REPEATED, official // REPEATED) for ours, official in zip(*outputs, strict=True)]

    def _outputs(self, code: bytes, data: bytes) -> list[list[int]] | None:
        """Return the words that code returns on both machines, None if it fails."""
        accounts = {SENDER: AllocAccount(10**24), METER: AllocAccount(0, 1, code)}
        case = Case("operands", "operands", accounts, [CallOf(SENDER, METER, data)], LIMIT)
        outputs = []
        for twin in self.twins:
            (outcome,) = twin.run(case)
            if outcome.exit_code != ExitCode.OK:
                return None
            output = unwrap_return(outcome.return_data)
            outputs.append([int.from_bytes(output[at : at + 32], "big") for at in range(0, len(output), 32)])
        return outputs


class Worst(NamedTuple):
    ratio: float
    operands: Operands
    ours: int
    official: int

    def __str__(self) -> str:
        data = b"".join(self.operands).hex()
        return (
            f"{self.ratio:.3f}: {self.ours:,} to {self.official:,} gas for 0x{data[:400]}{'...' if data[400:] else ''}"
        )


def search(meter: Meter, name: str, count: int, seed: int) -> tuple[Worst, Worst]:
    """Return the operands with the lowest and the highest ratio of the EVM runtime's gas to the official actor's."""
    number, draw = PRECOMPILES.get(name) or Precompile(0, partial(draw_words, count=OPERANDS[name]))
    random = Random(f"{seed} {name}")
    kept: list[list[Worst]] = [[], []]
    for _ in range(0, count, BATCH):
        batch = []
        for _ in range(BATCH):
            operands, side = draw(random), kept[random.randrange(2)]
            if side and random.randrange(2):
                other = changed(random, random.choice(side).operands, operands)
                is_large = name == "modexp" and max(modexp_lengths(b"".join(other))) > MAX_LENGTH
                operands = operands if is_large else other
            batch.append(operands)
        for worst in _measured(meter, number, batch) if number else _measured_opcode(meter, name, batch):
            for side, sign in zip(kept, (1, -1), strict=True):
                side.append(worst)
                side.sort(key=lambda one: sign * one.ratio)
                del side[10:]
    return kept[0][0], kept[1][0]


def _measured(meter: Meter, number: int, batch: Sequence[Operands]) -> Iterator[Worst]:
    gas = meter.measure(number, [b"".join(operands) for operands in batch])
    if gas is None and len(batch) > 1:
        for operands in batch:
            yield from _measured(meter, number, [operands])
    for operands, (ours, official) in zip(batch, gas or (), strict=False):
        yield Worst((ours + MESSAGE) / (official + MESSAGE), operands, ours, official)


def _measured_opcode(meter: Meter, opcode: str, batch: Sequence[Operands]) -> Iterator[Worst]:
    sized = [tuple(part.rjust(32, b"\0")[-32:] for part in operands) for operands in batch]
    sized = [operands for operands in sized if len(operands) == OPERANDS[opcode]]
    for operands, (ours, official) in zip(sized, meter.measure_opcode(opcode, sized), strict=True):
        yield Worst(ours / official, operands, ours, official)


def main() -> None:
    """Print the worst operands of each precompile and opcode."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {', '.join((*PRECOMPILES, *OPERANDS))}")
    parser.add_argument("--count", type=int, default=2000, help="operands per name; default: 2000")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    official_actor()
    meter = Meter()
    for name in chosen.names or (*PRECOMPILES, *OPERANDS):
        for worst in search(meter, name, chosen.count, chosen.seed):
            print(f"{name} {worst}", flush=True)


if __name__ == "__main__":
    main()
