"""The proofs of compiled regions' arithmetic, of the interpreter's and of the algorithms hold."""

from collections.abc import Callable, Iterable

import pytest

from tests.verification.__main__ import KINDS
from tests.verification.division_proofs import (
    MEANINGS,
    Operate,
    _Division,
    interpreter_proofs,
    operand_proofs,
    wrong_results,
)
from tests.verification.proofs import Proof, proofs, prove_all
from tests.verification.wasm_execution import Execution, Module, World

_WHOLE = "of words of 4 and 4 limbs"
_QUICK = (f"ADD {_WHOLE}", f"SUB {_WHOLE}", f"SLT {_WHOLE}", "SHL by 65")


@pytest.mark.slow
def test_some_proofs_hold() -> None:
    found = {proof.name: proof.counterexample() for proof in proofs() if proof.name in _QUICK}
    assert len(found) == len(_QUICK)
    assert set(found.values()) == {None}


@pytest.mark.oracle
@pytest.mark.parametrize(("kind", "fewest"), [*zip(KINDS, (580, 11, 9, 12), strict=True)])
def test_all_proofs_hold(kind: Callable[[], Iterable[Proof]], fewest: int) -> None:
    count, wrong, _ = prove_all(kind())
    assert wrong == []
    assert count >= fewest


OPCODES = pytest.mark.parametrize("opcode", MEANINGS, ids=[name for name, _, _ in MEANINGS.values()])


def in_region(opcode: int) -> Proof:
    return next(each for each in operand_proofs() if each.name == f"{MEANINGS[opcode][0]} in a region")


def in_interpreter(opcode: int) -> Proof:
    return next(each for each in interpreter_proofs() if each.name == f"{MEANINGS[opcode][0]} in the interpreter")


@OPCODES
@pytest.mark.slow
def test_a_region_leaves_what_the_operation_means(opcode: int) -> None:
    assert in_region(opcode).counterexample() is None


@pytest.mark.parametrize(
    "opcode", [0x04, 0x06, 0x09, 0x1B, 0x1C, 0x1D], ids=["DIV", "MOD", "MULMOD", "SHL", "SHR", "SAR"]
)
@pytest.mark.slow
def test_the_interpreter_computes_what_the_operation_means(opcode: int) -> None:
    assert in_interpreter(opcode).counterexample() is None


def test_a_branch_discards_the_values_of_its_block() -> None:
    """The rule of WebAssembly for `br`: what the block left above the values before it is gone."""
    dropped = b"\x02\x40\x41\x07\x0c\x00\x0b"  # block, i32.const 7, br 0, end
    body = b"\x00\x41\xc0\x00" + dropped + b"\x41\x01\x36\x02\x00\x0b"  # stores 1 at 64
    sections = {1: b"\x01\x60\x00\x00", 2: b"\x00", 3: b"\x01\x00", 7: b"\x00"}
    sections[10] = b"\x01" + bytes([len(body)]) + body
    code = b"\0asm\1\0\0\0" + b"".join(bytes([kind, len(data)]) + data for kind, data in sections.items())
    (after,) = Execution(Module(code), {}, _Division()).run(0, [], World())
    assert after.read(64, 4) == 1


@pytest.mark.parametrize("opcode", [0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A])
@pytest.mark.slow
def test_compiled_code_computes_what_the_operation_means(opcode: int) -> None:
    assert next(wrong_results(Operate(), opcode, 40_001), None) is None
