"""Values for fuzz tests: drawn by their types, and made simpler when one has made a test fail.

Numbers are drawn from four wells: the edges of the type, small ones, words that the code itself mentions (the
dictionary), and the whole range, as forge does in the main.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

from bridge.addresses import EthAddress
from devtools.soltest.discovery import type_of

_PUSH1, _PUSH32 = 0x60, 0x7F
_PLACE, _JUMPDEST = 2, b"\x5b"
_LONGEST_ARRAY: Final = 255
_LONGEST_BYTES: Final = 99
_LONGEST_TEXT: Final = 31
"""Elements, bytes and letters at most: forge's lengths, of which each is as likely as the others."""
_LETTERS: Final = ((32, 126), (0xA1, 0x2FF), (0x4E00, 0x9FFF), (0x20000, 0x2A6DF))
"""Ranges of letters that are one, two, three and four bytes long."""
_SHORT_ARRAYS: Final = 0.05
"""The share of arrays with at most eight elements, in which what single elements do is found sooner."""
_MOST_ELEMENTS: Final = 1 << 16
"""Of one call's arrays in all: forge has no such bound, and three dimensions of full length would take minutes."""
_MOST_WORDS: Final = 15_000

Inputs = Sequence[Mapping[str, Any]]


class Dictionary:
    """Words that a test's contracts mention or have answered: the interesting values.

    The numbers of the project's own sources, which conditions compare with, are drawn as often as all the others.
    """

    def __init__(self, words: Sequence[int] = (), literals: Sequence[int] = ()) -> None:
        self._literals = list(dict.fromkeys(literals))[:_MOST_WORDS]
        self._words = list(dict.fromkeys(words))[:_MOST_WORDS]
        self._known = set(self._words)

    def add(self, word: int) -> None:
        """Remember a word."""
        if word not in self._known and len(self._words) < _MOST_WORDS:
            self._known.add(word)
            self._words.append(word)

    def add_output(self, data: bytes) -> None:
        """Remember the first words of an answer."""
        for at in range(0, min(len(data), 1024) - 31, 32):
            self.add(int.from_bytes(data[at : at + 32], "big"))

    def choose(self, rng: Random) -> int | None:
        """One of the words."""
        if self._literals and (not self._words or rng.random() < 0.5):
            return rng.choice(self._literals)
        return rng.choice(self._words) if self._words else None

    def __len__(self) -> int:
        return len(self._words)


def pushed(code: bytes) -> Iterator[int]:
    """The words that code pushes, but for places in it: two bytes that name a JUMPDEST."""
    at = 0
    while at < len(code):
        size = code[at] - _PUSH1 + 1 if _PUSH1 <= code[at] <= _PUSH32 else 0
        if size:
            word = int.from_bytes(code[at + 1 : at + 1 + size], "big")
            if size != _PLACE or code[word : word + 1] != _JUMPDEST:
                yield word
        at += 1 + size


