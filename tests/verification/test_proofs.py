"""Proofs of compiled arithmetic.

- The proofs of compiled regions' arithmetic hold, and what is wrong is found, with an input that shows it.
- Defects planted in regions, in the interpreter's code and in the algorithms are found, each with an input.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from runtimes.evm.fast.regions import wasm
from runtimes.evm.fast.regions.operations import RegionOperations
from runtimes.evm.fast.regions.words import Limbs, WordEmitter
from tests.verification import division_proofs
from tests.verification.__main__ import KINDS
from tests.verification.division_proofs import (
    INTERPRETER,
    MEANINGS,
    Operate,
    _Division,
    function_of,
    interpreter_proofs,
    operand_proofs,
    wrong_divisions,
    wrong_powers,
    wrong_results,
)
from tests.verification.proofs import Proof, proofs, prove_all
from tests.verification.wasm_execution import Execution, Instruction, Module, World

_WHOLE = "of words of 4 and 4 limbs"
_QUICK = (f"ADD {_WHOLE}", f"SUB {_WHOLE}", f"SLT {_WHOLE}", "SHL by 65", "SIGNEXTEND by 7")


class ForgetsTheCarry(WordEmitter):
    """Adds as if the last limb got no carry."""

    def add(self, a: Limbs, b: Limbs) -> Limbs:
        low, second, third, _ = super().add(a, b)
        return low, second, third, self.add_limbs(a[3], b[3])


class ComparesUnsigned(WordEmitter):
    """Has forgotten that numbers may be negative."""

    def less(self, a: Limbs, b: Limbs, is_signed: bool = False) -> Limbs:
        return super().less(a, b)


class ShiftsTooFar(WordEmitter):
    """Shifts the limbs of a word by one bit more."""

    def shift_left(self, a: Limbs, by: int) -> Limbs:
        return super().shift_left(a, by + (by == 65))


@pytest.mark.slow
def test_some_proofs_hold() -> None:
    found = {proof.name: proof.counterexample() for proof in proofs() if proof.name in _QUICK}
    assert len(found) == len(_QUICK)
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (ForgetsTheCarry, "ADD of words of 4 and 4 limbs"),
        (ComparesUnsigned, "SLT of words of 4 and 4 limbs"),
        (ShiftsTooFar, "SHL by 65"),
    ],
)
def test_a_defect_is_found_with_an_input(words: type[WordEmitter], name: str) -> None:
    (proof,) = (proof for proof in proofs(words) if proof.name == name)
    found = proof.counterexample()
    assert found is not None
    assert found.startswith("at 0x")


@pytest.mark.slow
def test_an_opcode_that_is_encoded_wrongly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm, "SUB128", wasm.ADD128)
    (proof,) = (proof for proof in proofs() if proof.name == "SUB of words of 4 and 4 limbs")
    assert proof.counterexample() is not None


@pytest.mark.oracle
@pytest.mark.parametrize(("kind", "fewest"), [*zip(KINDS, (600, 11, 9, 12), strict=True)])
def test_all_proofs_hold(kind: Callable[[], Iterable[Proof]], fewest: int) -> None:
    count, wrong, _ = prove_all(kind())
    assert wrong == []
    assert count >= fewest


OPCODES = pytest.mark.parametrize("opcode", MEANINGS, ids=[name for name, _, _ in MEANINGS.values()])


def in_region(opcode: int) -> Proof:
    return next(each for each in operand_proofs() if each.name == f"{MEANINGS[opcode][0]} in a region")


def in_interpreter(opcode: int, module: Module | None = None) -> Proof:
    name = f"{MEANINGS[opcode][0]} in the interpreter"
    return next(each for each in interpreter_proofs(module) if each.name == name)


@OPCODES
@pytest.mark.slow
def test_a_region_leaves_what_the_operation_means(opcode: int) -> None:
    assert in_region(opcode).counterexample() is None


@OPCODES
@pytest.mark.slow
def test_a_call_for_another_opcode_is_found(monkeypatch: pytest.MonkeyPatch, opcode: int) -> None:
    others = [each for each in MEANINGS if MEANINGS[each][1] == MEANINGS[opcode][1] and each != opcode]
    call = RegionOperations._call_operate
    monkeypatch.setattr(RegionOperations, "_call_operate", lambda self, _, index: call(self, others[0], index))
    assert in_region(opcode).counterexample() is not None


@OPCODES
@pytest.mark.slow
def test_operands_in_another_order_are_found(monkeypatch: pytest.MonkeyPatch, opcode: int) -> None:
    store = RegionOperations._store

    # ADDMOD and MULMOD hold for both orders of the first two operands: those below them differ
    one, other = (-2, -3) if opcode in (0x08, 0x09) else (-1, -2)
    places = {one: other, other: one}

    def swapped(self: RegionOperations, limbs: Limbs, index: int) -> None:
        store(self, limbs, places.get(index, index))

    monkeypatch.setattr(RegionOperations, "_store", swapped)
    assert in_region(opcode).counterexample() is not None


@pytest.mark.parametrize("opcode", [0x04, 0x06])
@pytest.mark.slow
def test_a_signed_machine_division_is_found(monkeypatch: pytest.MonkeyPatch, opcode: int) -> None:
    name, code = ("I64_DIV_U", b"\x7f") if opcode == 0x04 else ("I64_REM_U", b"\x81")
    monkeypatch.setattr(wasm, name, code)
    assert in_region(opcode).counterexample() is not None


@pytest.mark.slow
def test_a_machine_division_by_zero_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm, "I32_OR", wasm.I32_SUB.replace(b"\x6b", b"\x71"))  # and: only large words are refused
    found = in_region(0x04).counterexample()
    assert found is not None


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


def altered(opcode: int, old: Instruction, new: Instruction, wrapper: bool = True) -> Module:
    """The interpreter's module with the first such instruction replaced, in the function of an opcode or `operate`."""
    module = Module(INTERPRETER.read_bytes())
    index = function_of(module, opcode) if wrapper else module.exports["operate"]
    code = module.function(index).code
    code[code.index(old)] = new
    return module


