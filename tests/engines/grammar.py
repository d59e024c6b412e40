"""Random programs for engines with equal gas.

- Valid and invalid inputs for precompiles.
- Random programs for engines with equal gas: the grammar of `tests.differential` and what it omits.

Sources: the curves' generators, examples of EIP-152 and EIP-198, EIP-4844's trivial proof, wycheproof's first P-256
signature; addresses and actor IDs in builtin-actors' form for Filecoin's precompiles.

It omits programs that read the remaining gas, since derived gas may differ from the official actor's, and features of
Ethereum's rules only.
"""

from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Final

from bridge.ethereum.addresses import EthAddress, create2_address, create_address
from bridge.filecoin.method_numbers import INVOKE_EVM
from runtimes.evm.contracts.engine import EngineRules
from tests.differential.grammar import THEMES, Grammar, known_only, lacks_some
from tests.runtimes.evm.assembler import assemble, deployer

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


_ETHEREUM_CONTEXT: Final = ("BLOBBASEFEE", "0 BLOBHASH", "1 BLOBHASH")
_GAS: Final = ("GAS", "GAS", "0", "1", "2299", "2300", "9000", "30000", str(1 << 64), str((1 << 256) - 1))
_NOISE: Final = 40
"""One program in this many consists of random bytes."""
_CHANGED: Final = 8
"""One program in this many has a few changed bytes."""


class EngineGrammar(Grammar):
    """Draws the words of one program for a family of rules."""

    def __init__(self, random: Random, theme: str, targets: tuple[EthAddress, ...], ethereum: bool) -> None:
        super().__init__(random, theme, targets, ethereum)

    def draw_from(self, theme: str) -> None:
        """Draw further statements from another theme."""
        self._kinds, self._weights = [*THEMES[theme]], [*THEMES[theme].values()]

    def _word(self) -> str:
        draw = self._random.randrange(12)
        if draw == 0:
            return "GAS"
        if draw == 1 and self._ethereum:
            return self._random.choice(_ETHEREUM_CONTEXT)
        return super()._word()

    def _call(self, address: str = "") -> str:
        """Draw calls of every kind with gas of every size; the result is stored, copied, or ignored."""
        if address or self._random.random() < 0.4:
            return super()._call(address)
        kinds = ("CALL", "STATICCALL", "DELEGATECALL", *(("CALLCODE",) if self._ethereum else ()))
        name = self._random.choice(kinds)
        value = f" {self._random.choice(('0', '0', '1', '5', str(1 << 70)))}" if name in ("CALL", "CALLCODE") else ""
        region = " ".join(self._offset() for _ in range(4))
        call = f"{region}{value} {self._address()} {self._random.choice(_GAS)} {name} {self._keep()}"
        return f"{call} {self._copy()}" if self._random.random() < 0.3 else call

    def _create(self) -> str:
        """Draw creations, also from the program's own code or another's."""
        if self._random.random() < 0.6:
            return super()._create()
        name, salt = self._random.choice((("CREATE", ""), ("CREATE2", f"{self._random.randrange(3)} ")))
        size = self._random.choice(("CODESIZE", "64", "256"))
        if self._random.random() < 0.5:
            fill = f"{size} 0 0 CODECOPY"
        else:
            fill = f"{size} 0 0 {self._random.choice(self._targets)} EXTCODECOPY"
        return f"{fill} {salt}{size} 0 {self._random.choice(('0', '0', '3'))} {name} {self._keep()}"