class Values:
    """Draws values. `weight` of a hundred words come from the dictionary.

    In half of the calls that is decided for each word, in the others for all words of the call, as in forge: so
    conditions on several parameters are met together.
    """

    def __init__(self, rng: Random, dictionary: Dictionary, weight: int = 40) -> None:
        self._rng = rng
        self._dictionary = dictionary
        self._weight = weight
        self._share = weight
        self._rest = _MOST_ELEMENTS

    def arguments(self, inputs: Inputs) -> list[Any]:
        """One value for each parameter."""
        rng = self._rng
        self._rest = _MOST_ELEMENTS
        self._share = self._weight if rng.random() < 0.5 else 100 * (rng.randrange(100) < self._weight)
        return [self.value(entry) for entry in inputs]

    def value(self, entry: Mapping[str, Any]) -> Any:
        """A value of an ABI entry's type, as `eth_abi` takes it."""
        kind = str(entry["type"])
        if kind.endswith("]"):
            inner, _, size = kind[:-1].rpartition("[")
            count = int(size) if size else self._elements()
            item = {**entry, "type": inner}
            return [self.value(item) for _ in range(count)]
        if kind == "tuple":
            return tuple(self.value(part) for part in entry["components"])
        if kind.startswith("uint"):
            return self._unsigned(int(kind[4:] or 256))
        if kind.startswith("int"):
            return self._signed(int(kind[3:] or 256))
        if kind == "bool":
            return self._rng.random() < 0.5
        if kind == "address":
            return self._word(20)
        if kind == "string":
            return self._text()
        if kind == "bytes":
            return self._bytes()
        if kind.startswith("bytes"):
            return self._word(int(kind[5:]), left=True)
        return self._rng.randbytes(24)  # function: an address and a selector

    def address(self) -> EthAddress:
        """An address that is not zero."""
        return EthAddress(self._word(20) if self._rng.random() < 0.2 else self._rng.randbytes(20))

    def _known(self) -> int | None:
        return self._dictionary.choose(self._rng) if self._rng.randrange(100) < self._share else None

    def _unsigned(self, bits: int) -> int:
        rng, top = self._rng, 1 << bits
        known = self._known()
        if known is not None:
            return known % top
        well = rng.randrange(10)
        if well == 0:
            near = rng.randrange(4)
            return near if rng.random() < 0.5 else top - 1 - near
        if well < 5:
            return rng.getrandbits(rng.randint(1, bits))
        return rng.getrandbits(bits)

    def _signed(self, bits: int) -> int:
        half = 1 << (bits - 1)
        if self._rng.randrange(10) == 0:
            near = self._rng.randrange(4)
            return self._rng.choice((near, -near, half - 1 - near, near - half))
        word = self._unsigned(bits)
        return word - (half << 1) if word >= half else word

    def _word(self, size: int, left: bool = False) -> bytes:
        known = self._known()
        if known is not None:
            word = known.to_bytes(32, "big")
            return word[:size] if left else word[-size:]
        return self._rng.randbytes(size) if self._rng.randrange(50) else bytes(size)

    def _elements(self) -> int:
        rng = self._rng
        most = 8 if rng.random() < _SHORT_ARRAYS else _LONGEST_ARRAY
        count = min(rng.randint(0, most), self._rest)
        self._rest -= count
        return count

    def _bytes(self) -> bytes:
        known = self._known()
        if known is not None:
            return known.to_bytes(32, "big")
        return self._rng.randbytes(self._rng.randint(0, _LONGEST_BYTES))

    def _text(self) -> str:
        rng = self._rng
        return "".join(chr(rng.randint(*rng.choice(_LETTERS))) for _ in range(rng.randint(0, _LONGEST_TEXT)))


# --- simpler --------------------------------------------------------------------------------------------------------


def simpler(entry: Mapping[str, Any], value: Any) -> Iterator[Any]:
    """Values of the same type that are simpler, the simplest first; none for what cannot be simpler."""
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
        yield from _simpler_number(value)
    elif isinstance(value, str) or kind == "bytes":
        yield from _simpler_row(value)
    elif any(value):
        one = bytes(len(value) - 1) + b"\1"
        yield from (simple for simple in (bytes(len(value)), one) if value != one or not any(simple))


def _simpler_number(value: int) -> Iterator[int]:
    if value < 0:
        yield -value
    sign, step = (1 if value > 0 else -1), abs(value)
    while step:  # zero, then nearer and nearer to the value
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
    """Without all elements, halves, quarters and so on to single ones; with as many of them plain; one by one."""
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
    """All of a row, its halves, and so on to its single elements: where they begin and end."""
    step = size
    while step:
        yield from ((start, min(start + step, size)) for start in range(0, size, step))
        step = (step + 1) // 2 if step > 1 else 0


def plain_value(entry: Mapping[str, Any]) -> Any:
    """The simplest value of a type."""
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


def types(inputs: Inputs) -> list[str]:
    """The parameters' types, as `eth_abi` takes them."""
    return [type_of(entry) for entry in inputs]
