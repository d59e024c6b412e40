"""The proofs of compiled regions' arithmetic hold, and what is wrong is found, with an input that shows it."""

from collections.abc import Callable, Iterable

import pytest

from runtimes.evm.fast.regions import wasm
from runtimes.evm.fast.regions.words import Limbs, WordEmitter
from tests.verification.__main__ import KINDS
from tests.verification.proofs import Proof, proofs, prove_all

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