INITS: Final = (
    b"",
    assemble("1 1 SSTORE 7 0 0 LOG1"),
    assemble("CALLER SELFDESTRUCT"),
    assemble("1 1 SSTORE 0 0 REVERT"),
    assemble("INVALID"),
    assemble("0xef 0 MSTORE8 1 0 RETURN"),
    assemble("7 0 0 LOG1 ADDRESS SELFDESTRUCT"),
    assemble("7 0 0 LOG1 600 0 RETURN"),  # code that costs 120,000 gas to deposit
    assemble("7 0 0 LOG1 24577 0 RETURN"),  # one byte longer than code may be
    assemble("0 0 CALLVALUE CREATE 0 MSTORE 7 32 0 LOG1 1 31 RETURN"),
    *(
        deployer(assemble(code))
        for code in (
            "CALLER SELFDESTRUCT",
            "1 0 SLOAD ADD DUP1 0 SSTORE 0 0 LOG1",
            "1 3 TLOAD ADD DUP1 3 TSTORE 0 MSTORE 32 0 RETURN",
            "0 0 0 0 CALLVALUE CALLER GAS CALL",
            "3 3 SSTORE 0 0 REVERT",
        )
    ),
)
"""Init codes of at most 32 bytes, whose contracts other programs can call."""
_SALTS: Final = 2
_NONCES: Final = 3
_MADE: Final = 96
"""Memory offset of the address of a program's last creation."""
ACTORS: Final = range(100, 140)
"""IDs of a batch's actors, and of some that its transactions create."""
_MASKED: Final = 0xFF << 152


def futures(makers: Sequence[EthAddress]) -> tuple[EthAddress, ...]:
    """Return the addresses of contracts that these contracts may create."""
    salted = [
        create2_address(maker, salt.to_bytes(32, "big"), init)
        for maker in makers
        for salt in range(_SALTS)
        for init in INITS
    ]
    return (*salted, *(create_address(maker, nonce) for maker in makers for nonce in range(1, 1 + _NONCES)))


class SceneGrammar(EngineGrammar):
    """Adds what batches have besides contracts: future contracts, masked IDs, precompiles of all kinds."""

    def __init__(
        self, random: Random, theme: str, targets: tuple[EthAddress, ...], ethereum: bool, later: Sequence[EthAddress]
    ) -> None:
        super().__init__(random, theme, targets, ethereum)
        self._contracts = targets
        self._later = later

    def _address(self) -> str:
        draw = self._random.randrange(16)
        if draw < 2:
            return str(int.from_bytes(self._random.choice(self._later), "big"))
        if draw < 5:
            return str(int.from_bytes(self._random.choice(self._contracts[10:]), "big"))
        if draw == 5:
            return f"{_MADE} MLOAD"
        if draw == 6:
            return str(_MASKED + self._random.choice(ACTORS))
        return super()._address()

    def _create(self) -> str:
        """Draw a creation, often with shared init code."""
        if self._random.random() < 0.3:
            return super()._create()
        init = self._random.choice(INITS)
        salt, name = self._random.choice((("", "CREATE"), (f"{self._random.randrange(_SALTS)} ", "CREATE2")))
        value = self._random.choice(("0", "0", "1", str(1 << 70)))
        made = f"0x{init.hex() or 0} 64 MSTORE {salt}{len(init)} {96 - len(init)} {value} {name}"
        if self._random.random() < 0.4:
            return f"{made} {self._keep()}"
        return f"{made} {_MADE} MSTORE {self._call() if self._random.random() < 0.5 else self._inspect()}"

    def _precompile(self) -> str:
        """Draw valid or almost valid input for a precompile, with all gas or little."""
        random = self._random
        if random.random() < 0.25:
            return super()._precompile()
        if not self._ethereum or random.random() < 0.2:
            number = random.choice((1, 2, 3, 5, 6))
            data = filecoin(random, number, self._contracts, ACTORS)
            place = FIRST_OF_FILECOIN + number
        else:
            place = random.choice([*ETHEREUM])
            data = random.choice(ETHEREUM[place])
        if random.random() < 0.35:
            data = damaged(random, data)
        rows = [(at, data[at : at + 32].ljust(32, b"\0")) for at in range(0, len(data), 32)]
        fill = " ".join(f"0x{row.hex()} {at} MSTORE" for at, row in rows)
        kinds = ("DELEGATECALL",) if place in (FIRST_OF_FILECOIN + 3, FIRST_OF_FILECOIN + 5) else ("STATICCALL", "CALL")
        kind = random.choice((*kinds, *kinds, "DELEGATECALL", "CALL"))
        value = f" {random.choice((0, 0, 1, 1 << 70))}" if kind == "CALL" else ""
        gas = random.choice(("GAS", "GAS", "GAS", "0", "100", "3000", "7000"))
        size = random.choice((0, 32, 64))
        return f"{fill} {size} 0 {len(data)} 0{value} {place} {gas} {kind} {self._keep()} {self._copy()}"

    def _maybe_end(self) -> str:
        """Draw a possible end of the program, including SELFDESTRUCT."""
        if self._random.random() < 0.6:
            return super()._maybe_end()
        skip = self._label()
        return f"{self._expression(2)} @{skip} JUMPI {self._address()} SELFDESTRUCT {skip}:"


