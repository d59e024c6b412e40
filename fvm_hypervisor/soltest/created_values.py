"""Values that a symbolic test creates with halmos' cheatcodes (`svm`). This module does not import z3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.ethereum.addresses import EthAddress

SVM: Final = EthAddress(bytes.fromhex("f3993a62377bcd56ae39d773740a5390411e8bc9"))
"""Address of halmos' cheatcodes."""


@dataclass(frozen=True, slots=True)
class CreatedValues:
    """Values of a counterexample: return data of `svm` by calldata, in order; words of symbolic storage by slot."""

    answers: tuple[tuple[bytes, bytes], ...] = ()
    storage: tuple[tuple[EthAddress, int, int], ...] = ()
    text: str = ""
    """The values as `svm=[createUint256("amount")=5] storage=[0x1234…[0x0]=0x7]`; empty without values."""
    in_set_up: bool = False
    """True if `setUp` creates values, so that they are needed before it."""

    def by_calldata(self) -> dict[bytes, list[bytes]]:
        """Return the answers to each calldata, in order."""
        found: dict[bytes, list[bytes]] = {}
        for calldata, answer in self.answers:
            found.setdefault(calldata, []).append(answer)
        return found
