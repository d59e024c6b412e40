"""Valid and invalid inputs for precompiles.

Sources: the curves' generators, examples of EIP-152 and EIP-198, EIP-4844's trivial proof, wycheproof's first P-256
signature; addresses and actor IDs in builtin-actors' form for Filecoin's precompiles.
"""

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.parameters import INVOKE_EVM

_BN254_PRIME: Final = 21888242871839275222246405745257275088696311157297823662689037894645226208583
_BN254_ORDER: Final = 21888242871839275222246405745257275088548364400416034343698204186575808495617
_BN254_G2: Final = (
    11559732032986387107991004021392285783925812861821192530917403151452391805634,
    10857046999023057135944570762232829481370756359578518086990519993285655852781,
    4082367875863433681332203403145435568316851327593401208105741076214120093531,
    8495653923123431417604973247489272438418190587263600148770280649306958101930,
)
_BLS_G1: Final = bytes.fromhex(
    "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aef"
    "fb3af00adb22c6bb0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3ed"
    "d03cc744a2888ae40caa232946c5e7e1"
)
_NO_BLS_G2: Final = bytes(256)
_SIGNATURE: Final = bytes.fromhex(
    "456e9aea5e197a1f1af7a3e85a3212fa4049a3ba34c2289b4c860fc0b0c64ef3"
    "000000000000000000000000000000000000000000000000000000000000001c"
    "9242685bf161793cc25603c231bc2f568eb630ea16aa137d2664ac8038825608"
    "4f8ae3bd7535248d0bd448298cc2e2071e56992d0774dc340c368ae950852ada"
)
_P256: Final = bytes.fromhex(
    "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4d"
    "a73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d58468e8fb19086e8cac"
    "36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d60"
    "4aebd3099c618202fcfe16ae7770b0c49ab5eadf74b754204a3bb6060e44eff3"
    "7618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
)
_POINT: Final = (
    bytes.fromhex("010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014")
    + bytes(64)
    + (b"\xc0" + bytes(47)) * 2
)


def words(*numbers: int) -> bytes:
    """Return numbers as words."""
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def _modexp(base: int, exponent: int, modulus: int, size: int) -> bytes:
    return words(size, size, size) + b"".join(number.to_bytes(size, "big") for number in (base, exponent, modulus))


def _blake2f(rounds: int) -> bytes:
    return rounds.to_bytes(4, "big") + bytes(range(208)) + b"\1"


ETHEREUM: Final[Mapping[int, tuple[bytes, ...]]] = MappingProxyType({
    1: (_SIGNATURE, _SIGNATURE[:63] + b"\x1b" + _SIGNATURE[64:]),
    2: (b"", b"abc", bytes(300)),
    3: (b"", b"abc", bytes(119)),
    4: (b"", b"abc", bytes(97)),
    5: (
        _modexp(3, 5, 7, 1), _modexp(1 << 200, (1 << 255) + 1, (1 << 256) - 189, 32), _modexp(2, 2, 0, 8),
        words(0, 0, 0), words(1, 0, 1) + b"\5\3", words(0, 32, 32) + words((1 << 256) - 1, 1 << 255),
        words(64, 1, 64) + bytes(63) + b"\7\2" + b"\xff" * 64,
    ),
    6: (words(1, 2, 1, 2), words(1, 2, 1, _BN254_PRIME - 2), words(0, 0, 1, 2), words(1, 2)),
    7: (words(1, 2, 9), words(1, 2, _BN254_ORDER), words(0, 0, 5), words(1, 2)),
    8: (
        b"", words(1, 2, *_BN254_G2), words(0, 0, *_BN254_G2),
        words(1, 2, *_BN254_G2, 1, _BN254_PRIME - 2, *_BN254_G2),
    ),
    9: (_blake2f(0), _blake2f(12), _blake2f(500)),
    10: (_POINT, _POINT[:32] + words(77) + _POINT[64:]),
    11: (_BLS_G1 * 2, _BLS_G1 + bytes(128), bytes(256)),
    12: (_BLS_G1 + words(7), _BLS_G1 + words(2) + bytes(128) + words(9)),
    13: (_NO_BLS_G2 * 2,),
    14: (_NO_BLS_G2 + words(7),),
    15: (_BLS_G1 + _NO_BLS_G2, bytes(384)),
    16: (bytes(63) + b"\7", bytes(64)),
    17: (bytes(63) + b"\7" + bytes(64),),
    0x100: (_P256,),
})  # fmt: skip
"""Generators of meaningful input by precompile number."""

FIRST_OF_FILECOIN: Final = 0xFE << 152


def filecoin(random: Random, index: int, targets: tuple[EthAddress, ...], actors: range) -> bytes:
    """Return input for Filecoin's precompile of this number, about existing contracts or actors of these IDs."""
    actor, target = random.choice(actors), random.choice(targets)
    number = bytes([actor]) if actor < 128 else bytes([0x80 | actor & 127, actor >> 7])
    addresses = (b"\x04\x0a" + target, b"\x00" + number, b"\x01" + target)
    if index == 1:
        return random.choice(addresses)
    if index == 2:
        return words(actor)
    if index == 6:
        return words(random.choice((0, 1, 900, 999, 1000, 1001, 1 << 63, (1 << 64) - 1)))
    method = random.choice((0, 2, INVOKE_EVM, INVOKE_EVM, INVOKE_EVM, 1 << 24))
    head = method, random.choice((0, 0, 3)), random.choice((0, 0, 1)), 0
    if index == 5:
        return words(*head, 192, actor, 0)
    to = random.choice(addresses)
    return words(*head, 192, 224, 0, len(to)) + to


def damaged(random: Random, data: bytes) -> bytes:
    """Return damaged input: truncated, extended, with a changed byte or word, or entirely random."""
    draw = random.randrange(5)
    if draw == 0:
        return data[: random.randrange(len(data) + 1)]
    if draw == 1:
        return data + random.randbytes(random.choice((1, 32)))
    if draw == 2:
        return random.randbytes(random.choice((0, 31, 64, 128, 192, 213, 256)))
    changed = bytearray(data or b"\0")
    place = random.randrange(len(changed))
    if draw == 3:
        changed[place] ^= 1 << random.randrange(8)
    else:
        start = place - place % 32
        changed[start : start + 32] = b"\xff" * len(changed[start : start + 32])
    return bytes(changed)
