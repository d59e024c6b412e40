"""Values of a model for svm's cheatcodes and for symbolic storage, on the concrete machine."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Final, TypeAlias

import z3

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.state import Mock
from fvm_hypervisor.soltest.symbolic.cheats import SVM_ADDRESS
from fvm_hypervisor.soltest.symbolic.data import values
from fvm_hypervisor.soltest.symbolic.path import Path
from fvm_hypervisor.soltest.symbolic.words import term
from fvm_hypervisor.soltest.world import World
from hypervisor.address import Address
from hypervisor.errors import InvalidInput
from hypervisor.types import EAM_NAMESPACE
from localnet.state.controls import set_code, set_storage

Answers: TypeAlias = tuple[tuple[bytes, tuple[bytes, ...]], ...]
"""Return data of svm's cheatcodes in order, by calldata."""
SVM: Final = EthAddress(SVM_ADDRESS.to_bytes(20, "big"))


def set_values(world: World, path: Path) -> Answers:
    """Give a machine the values of a path's model: answers of svm as mocked calls, and words of symbolic slots."""
    for address, array, keys in path.arrays:
        owner = Address.delegated(EAM_NAMESPACE, EthAddress(address.to_bytes(20, "big")))
        with suppress(InvalidInput):  # an account without code, which has no storage to read
            set_storage(world.machine, owner, _slots(path, array, keys))
    found: dict[bytes, list[bytes]] = {}
    for asked, output in path.created:
        found.setdefault(asked, []).append(values(output, path.model))
    if found:
        set_code(world.machine, Address.delegated(EAM_NAMESPACE, SVM), b"\0")
        world.cheatcodes.state.mocks[SVM] = [
            Mock(asked, None, deque(answers), reverts=False) for asked, answers in found.items()
        ]
    return tuple((asked, tuple(answers)) for asked, answers in found.items())


def _slots(path: Path, array: object, asked: list[object]) -> dict[int, int]:
    model = path.model
    return {
        model.eval(term(key), model_completion=True).as_long(): model.eval(
            z3.Select(array, term(key)), model_completion=True
        ).as_long()
        for key in asked
    }
