"""Values that a symbolic test creates with halmos' cheatcodes (`svm`). This module does not import z3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.addresses import EthAddress, checksummed
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.table import selector
from fvm_hypervisor.soltest.cheatcodes.values import decode
from fvm_hypervisor.soltest.value_text import arguments_text
from store.keccak import keccak

SVM: Final = EthAddress(keccak(b"svm cheat code")[12:])
"""Address of halmos' cheatcodes."""
_RESULTS: Final = {
    "createUint(uint256,string)": "uint256",
    "createInt(uint256,string)": "int256",
    "createUint256(string)": "uint256",
    "createInt256(string)": "int256",
    "createAddress(string)": "address",
    "createBool(string)": "bool",
    "createBytes32(string)": "bytes32",
    "createBytes4(string)": "bytes4",
    "createBytes(uint256,string)": "bytes",
    "createString(uint256,string)": "string",
    "createCalldata(address)": "bytes",
    "createCalldata(address,bool)": "bytes",
    "createCalldata(string)": "bytes",
    "createCalldata(string,bool)": "bytes",
    "createCalldata(string,string)": "bytes",
    "createCalldata(string,string,bool)": "bytes",
}
"""Type of the value that a cheatcode returns, by its signature."""
_BY_SELECTOR: Final = {selector(signature): signature for signature in _RESULTS}


@dataclass(frozen=True, slots=True)
class CreatedValues:
    """Values of a counterexample: return data of `svm` by calldata, in order; words of symbolic storage by slot."""

    answers: tuple[tuple[bytes, bytes], ...] = ()
    storage: tuple[tuple[EthAddress, int, int], ...] = ()

    def __bool__(self) -> bool:
        """Return True if there is a value."""
        return bool(self.answers or self.storage)

    def by_calldata(self) -> dict[bytes, list[bytes]]:
        """Return the answers to each calldata, in order."""
        found: dict[bytes, list[bytes]] = {}
        for calldata, answer in self.answers:
            found.setdefault(calldata, []).append(answer)
        return found

    def text(self) -> str:
        """Return the values: `svm=[createUint256("amount")=5] storage=[0x1234…[0]=7]`; empty without values."""
        created = ", ".join(filter(None, map(_answer_text, *zip(*self.answers, strict=True)))) if self.answers else ""
        words = ", ".join(f"{checksummed(address)}[{slot:#x}]={word:#x}" for address, slot, word in self.storage)
        return " ".join(f"{name}=[{text}]" for name, text in (("svm", created), ("storage", words)) if text)


def _answer_text(calldata: bytes, answer: bytes) -> str:
    """Return `name(arguments)=value`, with bytes that cannot be decoded as hex; empty without a return value."""
    signature = _BY_SELECTOR.get(calldata[:4])
    if signature is None:  # enableSymbolicStorage
        return ""
    name, _, kinds = signature.rstrip(")").partition("(")
    return f"{name}({_values(kinds.split(','), calldata[4:])})={_values([_RESULTS[signature]], answer)}"


def _values(kinds: list[str], data: bytes) -> str:
    try:
        return arguments_text([{"type": kind} for kind in kinds], decode(kinds, data))
    except CheatcodeFailure:
        return f"0x{data.hex()}"
