"""Random programs for engines with equal gas: the grammar of `tests.differential` and what it omits.

It omits programs that read the remaining gas, since derived gas may differ from the official actor's, and features of
Ethereum's rules only.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from bridge.ethereum.addresses import EthAddress, create2_address, create_address
from runtimes.evm.engine import EngineRules
from tests.differential.grammar import THEMES, Grammar
from tests.differential.newer_opcodes import known_only, lacks_some
from tests.engines.precompile_inputs import ETHEREUM, FIRST_OF_FILECOIN, damaged, filecoin
from tests.runtimes.evm.assembler import assemble, deployer

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
