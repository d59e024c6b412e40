"""Options of symbolic tests."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from hypervisor.errors import InvalidInput

if TYPE_CHECKING:
    from fvm_hypervisor.soltest.symbolic_settings import SymbolicSettings

_MAX_LENGTH = 1024


def symbolic_settings(fuzz: bool, lengths: tuple[str, str], loop: int, paths: int, seconds: float) -> SymbolicSettings:
    """Return the bounds of symbolic tests from the values of their options."""
    from fvm_hypervisor.soltest.symbolic_settings import SymbolicSettings

    arrays, texts = lengths
    return SymbolicSettings(
        fuzz, _lengths(arrays, "--symbolic-lengths"), _lengths(texts, "--symbolic-bytes"), loop, paths, seconds=seconds
    )


def check_symbolic(rules: str, others: Mapping[str, bool]) -> None:
    """Raise for options that symbolic tests exclude, and if z3 is not installed."""
    from bridge.ethereum.block import ETHEREUM

    if rules != ETHEREUM:
        raise InvalidInput(f"symbolic tests run under the rules ethereum, not {rules}: remove --rules")
    for name, is_set in others.items():
        if is_set:
            raise typer.BadParameter(f"--symbolic and {name} cannot be used together: run them separately")
    if find_spec("z3") is None:
        raise InvalidInput("symbolic tests need z3: install it with `pip install z3-solver`")


def _lengths(text: str, option: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(word.strip().isdecimal() and int(word) <= _MAX_LENGTH for word in parts):
        raise typer.BadParameter(f"{option} '{text}' is not a list of lengths from 0 to {_MAX_LENGTH}, such as 0,1,2")
    return tuple(dict.fromkeys(int(word) for word in parts))
