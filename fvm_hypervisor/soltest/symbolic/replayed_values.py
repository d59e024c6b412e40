"""Values of a path's model for svm's cheatcodes and for symbolic storage."""

from __future__ import annotations

from collections.abc import Iterator

import z3

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.created_values import CreatedValues
from fvm_hypervisor.soltest.symbolic.data import values
from fvm_hypervisor.soltest.symbolic.path import Path
from fvm_hypervisor.soltest.symbolic.words import term


def created_values(path: Path) -> CreatedValues:
    """Return the values of a path's model."""
    answers = tuple((calldata, values(output, path.model)) for calldata, output in path.created)
    return CreatedValues(answers, tuple(_words(path)))


def _words(path: Path) -> Iterator[tuple[EthAddress, int, int]]:
    """Yield address, slot and word of each slot of symbolic storage that the path read."""

    def number(word: object) -> int:
        found: int = path.model.eval(word, model_completion=True).as_long()
        return found

    for address, array, keys in path.arrays:
        owner = EthAddress(address.to_bytes(20, "big"))
        slots = {number(term(key)): number(z3.Select(array, term(key))) for key in keys}
        yield from ((owner, slot, word) for slot, word in slots.items())
