"""Symbolic calldata for any function of a contract: halmos' `svm.createCalldata`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import z3

from bridge.abi.abi import signature
from fvm_hypervisor.soltest.execution.stage import selector
from fvm_hypervisor.soltest.symbolic.data import Byte, Data, concrete, words_data
from fvm_hypervisor.soltest.symbolic.inputs import Entry, arguments, shapes
from fvm_hypervisor.soltest.symbolic.path import Dead, Path
from fvm_hypervisor.soltest.symbolic.symbols import any_bytes
from fvm_hypervisor.soltest.symbolic.words import BITS, NotModelled, equal

_READING: Final = ("view", "pure")
_FALLBACK_LENGTH: Final = 1024
"""Number of bytes after an unknown selector, tried in addition to the lengths of `--symbolic-bytes`."""


def create_calldata(kinds: str, has_flag: bool) -> Callable[[Path, Data], Data]:
    """Return the implementation of `createCalldata(kinds)`.

    With `has_flag`, return that of the overload whose last parameter includes view functions.
    """
    count = kinds.count(",") + 1

    def create(path: Path, data: Data) -> Data:
        if kinds == "address":
            abi = path.start.abi_at(path.account(path.number(path.argument(data, 0), "address of createCalldata")).code)
        else:
            abi = path.start.abi_named(":".join(_text(path, data, index) for index in range(count)))
        with_views = has_flag and path.number(path.argument(data, count), "flag of createCalldata") != 0
        made = _choose(path, abi, with_views)
        return [*words_data(32, len(made)), *made, *[0] * (-len(made) % 32)]

    return create


def _text(path: Path, data: Data, index: int) -> str:
    found = concrete(path.bytes_argument(data, index))
    if found is None or len(found) > 1 << 12:
        raise NotModelled("createCalldata of a symbolic or long name")
    return found.decode(errors="replace")


def _choose(path: Path, abi: Sequence[Entry], with_views: bool) -> list[Byte]:
    """Fork into empty calldata, calldata for each function, and calldata with a selector that no function has.

    The latter reaches a fallback function. It also reaches functions of the called contract that `abi` lacks.
    """
    functions = [entry for entry in abi if entry.get("type") == "function"]
    called = [entry for entry in functions if with_views or entry.get("stateMutability") not in _READING]
    settings = path.start.settings
    rows = [(entry, shape) for entry in called for shape in shapes(entry.get("inputs", ()), settings)]
    lengths = tuple(dict.fromkeys((*settings.byte_lengths, _FALLBACK_LENGTH)))
    # the name depends only on the path, because the instruction is repeated after each decision
    index = z3.BitVec(f"calldata!{len(path.created)}", BITS)
    if path.decide(equal(index, 0)):
        return []
    for number, length in enumerate(lengths, 1):
        if path.decide(equal(index, number)):
            return _for_fallback(path, functions, length)
    for number, (entry, shape) in enumerate(rows, 1 + len(lengths)):
        if path.decide(equal(index, number)):
            return [*selector(signature(entry)), *arguments(entry.get("inputs", ()), shape)]
    raise Dead  # `index` has another value


def _for_fallback(path: Path, functions: Sequence[Entry], length: int) -> list[Byte]:
    """Return a selector that no function has, and `length` bytes."""
    made = any_bytes(4 + length)
    first = made[0]
    assert isinstance(first, tuple)
    start = z3.Extract(BITS - 1, BITS - 32, first[0])
    path.assume(*[start != int.from_bytes(selector(signature(entry)), "big") for entry in functions])
    return made