class CollisionGrammar(SceneGrammar):
    """Draws only creations, calls and destructions of contracts at few addresses, so that they collide."""

    def program(self) -> str:
        """Draw a whole program; many fail at their end and revert their creations."""
        statements = (self._create, self._create, self._create, self._reach, self._reach, self._inspect, self._log)
        body = [self._random.choice(statements)() for _ in range(self._random.randint(2, 9))]
        ends = (*["STOP", "0 0 REVERT"] * 3, "INVALID", f"{self._address()} SELFDESTRUCT")
        return " ".join([*body, self._random.choice(ends)])

    def _create(self) -> str:
        init = self._random.choice(INITS)
        salt, name = self._random.choice((("", "CREATE"), ("0 ", "CREATE2"), ("0 ", "CREATE2"), ("1 ", "CREATE2")))
        value = self._random.choice(("0", "0", "0", "1"))
        fill = f"0x{init.hex() or 0} 64 MSTORE"
        return f"{fill} {salt}{len(init)} {96 - len(init)} {value} {name} {_MADE} MSTORE {_MADE} MLOAD {self._keep()}"

    def _reach(self) -> str:
        """Draw a call of a contract that exists or may be created later."""
        name = self._random.choice(("CALL", "CALL", "CALL", "DELEGATECALL", "STATICCALL"))
        value = f" {self._random.choice(('0', '0', '1'))}" if name == "CALL" else ""
        gas = self._random.choice(("GAS", "GAS", "70000"))
        return f"32 0 0 0{value} {self._address()} {gas} {name} {self._keep()}"

    def _address(self) -> str:
        draw = self._random.randrange(8)
        if draw < 4:
            return str(int.from_bytes(self._random.choice(self._later), "big"))
        if draw < 7:
            return f"{_MADE} MLOAD"
        return self._random.choice((str(self._random.choice(self._targets)), "ADDRESS", "CALLER"))


COLLISIONS: Final = "collisions"
"""Theme of `CollisionGrammar`, in addition to those of `tests.differential`."""


def program(
    random: Random,
    theme: str,
    targets: tuple[EthAddress, ...],
    ethereum: bool,
    rules: EngineRules,
    later: Sequence[EthAddress],
) -> bytes:
    """Return a program's bytes; `later` are addresses of contracts that may be created.

    Most words that are no opcode under the rules are omitted.
    """
    if random.randrange(_NOISE) == 0:
        return random.randbytes(random.randrange(200))
    if theme == COLLISIONS:
        return assemble(CollisionGrammar(random, "creation", targets, ethereum, later).program())
    words = SceneGrammar(random, theme, targets, ethereum, later).program()
    if lacks_some(rules) and random.randrange(_NOISE):
        words = known_only(words, rules)
    code = bytearray(assemble(words))
    if random.randrange(_CHANGED) == 0:
        for _ in range(random.randint(1, 3)):
            code[random.randrange(len(code))] = random.randrange(256)
    return bytes(code)
