"""Random values for fuzz tests by type, and their simplification after a failure.

Numbers come from four sources: the bounds of the type, small numbers, words of the code (the dictionary), and the whole
range, mostly as in forge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.dictionary import Dictionary
from fvm_hypervisor.soltest.execution.discovery import type_of

_MAX_ARRAY: Final = 255
_MAX_BYTES_LENGTH: Final = 99
_MAX_TEXT: Final = 31
"""Maximum numbers of elements, bytes and characters: forge's, with all lengths equally likely."""
_LETTERS: Final = ((32, 126), (0xA1, 0x2FF), (0x4E00, 0x9FFF), (0x20000, 0x2A6DF))
"""Ranges of characters with UTF-8 encodings of one, two, three and four bytes."""
_SHORT_ARRAYS: Final = 0.05
"""Share of arrays with at most eight elements, in which effects of single elements are found sooner."""
_AGAIN: Final = 0.05
"""Share of arguments that repeat an earlier one of the same type, such as a transfer to oneself."""
_SAME_LENGTH: Final = 0.1
"""Share of arrays with the length of an earlier one in the call, since pairs of arrays usually correspond."""
_MAX_LENGTHS: Final = 8
_NEGATIVE: Final = 0.5
"""Share of dictionary words that are negated, for signed types."""
_NEAR_EDGE: Final = 32
_MAX_DICTIONARY_OFFSET: Final = 16
_SMALL: Final = 1024
"""Upper bound of small numbers, which are a tenth of the numbers outside the dictionary."""
_MAX_ELEMENTS: Final = 1 << 16
"""Maximum number of array elements in one call.

forge has no maximum, but three dimensions of full length would take minutes.
"""
_FIXTURES: Final = 0.5
"""Share of values that are fixtures, for parameters that have fixtures."""

Inputs = Sequence[Mapping[str, Any]]


