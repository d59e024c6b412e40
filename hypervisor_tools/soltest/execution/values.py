"""Random ABI values of fuzz tests, and the dictionary and literals that they draw from.

Numbers come from four sources: the bounds of the type, small numbers, words of the code (the dictionary), and the whole
range, mostly as in forge.

The dictionary of a fuzz or invariant test has values that conditions are likely to compare its inputs with: number and
string literals of the sources, the state after `setUp` (addresses, slots, pushed words), and the runs (return data,
events and storage writes). Which of these are used, and how many, are forge's settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.execution.discovery import type_of
from hypervisor_tools.soltest.execution.executor import RawCallResult
from hypervisor_tools.soltest.project.project import DictionarySettings, Project
from hypervisor_tools.soltest.project.remappings import resolve
from hypervisor_tools.soltest.project.solidity_text import SourceText
from hypervisor_tools.soltest.project.sources import imports, own_sources

MAX_WORDS: Final = 1 << 17
"""Maximum number of words in a dictionary, whatever the settings request (about 20 MB)."""
_MAX_FOUND: Final = 4096
"""Maximum number of words from runs."""
_MAX_OUTPUT: Final = 1024
"""Maximum number of bytes examined of return data or an event's data."""
_NEAR: Final = 0.25
"""Probability that a chosen word is changed."""
_BESIDE: Final = 0.7
"""Share of changed words that are incremented or decremented (off-by-one bounds); the others are inverted bitwise."""
_SHARP, _LITERALS, _FOUND, _STATE, _PUSHED = 3, 1, 2, 2, 3
"""Weights: numbers in both sources and code, all numbers in sources, words from runs, state, pushed words."""
_RECENT: Final = 8
"""Half of the draws from the runs' words choose from this many latest ones, which reflect the current state."""
_TRIES: Final = 2
"""Maximum number of draws to find a word that fits the type."""
_PUSH1, _PUSH32 = 0x60, 0x7F
_PLACE, _JUMPDEST = 2, b"\x5b"
_WORD: Final = 32
_TOP: Final = 1 << 256


class StateWords(NamedTuple):
    """State after `setUp`: addresses, words that each contract's code pushes, and storage slots with their values."""

    addresses: tuple[int, ...] = ()
    pushed_words: tuple[tuple[int, ...], ...] = ()
    storage: tuple[int, ...] = ()
    libraries: frozenset[bytes] = frozenset()
    """Addresses of linked libraries, which are no inputs."""


def no_enums(_name: str) -> int | None:
    """Return None, as for an enum that no source defines."""
    return None


@dataclass(frozen=True, slots=True)
class SourceLiterals:
    """Number and string literals of the sources, and their enums."""

    numbers: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    enum_size: Callable[[str], int | None] = field(default=no_enums, compare=False)
    """Returns the number of members of an enum by its name in ABIs, or None."""


def _below(rng: Random, bound: int) -> int:
    """Return a number from 0 to `bound` - 1 in a sixth of the time of `randrange`; the bound is far below 2^53."""
    return int(rng.random() * bound)


