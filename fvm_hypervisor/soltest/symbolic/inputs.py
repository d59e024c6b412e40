"""Symbolic calldata of a test: every argument is any value of its type, within the lengths of the settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any, Final

from fvm_hypervisor.soltest.symbolic.data import Byte, bytes_of_word
from fvm_hypervisor.soltest.symbolic.symbols import any_bytes, fixed_bytes, number_of
from fvm_hypervisor.soltest.symbolic.words import NotModelled
from fvm_hypervisor.soltest.symbolic_settings import SymbolicSettings

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
