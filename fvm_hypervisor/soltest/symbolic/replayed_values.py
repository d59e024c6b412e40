"""Values of a path's model for svm's cheatcodes and for symbolic storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import z3

from bridge.ethereum.addresses import EthAddress, checksummed
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.values import decode
from fvm_hypervisor.soltest.created_values import CreatedValues
from fvm_hypervisor.soltest.execution.stage import selector
from fvm_hypervisor.soltest.symbolic.data import values
from fvm_hypervisor.soltest.symbolic.path import Path
from fvm_hypervisor.soltest.symbolic.words import term
from fvm_hypervisor.soltest.value_text import arguments_text

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


def created_values(path: Path) -> CreatedValues:
    """Return the values of a path's model."""
    answers = tuple((calldata, values(output, path.model)) for calldata, output in path.created)
    storage = tuple(_words(path))
    return CreatedValues(answers, storage, _text(answers, storage))


def _words(path: Path) -> Iterator[tuple[EthAddress, int, int]]:
    """Yield address, slot and word of each slot of symbolic storage that the path read."""

    def number(word: object) -> int:
        found: int = path.model.eval(word, model_completion=True).as_long()
        return found

    for address, array, keys in path.arrays:
        owner = EthAddress(address.to_bytes(20, "big"))
        slots = {number(term(key)): number(z3.Select(array, term(key))) for key in keys}
        yield from ((owner, slot, word) for slot, word in slots.items())


def _text(answers: Iterable[tuple[bytes, bytes]], storage: Iterable[tuple[EthAddress, int, int]]) -> str:
    created = ", ".join(text for calldata, answer in answers if (text := _answer_text(calldata, answer)))
    words = ", ".join(f"{checksummed(address)}[{slot:#x}]={word:#x}" for address, slot, word in storage)
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