class Dictionary:
    """Words and texts to draw from. Words are grouped in pools, each drawn from according to its weight.

    This keeps the few numbers that conditions compare with from being outnumbered by thousands of pushed words.
    """

    def __init__(
        self,
        words: Iterable[int] = (),
        literals: Iterable[int] = (),
        texts: Iterable[str] = (),
        limit: int = MAX_WORDS,
        storage: bool = True,
        state: Iterable[int] = (),
        enum_size: Callable[[str], int | None] = no_enums,
        libraries: frozenset[bytes] = frozenset(),
    ) -> None:
        """Fill the pools: `words` are pushed by code, `state` are addresses and slots.

        `limit` is the maximum total number of words, including those added by runs.
        """
        self._literals = list(dict.fromkeys(literals))[:MAX_WORDS]
        self._texts = list(dict.fromkeys(texts))[:MAX_WORDS]
        self._state = list(islice(dict.fromkeys(state), limit))
        self._words = list(islice(dict.fromkeys(words), limit - len(self._state)))
        self._known = {*self._words, *self._state}
        self._sharp = [number for number in self._literals if number in self._known]
        self._found: list[int] = []
        self._max_found = min(_MAX_FOUND, limit - len(self._words) - len(self._state))
        self._pools = self._nonempty_pools()
        self.enum_size = enum_size
        self.libraries = libraries
        self.takes_storage = storage
        """True if storage slots that calls write are remembered."""

    @classmethod
    def of(cls, settings: DictionarySettings, state: StateWords, sources: SourceLiterals) -> Dictionary:
        """Return the dictionary of a test with these settings."""
        pushed = state.pushed_words[: settings.max_fuzz_dictionary_addresses] if settings.include_push_bytes else ()
        storage = state.storage if settings.include_storage else ()
        limit = settings.max_fuzz_dictionary_literals
        return cls(
            chain.from_iterable(pushed),
            sources.numbers[:limit],
            sources.texts[:limit],
            min(settings.max_fuzz_dictionary_values, MAX_WORDS),
            settings.include_storage,
            chain(state.addresses, storage),
            sources.enum_size,
            state.libraries,
        )

    def _nonempty_pools(self) -> list[list[int]]:
        """Return the pools that are not empty, each repeated by its weight."""
        weighted = (
            (_SHARP, self._sharp or self._literals), (_LITERALS, self._literals), (_FOUND, self._found),
            (_STATE, self._state), (_PUSHED, self._words),
        )  # fmt: skip
        return [pool for weight, pool in weighted if pool for _ in range(weight)]

    def add(self, word: int) -> None:
        """Remember a word from a run."""
        if len(self._found) < self._max_found and word not in self._known:
            self._known.add(word)
            self._found.append(word)
            if len(self._found) == 1:
                self._pools = self._nonempty_pools()

    def add_outcome(self, outcome: RawCallResult) -> None:
        """Remember what a call returned, emitted and wrote."""
        self._add_data(outcome.output)
        for log in outcome.logs:
            for topic in log.topics[1:]:
                self.add(int.from_bytes(topic, "big"))
            self._add_data(log.data)
        if self.takes_storage:
            for word in outcome.touched_words:
                self.add(word)

    def _add_data(self, data: bytes) -> None:
        for at in range(0, min(len(data), _MAX_OUTPUT) - _WORD + 1, _WORD):
            self.add(int.from_bytes(data[at : at + _WORD], "big"))

    def forget_runs(self) -> None:
        """Forget words from runs, since the next run starts from another state."""
        self._known.difference_update(self._found)
        self._found.clear()
        self._pools = self._nonempty_pools()

    def choose(self, rng: Random, top: int = _TOP) -> int | None:
        """Return a word or a variation of one, preferably below `top`; None if there are no words."""
        if not self._pools:
            return None
        for _ in range(_TRIES):
            pool = self._pools[_below(rng, len(self._pools))]
            if pool is self._found and rng.random() < 0.5:
                word = pool[-1 - _below(rng, min(_RECENT, len(pool)))]
            else:
                word = pool[_below(rng, len(pool))]
            if word < top:
                break
        if rng.random() >= _NEAR:
            return word
        return (word + (1 if rng.random() < 0.5 else -1) if rng.random() < _BESIDE else ~word) % _TOP

    def choose_text(self, rng: Random) -> str | None:
        """Return a random text, or None if there are none."""
        return rng.choice(self._texts) if self._texts else None

    def __len__(self) -> int:
        return len(self._words) + len(self._state) + len(self._found)


def pushed_words(code: bytes) -> Iterator[int]:
    """Yield the words that code pushes, except jump targets: two bytes that point to a JUMPDEST."""
    at = 0
    while at < len(code):
        size = code[at] - _PUSH1 + 1 if _PUSH1 <= code[at] <= _PUSH32 else 0
        if size:
            word = int.from_bytes(code[at + 1 : at + 1 + size], "big")
            if size != _PLACE or code[word : word + 1] != _JUMPDEST:
                yield word
        at += 1 + size


_TOKEN: Final = re.compile(
    r"""//[^\n]*|/\*.*?\*/|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|"""
    r"""(?<![\w.$])(?:(?P<hex>0[xX][0-9a-fA-F_]+)|(?P<decimal>\d[\d_]*(?:\.\d[\d_]*)?(?:[eE]\d{1,2})?))(?![\w.])"""
    r"""(?:\s+(?P<unit>wei|gwei|ether|seconds|minutes|hours|days|weeks)\b)?""",
    re.DOTALL,
)
_UNITS: Final = {
    "gwei": 10**9, "ether": 10**18, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800,
}  # fmt: skip


def literals(text: str) -> Iterator[int]:
    """Yield the integer literals below 2^256 in source order, skipping comments and strings."""
    for found in _TOKEN.finditer(text):
        if found["hex"]:
            value = Fraction(int(found["hex"].replace("_", ""), 16))
        elif found["decimal"]:
            value = Fraction(found["decimal"].replace("_", "")) * _UNITS.get(found["unit"] or "", 1)
        else:
            continue
        if value.denominator == 1 and value < _TOP:
            yield int(value)


def texts(text: str) -> Iterator[str]:
    """Yield the string literals in source order, with escapes decoded, skipping comments."""
    for found in _TOKEN.finditer(text):
        quoted = found["text"]
        if quoted is None:
            continue
        content = quoted[1:-1]
        if "\\" in content:
            try:
                content = content.encode("ascii").decode("unicode_escape")
                content.encode()
            except UnicodeError:
                continue
        yield content


