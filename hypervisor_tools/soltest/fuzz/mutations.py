"""Mutation of corpus inputs: changed argument values, and sequences that are cut and joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, TypeVar

from hypervisor_tools.soltest.execution.values import Inputs, Values

_FRESH: Final = 0.4
"""Share of changed values that are replaced by a new random value."""
_SECOND: Final = 0.3
"""Share of mutations that change two arguments instead of one."""
_TAKEN: Final = 0.1
"""Share of changed arguments that are copied from another input."""
_NEAR: Final = 32
_KNOWN: Final = 0.4
"""Share of changed numbers that are a dictionary word, or near one."""
_NEGATIVE: Final = 0.5
"""Share of dictionary words that are negated, for signed types."""
_MAX_REPEATS: Final = 8
_MAX_LENGTH: Final = 255

Step = TypeVar("Step")


def mutate_arguments(
    rng: Random, values: Values, inputs: Inputs, arguments: Sequence[Any], other: Sequence[Any]
) -> list[Any]:
    """Return arguments with one or two changed; `other` are those of another input."""
    values.begin_call()
    found = list(arguments)
    if not found:
        return found
    for _ in range(1 + (rng.random() < _SECOND)):
        index = rng.randrange(len(found))
        taken = rng.random() < _TAKEN
        found[index] = other[index] if taken else mutate_value(rng, values, inputs[index], found[index])
    return found


def mutate_value(rng: Random, values: Values, entry: Mapping[str, Any], value: Any) -> Any:
    """Return a value of the same type, similar to the old one or random."""
    kind = str(entry["type"])
    if kind == "tuple":
        index = rng.randrange(len(value)) if value else 0
        parts = entry["components"]
        return tuple(
            mutate_value(rng, values, parts[at], part) if at == index else part for at, part in enumerate(value)
        )
    if rng.random() < _FRESH or (kind == "uint8" and values.enum_size(entry) is not None):
        return values.value(entry)
    if kind.endswith("]"):
        item = {**entry, "type": kind[: kind.rindex("[")]}
        return _mutate_list(rng, value, lambda part: mutate_value(rng, values, item, part), lambda: values.value(item),
                            can_grow=kind.endswith("[]"))  # fmt: skip
    match value:
        case bool():
            return not value
        case int():
            return _mutate_number(rng, values, value, kind)
        case str():
            return "".join(_mutate_list(rng, list(value), lambda _: chr(rng.randint(32, 126)), lambda: "a"))
        case _:
            row = _mutate_list(
                rng, list(value), lambda byte: byte ^ (1 << rng.randrange(8)), lambda: rng.randrange(256),
                can_grow=kind == "bytes",
            )  # fmt: skip
            return bytes(row)


def _mutate_number(rng: Random, values: Values, value: int, kind: str) -> int:
    is_signed, bits = kind.startswith("int"), int(kind.removeprefix("u").removeprefix("int") or 256)
    known = values.near_dictionary_word() if rng.random() < _KNOWN else None
    choice = rng.randrange(4)
    if known is not None:
        value = -known if is_signed and rng.random() < _NEGATIVE else known
    elif choice == 0:
        value += rng.choice((-1, 1)) * rng.randint(1, _NEAR)
    elif choice == 1:
        value ^= 1 << rng.randrange(bits)
    elif choice == 2:
        value = value << 1 if rng.random() < 0.5 else value >> 1
    else:
        value = -value if is_signed else ~value
    value %= 1 << bits
    return value - (1 << bits) if is_signed and value >> (bits - 1) else value


def _mutate_list(
    rng: Random, row: Sequence[Any], change: Callable[[Any], Any], new: Callable[[], Any], can_grow: bool = True
) -> list[Any]:
    """Return a list with an element changed, duplicated, added or removed."""
    found = list(row)
    choice = rng.randrange(6) if can_grow else 0
    index = rng.randrange(len(found)) if found else 0
    if found and choice < 3:
        found[index] = change(found[index])
    elif found and choice == 3:
        del found[index]
    elif len(found) < _MAX_LENGTH:
        found.insert(index, found[index] if found and choice == 4 else new())
    return found


def mutate_sequence(
    rng: Random, one: Sequence[Step], other: Sequence[Step], change: Callable[[Step], Step], depth: int
) -> list[Step]:
    """Return a mutation of two sequences: spliced, mixed, with a step repeated or changed, or truncated.

    It has at most `depth` steps; the caller draws the remaining ones.
    """
    choice, index = rng.randrange(6), rng.randrange(len(one))
    if choice == 0:
        found = [*one[: index + 1], *other[rng.randrange(len(other)) :]]
    elif choice == 1:
        found = [*one[:index], *[one[index]] * rng.randint(2, _MAX_REPEATS), *one[index + 1 :]]
    elif choice == 2:
        found = [rng.choice(pair) for pair in zip(one, other, strict=False)]
    elif choice == 3:
        found = list(one[: index + 1])
    else:
        found = [*one[:index], change(one[index]), *one[index + 1 :]]
    return found[:depth]
