"""Programs for engines that must agree to the unit of gas: the grammar of `tests.differential`, and what it leaves out.

Left out there, since derived gas may differ from the official actor's, are programs that look at the gas that is left;
and what only Ethereum's rules have.
"""

from __future__ import annotations

from random import Random
from typing import Final

from bridge.addresses import EthAddress
from tests.differential.grammar import THEMES, Grammar
from tests.runtimes.evm.assembler import assemble

_ETHEREUM_CONTEXT: Final = ("BLOBBASEFEE", "0 BLOBHASH", "1 BLOBHASH")
_GAS: Final = ("GAS", "GAS", "0", "1", "2299", "2300", "9000", "30000", str(1 << 64), str((1 << 256) - 1))
_NOISE: Final = 40
"""Of so many programs one is of bytes that no grammar made."""
_CHANGED: Final = 8
"""Of so many programs one has a few bytes changed."""


class EngineGrammar(Grammar):
    """Draws the words of one program for a family of rules."""

    def __init__(self, random: Random, theme: str, targets: tuple[EthAddress, ...], ethereum: bool) -> None:
        super().__init__(random, theme, targets)
        self._ethereum = ethereum

    def draw_from(self, theme: str) -> None:
        """Draw statements of another theme from now on."""
        self._kinds, self._weights = [*THEMES[theme]], [*THEMES[theme].values()]

    def _word(self) -> str:
        draw = self._random.randrange(12)
        if draw == 0:
            return "GAS"
        if draw == 1 and self._ethereum:
            return self._random.choice(_ETHEREUM_CONTEXT)
        return super()._word()

    def _call(self, address: str = "") -> str:
        """Calls of every kind with gas of every size; the answer is stored, copied, or ignored."""
        if address or self._random.random() < 0.4:
            return super()._call(address)
        kinds = ("CALL", "STATICCALL", "DELEGATECALL", *(("CALLCODE",) if self._ethereum else ()))
        name = self._random.choice(kinds)
        value = f" {self._random.choice(('0', '0', '1', '5', str(1 << 70)))}" if name in ("CALL", "CALLCODE") else ""
        region = " ".join(self._offset() for _ in range(4))
        call = f"{region}{value} {self._address()} {self._random.choice(_GAS)} {name} {self._keep()}"
        return f"{call} {self._copy()}" if self._random.random() < 0.3 else call

    def _create(self) -> str:
        """Also contracts made of the program's own code, or of another's."""
        if self._random.random() < 0.6:
            return super()._create()
        name, salt = self._random.choice((("CREATE", ""), ("CREATE2", f"{self._random.randrange(3)} ")))
        size = self._random.choice(("CODESIZE", "64", "256"))
        if self._random.random() < 0.5:
            fill = f"{size} 0 0 CODECOPY"
        else:
            fill = f"{size} 0 0 {self._random.choice(self._targets)} EXTCODECOPY"
        return f"{fill} {salt}{size} 0 {self._random.choice(('0', '0', '3'))} {name} {self._keep()}"


def program(random: Random, theme: str, targets: tuple[EthAddress, ...], ethereum: bool, newest: bool) -> bytes:
    """A program's bytes. Where the rules are not the `newest`, CLZ is left out as a rule: it is no opcode there."""
    if random.randrange(_NOISE) == 0:
        return random.randbytes(random.randrange(200))
    words = EngineGrammar(random, theme, targets, ethereum).program()
    if not newest and random.randrange(_NOISE):
        words = words.replace(" CLZ", " NOT")
    code = bytearray(assemble(words))
    if random.randrange(_CHANGED) == 0:
        for _ in range(random.randint(1, 3)):
            code[random.randrange(len(code))] = random.randrange(256)
    return bytes(code)