def own_literals(project: Project, file: str) -> SourceLiterals:
    """Return the literals of a source and of its direct and indirect imports, except libraries."""
    found: dict[int, None] = {}
    words: dict[str, None] = {}
    for name in _with_imports(project, [file], libraries=False):
        numbers, quoted, _ = _read(project.root / name)
        found |= dict.fromkeys(numbers)
        words |= dict.fromkeys(quoted)

    @cache
    def enums() -> dict[str, int]:
        sizes: dict[str, int] = {}
        for name in _with_imports(project, [file], libraries=True):
            for enum, size in _read_types(project.root / name).enums.items():
                sizes[enum] = min(size, sizes.get(enum, size))
        return sizes

    return SourceLiterals(tuple(found), tuple(words), lambda name: enums().get(name))


def struct_fields(project: Project) -> dict[frozenset[str], tuple[str, ...]]:
    """Return the names of fields by set, in the order of the struct that has them: of several, the first by name."""
    structs: dict[str, tuple[str, ...]] = {}
    for name in _with_imports(project, own_sources(project), libraries=True):
        structs |= _read_types(project.root / name).structs
    found: dict[frozenset[str], tuple[str, ...]] = {}
    for _, fields in sorted(structs.items()):
        found.setdefault(frozenset(fields), fields)
    return found


def _with_imports(project: Project, files: Sequence[str], libraries: bool) -> Iterator[str]:
    """Yield sources and their direct and indirect imports, with those of libraries or without."""
    names, seen = list(files), set(files)
    while names:
        yield (name := names.pop())
        for other in (resolve(text, name, project.remappings) for text in _read(project.root / name)[2]):
            if other not in seen and (libraries or not _is_librarys(project, other)):
                seen.add(other)
                names.append(other)


def _is_librarys(project: Project, name: str) -> bool:
    return "node_modules" in name.split("/") or any(name.startswith(f"{lib}/") for lib in project.libs)


@lru_cache(maxsize=4096)
def _read_types(path: Path) -> SourceText:
    try:
        return SourceText(path.read_bytes())
    except OSError:
        return SourceText(b"")


@lru_cache(maxsize=4096)
def _read(path: Path) -> tuple[tuple[int, ...], tuple[str, ...], tuple[str, ...]]:
    """Return numbers, strings and imports of a source; empty if it is missing, since artifacts may lack sources."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return (), (), ()
    imported = tuple(imports(text))
    quoted = tuple(one for one in dict.fromkeys(texts(text)) if one not in imported)
    return tuple(dict.fromkeys(literals(text))), quoted, imported


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
        return self._source(entry)()

    def _source(self, entry: Mapping[str, Any]) -> Callable[[], Any]:
        """Return a function that draws values for an ABI entry's type."""
        kind, rng = str(entry["type"]), self._rng
        if kind.endswith("]"):
            inner, _, size = kind[:-1].rpartition("[")
            draw = self._source({**entry, "type": inner})
            if size:
                return lambda: self._fixed_array(draw, int(size))
            return lambda: [draw() for _ in range(self._elements())]
        if kind == "tuple":
            parts = [self._source(part) for part in entry["components"]]
            return lambda: tuple([draw() for draw in parts])
        if (members := self.enum_size(entry)) is not None:
            return lambda: rng.randrange(members)
        if kind.startswith("uint"):
            return partial(self._unsigned, int(kind[4:] or 256))
        if kind.startswith("int"):
            return partial(self._signed, int(kind[3:] or 256))
        if kind == "bool":
            return lambda: rng.random() < 0.5
        if kind == "address":
            return self._address
        if kind == "string":
            return self._text
        if kind == "bytes":
            return self._bytes
        if kind.startswith("bytes"):
            return partial(self._word, int(kind[5:]), left=True)
        return lambda: rng.randbytes(24)  # function: an address and a selector

    def _address(self) -> bytes:
        word = self._word(20)
        return word if word not in self._dictionary.libraries else self._rng.randbytes(20)

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
        return self._dictionary.choose(self._rng, 1 << bits) if self._rng.random() * 100 < self._share else None

    def _dictionary_text(self) -> str | None:
        return self._dictionary.choose_text(self._rng) if self._rng.random() < 0.5 else None

    def _unsigned(self, bits: int) -> int:
        known = self._dictionary_number(bits)
        return self._unknown(bits) if known is None else known % (1 << bits)

    def _unknown(self, bits: int) -> int:
        rng, top = self._rng, 1 << bits
        pool = _below(rng, 10)
        if pool == 0:
            near = rng.randrange(4) if rng.random() < 0.5 else rng.randrange(min(_NEAR_EDGE, top))
            return near if rng.random() < 0.5 else top - 1 - near
        if pool == 1:
            return rng.randrange(min(rng.choice((_SMALL, _NEAR_EDGE)), top))
        if pool < 6:
            return rng.getrandbits(1 + _below(rng, bits))
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
        return self._rng.randbytes(size) if self._rng.random() >= 0.02 else bytes(size)

    def _fixed_array(self, draw: Callable[[], Any], count: int) -> list[Any]:
        """Return an array of fixed length; it repeats one value if the limit of elements is reached."""
        if count > self._rest:
            return [draw()] * count
        self._rest -= count
        return [draw() for _ in range(count)]

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
