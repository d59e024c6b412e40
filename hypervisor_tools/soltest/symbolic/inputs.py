"""New symbolic words and bytes, calldata, and values created by halmos' cheatcodes.

In the symbolic calldata of a test every argument is any value of its type, within the lengths of the settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any, Final

import z3

from bridge.abi.abi import signature
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.project.test_settings import SymbolicSettings
from hypervisor_tools.soltest.symbolic.path import Dead, Path, fresh
from hypervisor_tools.soltest.symbolic.words import (
    BITS,
    Byte,
    Data,
    NotModelled,
    Word,
    bytes_of_word,
    concrete,
    equal,
    words_data,
)


def number_of(bits: int, signed: bool = False, name: str = "value") -> Word:
    """Return a new symbolic integer of `bits` bits, extended to a word."""
    extend = z3.SignExt if signed else z3.ZeroExt
    return z3.simplify(extend(BITS - bits, fresh(name, bits)))


def fixed_bytes(size: int, name: str = "value") -> Word:
    """Return a new symbolic word whose first `size` bytes are unconstrained and whose other bytes are 0."""
    rest = BITS - 8 * size
    return z3.simplify(z3.Concat(fresh(name, 8 * size), z3.BitVecVal(0, rest))) if rest else fresh(name)


def any_bytes(size: int, name: str = "value") -> list[Byte]:
    """Return new symbolic bytes."""
    found: list[Byte] = []
    for at in range(0, size, 32):
        found += bytes_of_word(fresh(name))[: size - at]
    return found


Entry = Mapping[str, Any]
MAX_SHAPES: Final = 256
"""Maximum number of combinations of lengths."""
_ARRAY: Final = re.compile(r"(.*)\[(\d*)\]")


def shapes(entries: Sequence[Entry], settings: SymbolicSettings) -> list[tuple[int, ...]]:
    """Return the combinations of lengths, each in the order in which `arguments` uses them. Raises NotModelled."""
    found = list(_all_shapes(entries, settings))
    if len(found) > MAX_SHAPES:
        raise NotModelled(f"more than {MAX_SHAPES} combinations of lengths (--symbolic-lengths, --symbolic-bytes)")
    return found


def _all_shapes(entries: Sequence[Entry], settings: SymbolicSettings) -> Iterator[tuple[int, ...]]:
    if not entries:
        yield ()
        return
    pairs = product(list(_shapes(entries[0], settings)), list(_all_shapes(entries[1:], settings)))
    yield from (first + rest for first, rest in islice(pairs, MAX_SHAPES + 1))


def _shapes(entry: Entry, settings: SymbolicSettings) -> Iterator[tuple[int, ...]]:
    kind = str(entry["type"])
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        item = {**entry, "type": array[1]}
        for length in settings.lengths if not array[2] else (int(array[2]),):
            for rest in _all_shapes([item] * length, settings):
                yield (*(() if array[2] else (length,)), *rest)
    elif kind in ("bytes", "string"):
        yield from ((length,) for length in settings.byte_lengths)
    elif kind == "tuple":
        yield from _all_shapes(entry["components"], settings)
    else:
        yield ()


def arguments(entries: Sequence[Entry], shape: Sequence[int]) -> list[Byte]:
    """Return encoded arguments with these lengths."""
    return _encoded(entries, iter(shape))


def _encoded(entries: Sequence[Entry], lengths: Iterator[int]) -> list[Byte]:
    """Return the encoding of a tuple: heads, then the tails of dynamic values."""
    parts = [(_is_dynamic(entry), _value(entry, lengths)) for entry in entries]
    at = sum(32 if dynamic else len(data) for dynamic, data in parts)
    heads: list[Byte] = []
    tails: list[Byte] = []
    for dynamic, data in parts:
        heads += bytes_of_word(at + len(tails)) if dynamic else data
        tails += data if dynamic else []
    return heads + tails


def _is_dynamic(entry: Entry) -> bool:
    kind = str(entry["type"])
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        return not array[2] or (int(array[2]) > 0 and _is_dynamic({**entry, "type": array[1]}))
    return kind in ("bytes", "string") or (kind == "tuple" and any(map(_is_dynamic, entry["components"])))


def _value(entry: Entry, lengths: Iterator[int]) -> list[Byte]:
    kind, name = str(entry["type"]), str(entry.get("name") or "argument")
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        length = int(array[2]) if array[2] else next(lengths)
        items = _encoded([{**entry, "type": array[1]}] * length, lengths)
        return items if array[2] else [*bytes_of_word(length), *items]
    if kind in ("bytes", "string"):
        length = next(lengths)
        return [*bytes_of_word(length), *any_bytes(length, name), *[0] * (-length % 32)]
    if kind == "tuple":
        return _encoded(entry["components"], lengths)
    return bytes_of_word(_word(kind, name))


def _word(kind: str, name: str) -> Any:
    if kind in ("address", "bool"):
        return number_of(160 if kind == "address" else 1, name=name)
    if kind == "function":
        return fixed_bytes(24, name)
    if kind.startswith("bytes"):
        return fixed_bytes(int(kind[5:]), name)
    if kind.startswith(("uint", "int")):
        return number_of(int(kind.lstrip("uint")), kind.startswith("int"), name)
    raise NotModelled(f"an argument of type {kind}")


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
