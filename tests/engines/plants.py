"""Planted defects: one additional unit of gas in one engine, or call trees with missing information."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from unittest.mock import patch

from runtimes.evm.engine import EngineRules
from runtimes.evm.engines import FACTORIES
from runtimes.evm.fast.numbers import AccountFlag
from tests.runtimes.evm.assembler import NUMBERS

NONE: Final = "none"
MARK: Final = "one gas dearer"


def dearer(rules: Any, name: str) -> EngineRules:
    """Return the rules with one opcode that costs one gas more; renamed, since engines cache rules by name."""
    number = NUMBERS[name]
    opcode = replace(rules.opcodes[number], gas=rules.opcodes[number].gas + 1)
    opcodes = MappingProxyType({**rules.opcodes, number: opcode})
    changed: EngineRules = replace(rules, name=f"{rules.name}, {name} {MARK}", opcodes=opcodes)
    return changed


@contextmanager
def planted(engine: str, name: str) -> Iterator[None]:
    """Make one opcode cost one gas more in an engine."""
    make = FACTORIES[engine]
    with patch.dict(FACTORIES, {engine: lambda rules: make(dearer(rules, name))}):
        yield


@contextmanager
def _forgotten(bit: str) -> Iterator[None]:
    """Never report this flag of an account to the guest."""
    with patch.object(AccountFlag, bit, 0):
        yield


PLANTS: Final[Mapping[str, Callable[[], AbstractContextManager[None]]]] = MappingProxyType({
    NONE: nullcontext,
    "fast: MULMOD one gas dearer": partial(planted, "fast", "MULMOD"),
    "py-evm: RETURNDATACOPY one gas dearer": partial(planted, "py-evm", "RETURNDATACOPY"),
    "fast: trees do not know what is warm": partial(_forgotten, "WARM"),
    "fast: trees do not know who lends code": partial(_forgotten, "DELEGATES"),
})  # fmt: skip