class Values:
    """Draws random values. `weight` percent of the words come from the dictionary.

    As in forge, half of the calls decide this for each word, the others for all words of the call, so that conditions
    on several parameters can be met together.
    """

    def __init__(
        self, rng: Random, dictionary: Dictionary, weight: int = 40, fixtures: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        """Create a source of values. `fixtures`: values by `parameter_key` (fixtures.py)."""
        self._rng = rng
        self._dictionary = dictionary
        self._weight = weight
        self._fixtures = {} if fixtures is None else fixtures
        self._share = weight
        self._rest = _MAX_ELEMENTS
        self._lengths: list[int] = []

    def begin_call(self) -> None:
        """Start the values of another call."""
        rng = self._rng
        self._rest, self._lengths = _MAX_ELEMENTS, []
        self._share = self._weight if rng.random() < 0.5 else 100 * (rng.randrange(100) < self._weight)

    def arguments(self, inputs: Inputs) -> list[Any]:
        """Return a value for each parameter."""
        rng = self._rng
        self.begin_call()
        found: list[Any] = []
        for index, entry in enumerate(inputs):
            same = [other for other in range(index) if _kind_of(inputs[other]) == _kind_of(entry)]
            if same and rng.random() < _AGAIN and entry["type"] != "bool":
                found.append(found[rng.choice(same)])
            else:
                found.append(self._argument(entry))
        return found

    def _argument(self, entry: Mapping[str, Any]) -> Any:
        if not self._fixtures:
            return self.value(entry)
        found = self._fixtures.get(parameter_key(str(entry.get("name", "")), type_of(entry)))
        if found and self._rng.random() < _FIXTURES:
            return self._rng.choice(found)
        return self.value(entry)

    def value(self, entry: Mapping[str, Any]) -> Any:
        """Return a value for an ABI entry's type, in the form that `eth_abi` accepts."""
        kind = str(entry["type"])
        if kind.endswith("]"):
            inner, _, size = kind[:-1].rpartition("[")
            item = {**entry, "type": inner}
            if size:
                return self._fixed_array(item, int(size))
            return [self.value(item) for _ in range(self._elements())]
        if kind == "tuple":
            return tuple(self.value(part) for part in entry["components"])
        if (members := self.enum_size(entry)) is not None:
            return self._rng.randrange(members)
        if kind.startswith("uint"):
            return self._unsigned(int(kind[4:] or 256))
        if kind.startswith("int"):
            return self._signed(int(kind[3:] or 256))
        if kind == "bool":
            return self._rng.random() < 0.5
        if kind == "address":
            word = self._word(20)
            return word if word not in self._dictionary.libraries else self._rng.randbytes(20)
        if kind == "string":
            return self._text()
        if kind == "bytes":
            return self._bytes()
        if kind.startswith("bytes"):
            return self._word(int(kind[5:]), left=True)
        return self._rng.randbytes(24)  # function: an address and a selector

    def enum_size(self, entry: Mapping[str, Any]) -> int | None:
        """Return the number of members of an entry's enum; None for other types, and if its source is unknown."""
        kind = str(entry.get("internalType", ""))
        return self._dictionary.enum_size(kind[5:].partition("[")[0]) if kind.startswith("enum ") else None

    def address(self) -> EthAddress:
        """Return an address other than zero."""
        return EthAddress(self._word(20) if self._rng.random() < 0.2 else self._rng.randbytes(20))

    def near_dictionary_word(self) -> int | None:
        """Return a dictionary word, in half of the cases with a small offset; None if there is none."""
        known = self._dictionary.choose(self._rng) if self._weight else None
        if known is None or self._rng.random() < 0.5:
            return known
        return known + self._rng.randint(-_MAX_DICTIONARY_OFFSET, _MAX_DICTIONARY_OFFSET)

    def _dictionary_number(self, bits: int = 256) -> int | None:
        return self._dictionary.choose(self._rng, 1 << bits) if self._rng.randrange(100) < self._share else None

    def _dictionary_text(self) -> str | None:
        return self._dictionary.choose_text(self._rng) if self._rng.random() < 0.5 else None

    def _unsigned(self, bits: int) -> int:
        known = self._dictionary_number(bits)
        return self._unknown(bits) if known is None else known % (1 << bits)

    def _unknown(self, bits: int) -> int:
        rng, top = self._rng, 1 << bits
        pool = rng.randrange(10)
        if pool == 0:
            near = rng.randrange(4) if rng.random() < 0.5 else rng.randrange(min(_NEAR_EDGE, top))
            return near if rng.random() < 0.5 else top - 1 - near
        if pool == 1:
            return rng.randrange(min(rng.choice((_SMALL, _NEAR_EDGE)), top))
        if pool < 6:
            return rng.getrandbits(rng.randint(1, bits))
        return rng.getrandbits(bits)

    def _signed(self, bits: int) -> int:
        half = 1 << (bits - 1)
        if self._rng.randrange(6) == 0:
            near = self._rng.choice((0, 0, 1, 2, 3))
            return self._rng.choice((near, -near, half - 1 - near, near - half))
        known = self._dictionary_number(bits)
        if known is not None and known <= half and self._rng.random() < _NEGATIVE:
            return -known
        word = self._unknown(bits) if known is None else known % (half << 1)
        return word - (half << 1) if word >= half else word

    def _word(self, size: int, left: bool = False) -> bytes:
        known = self._dictionary_number()
        if known is not None:
            word = known.to_bytes(32, "big")
            text = self._dictionary_text() if left else None
            if text is not None and len(text.encode()) <= size:
                return text.encode().ljust(size, b"\0")
            short = word.lstrip(b"\0")
            if left and len(short) <= size and self._rng.random() < 0.5:
                return short.rjust(size, b"\0")  # a number literal that represents bytes
            return word[:size] if left else word[-size:]
        return self._rng.randbytes(size) if self._rng.randrange(50) else bytes(size)

    def _fixed_array(self, item: Mapping[str, Any], count: int) -> list[Any]:
        """Return an array of fixed length; it repeats one value if the limit of elements is reached."""
        if count > self._rest:
            return [self.value(item)] * count
        self._rest -= count
        return [self.value(item) for _ in range(count)]

    def _elements(self) -> int:
        rng = self._rng
        if self._lengths and rng.random() < _SAME_LENGTH:
            count = min(rng.choice(self._lengths), self._rest)
            self._rest -= count
            return count
        max_length = 8 if rng.random() < _SHORT_ARRAYS else _MAX_ARRAY
        count = min(rng.randint(0, max_length), self._rest)
        self._rest -= count
        if len(self._lengths) < _MAX_LENGTHS:
            self._lengths.append(count)
        return count

    def _bytes(self) -> bytes:
        known = self._dictionary_number()
        if known is not None:
            text = self._dictionary_text()
            return self._reshape(known) if text is None else text.encode()
        return self._rng.randbytes(self._rng.randint(0, _MAX_BYTES_LENGTH))

    def _reshape(self, known: int) -> bytes:
        """Return a word, or its bytes without surrounding zeros and with random bytes appended, like calldata."""
        word = known.to_bytes(32, "big")
        if self._rng.random() < 0.5:
            return word
        return word.strip(b"\0") + self._rng.randbytes(self._rng.choice((0, 28, 32, 64)))

    def _text(self) -> str:
        rng = self._rng
        text = self._dictionary_text() if rng.randrange(100) < self._share else None
        if text is not None:
            return text
        return "".join(chr(rng.randint(*rng.choice(_LETTERS))) for _ in range(rng.randint(0, _MAX_TEXT)))


def _kind_of(entry: Mapping[str, Any]) -> str:
    """Return the type of a parameter, which tells enums and structs apart."""
    kind = str(entry.get("internalType", ""))
    return kind if kind.startswith(("enum ", "struct ")) else str(entry["type"])


# --- simplification -------------------------------------------------------------------------------------------------


def simpler(entry: Mapping[str, Any], value: Any) -> Iterator[Any]:
    """Yield simpler values of the same type, simplest first; none if the value is minimal."""
    kind = str(entry["type"])
    if kind.endswith("]"):
        yield from _simpler_list({**entry, "type": kind[: kind.rindex("[")]}, value, kind.endswith("[]"))
    elif kind == "tuple":
        for index, part in enumerate(entry["components"]):
            for better in simpler(part, value[index]):
                yield (*value[:index], better, *value[index + 1 :])
    elif kind == "bool":
        if value:
            yield False
    elif isinstance(value, int):
        yield from _simpler_number(value, int(kind.removeprefix("int") or 256) if value < 0 else 0)
    elif isinstance(value, str) or kind == "bytes":
        yield from _simpler_row(value)
    elif any(value):
        one = bytes(len(value) - 1) + b"\1"
        yield from (simple for simple in (bytes(len(value)), one) if value != one or not any(simple))


def _simpler_number(value: int, bits: int) -> Iterator[int]:
    """Yield numbers closer to zero. `bits` is the size of a signed type, whose minimum has no positive counterpart."""
    if value < 0 and value != -1 << (bits - 1):
        yield -value
    sign, step = (1 if value > 0 else -1), abs(value)
    while step:  # zero, then ever closer to the value
        yield value - sign * step
        step >>= 1


def _simpler_row(value: Any) -> Iterator[Any]:
    size = len(value)
    for keep in (0, size // 2, size - 1):
        if 0 <= keep < size:
            yield value[:keep]
    plain = bytes(size) if isinstance(value, bytes) else "a" * size
    if value != plain:
        yield plain


def _simpler_list(item: Mapping[str, Any], value: list[Any], can_shrink: bool) -> Iterator[list[Any]]:
    """Yield lists with chunks removed, with chunks set to the plain value, and with single elements simplified."""
    if can_shrink:
        yield from (value[:start] + value[end:] for start, end in _chunks(len(value)))
    plain = plain_value(item)
    for start, end in _chunks(len(value)):
        if any(found != plain for found in value[start:end]):
            yield [*value[:start], *[plain] * (end - start), *value[end:]]
    for index, found in enumerate(value):
        for better in simpler(item, found):
            yield [*value[:index], better, *value[index + 1 :]]


def _chunks(size: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of chunks of a list: the whole, its halves, down to single elements."""
    step = size
    while step:
        yield from ((start, min(start + step, size)) for start in range(0, size, step))
        step = (step + 1) // 2 if step > 1 else 0


def plain_value(entry: Mapping[str, Any]) -> Any:
    """Return the simplest value of a type."""
    kind = str(entry["type"])
    if kind.endswith("]"):
        inner, _, size = kind[:-1].rpartition("[")
        return [plain_value({**entry, "type": inner}) for _ in range(int(size or 0))]
    if kind == "tuple":
        return tuple(plain_value(part) for part in entry["components"])
    if kind.startswith(("uint", "int")):
        return 0
    plain = {"bool": False, "string": "", "bytes": b"", "address": bytes(20), "function": bytes(24)}
    return plain[kind] if kind in plain else bytes(int(kind[5:]))


def fixture_name(name: str) -> str:
    """Return the name of a parameter or fixture in the form that forge compares."""
    return name.strip("_").lower()


def parameter_key(name: str, kind: str) -> str:
    """Return the key of a parameter's fixtures: its normalized name and its type."""
    return f"{fixture_name(name)}:{kind}"


def types(inputs: Inputs) -> list[str]:
    """Return the parameters' types, in the form that `eth_abi` accepts."""
    return [type_of(entry) for entry in inputs]