@pytest.mark.parametrize(
    ("opcode", "old", "new", "wrapper"),
    [
        (0x04, Instruction(0x80), Instruction(0x7F), False),  # a signed division of machine words
        (0x05, Instruction(0x53), Instruction(0x54), True),  # an unsigned comparison in place of the sign
        (0x06, Instruction(0x82), Instruction(0x81), False),
        (0x07, Instruction(0x55), Instruction(0x56), True),
        (0x09, Instruction(0x41, (32,)), Instruction(0x41, (0,)), True),  # the first operand twice
        (0x1D, Instruction(0x87), Instruction(0x88), True),  # a shift without the sign
    ],
    ids=["DIV", "SDIV", "MOD", "SMOD", "MULMOD", "SAR"],
)
@pytest.mark.slow
def test_a_defect_of_the_interpreter_is_found(opcode: int, old: Instruction, new: Instruction, wrapper: bool) -> None:
    assert in_interpreter(opcode, altered(opcode, old, new, wrapper)).counterexample() is not None


@pytest.mark.slow
def test_a_carry_that_is_lost_in_addmod_is_found() -> None:
    module = Module(INTERPRETER.read_bytes())
    (inner,) = module.callees(function_of(module, 0x08))
    code = module.function(inner).code
    place = max(at for at, each in enumerate(code) if each == Instruction(0x42, (1,)))
    code[place] = Instruction(0x42, (0,))
    assert in_interpreter(0x08, module).counterexample() is not None


@pytest.mark.parametrize("name", ["reciprocal", "wide_reciprocal"])
def test_a_wrong_reciprocal_is_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(division_proofs, name, lambda *_: 0)
    assert next(wrong_divisions(4, 4, 2), None) is not None


def test_a_limb_that_is_one_too_large_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    digit: Callable[..., tuple[int, int]] = division_proofs._digit

    def too_large(remainder: int, divisor: int, size: int, inverse: int, bits: int) -> tuple[int, int]:
        found, _ = digit(remainder, divisor, size, inverse, bits)
        estimate = found + (size > 2 and remainder % divisor == 0)
        return estimate, remainder - estimate * divisor

    monkeypatch.setattr(division_proofs, "_digit", too_large)
    assert next(wrong_divisions(4, 4, 2), None) is not None


def test_a_wrong_step_of_a_power_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(base: int, exponent: int, multiply: Callable[[int, int], int]) -> int:
        return multiply(base, base) if exponent == 3 else pow(base, exponent, 1 << 8)

    monkeypatch.setattr(division_proofs, "power", short)
    assert next(wrong_powers(8), None) is not None


@pytest.mark.parametrize("opcode", [0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A])
@pytest.mark.slow
def test_compiled_code_that_ignores_an_operand_is_found(opcode: int) -> None:
    operate = Operate()

    class Ignores(Operate):
        def __init__(self) -> None:
            pass

        def __call__(self, opcode: int, *words: int) -> int:
            return operate(opcode, *words[:-1], words[-1] & (1 << 192) - 1)

    ignores: Any = Ignores()
    assert next(wrong_results(operate, opcode, 40_001), None) is None
    assert next(wrong_results(ignores, opcode, 401), None) is not None
