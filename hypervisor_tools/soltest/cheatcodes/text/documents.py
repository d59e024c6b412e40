"""Documents (JSON, and TOML as JSON): JSON paths, and conversion of values to ABI values.

Untyped values are converted as in forge: numbers to uint256 or int256, hexadecimal strings to address (20 bytes),
bytes32 (32 bytes) or bytes, objects to tuples in the order of a struct with these fields, or else by key.

JSON paths have the grammar and the results of jsonpath_lib 0.3, which forge uses. It differs from RFC 9535: names end
only at punctuation, text after a complete path is ignored, negative indices stop at the first element, and an index
selects in every list of an object. A filter is applied to the selected values as a whole: a condition that nothing
meets is false, so `||` with it selects nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import and_, eq, ge, gt, le, lt, ne, or_
from typing import Any, Final, NamedTuple, NoReturn

from bridge.abi.abi import join_parts
from hypervisor_tools.soltest.cheatcodes.failures import (
    MAX_BYTES,
    CheatcodeFailure,
    check_type,
    check_values,
    write_text,
)
from hypervisor_tools.soltest.cheatcodes.text import json_text
from hypervisor_tools.soltest.cheatcodes.text.json_text import Number, to_text
from hypervisor_tools.soltest.cheatcodes.text.strings import is_type, read_value
from hypervisor_tools.soltest.cheatcodes.values import encode, split

_HALF: Final = 1 << 255
_WORD: Final = 32
_INTEGER: Final = re.compile("[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9_]+)")
_MAX_DIGITS: Final = 512
"""Maximum length of text that is read as a number; it has room for 256 bits in every notation."""
MAX_NESTING: Final = 64
_TOO_DEEP: Final = "the input is nested too deeply"
_WRONG_LENGTH: Final = "array length mismatch"


def read_json(text: str) -> Any:
    """Return the value of a JSON text. Raises CheatcodeFailure."""
    try:
        document = json_text.read(text)
    except ValueError as error:
        raise CheatcodeFailure(f"failed parsing JSON: {error}") from None
    level = [document]
    for _ in range(MAX_NESTING):
        inner = [list(value.values()) if isinstance(value, dict) else value for value in level]
        level = [item for value in inner if isinstance(value, list) for item in value]
        if not level:
            return document
    raise CheatcodeFailure(_TOO_DEEP)


def at(document: Any, path: str) -> Any:
    """Return the only value that a path selects. Raises CheatcodeFailure if there is none, or if there are several."""
    found = select(document, path)
    if len(found) != 1:
        raise CheatcodeFailure(f"path {json_text.to_text(path)} must return exactly one JSON value")
    return found[0]


def value_or_default(document: Any, path: str, kind: str, default: Any) -> Any:
    """Return the value that a path selects as a value of a type, or the default if it selects none.

    Raises CheatcodeFailure if it selects several.
    """
    return coerce(at(document, path), kind) if select(document, path) else default


def exists(document: Any, path: str) -> bool:
    """Return True if a path selects anything."""
    return bool(select(document, path))


def keys(document: Any, path: str) -> list[str]:
    """Return the keys of the object that a path selects."""
    found = select(document, path)
    if len(found) != 1:
        raise CheatcodeFailure(f"key {json_text.to_text(path)} must return exactly one JSON object")
    if not isinstance(found[0], Mapping):
        raise CheatcodeFailure(f"JSON value at {json_text.to_text(path)} is not an object")
    return list(found[0])


# --- ABI values ------------------------------------------------------------------------------------------------------


Order = Callable[[frozenset[str]], Sequence[str] | None]
"""Returns the order of members with these names; None for that of the names."""


def encode_inferred(document: Any, path: str = "$", order: Order = lambda _: None) -> bytes:
    """Return the untyped values that a path selects, ABI-encoded; nothing if it selects none."""
    found = select(document, path)
    check_values(found)
    is_dynamic, data = _inferred(found[0] if len(found) == 1 else found, order)
    return join_parts(_WORD, [(is_dynamic, data)]) if found else b""


def _inferred(value: Any, order: Order) -> tuple[bool, bytes]:
    """Return True if the type of an untyped value is dynamic, and its encoding."""
    match value:
        case None:
            return False, bytes(_WORD)
        case str():
            kind, inner = infer_text(value)
            return (True, write_text(inner)) if kind in ("string", "bytes") else (False, encode([kind], [inner]))
        case bool():
            return False, encode(["bool"], [value])
        case int() | Number():
            number = value if isinstance(value, int) else value.integer
            if number is None or not -_HALF <= number < 2 * _HALF:
                raise CheatcodeFailure(f"unsupported JSON number: {json_text.to_text(value)}")
            return False, (number % (2 * _HALF)).to_bytes(_WORD, "big")
        case dict():
            return _joined([value[key] for key in order(frozenset(value)) or sorted(value)], order)
        case list():  # each item has its own type, as in forge
            return True, len(value).to_bytes(_WORD, "big") + _joined(value, order)[1]
        case _:
            raise CheatcodeFailure(f"{value!r:.60} has no ABI type")


def _joined(values: Sequence[Any], order: Order) -> tuple[bool, bytes]:
    parts = [_inferred(value, order) for value in values]
    head = sum(_WORD if is_dynamic else len(data) for is_dynamic, data in parts)
    return any(is_dynamic for is_dynamic, _ in parts), join_parts(head, parts)


def infer_text(text: str) -> tuple[str, Any]:
    """Return the ABI type and value of untyped text: hexadecimal, a number of more than 64 bits, or a string."""
    if text.startswith("0x"):
        body = text[2:]
        if len(body) == 39:
            raise CheatcodeFailure(
                f'Cannot parse "{body}" as an address. If you want to specify address, prepend zero to the value.'
            )
        if re.fullmatch("[0-9a-fA-F]*", body):
            data = bytes.fromhex(body if len(body) % 2 == 0 else f"0{body}")
            return {20: "address", 32: "bytes32"}.get(len(data), "bytes"), data
    if _INTEGER.fullmatch(text) and len(text) <= _MAX_DIGITS:
        digits = text.lstrip("+-").replace("_", "").lower()
        base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)
        number = int((digits if base == 10 else digits[2:]) or "0", base) * (-1 if text[0] == "-" else 1)
        if -_HALF <= number < _HALF:
            if number != (number + (1 << 63)) % (1 << 64) - (1 << 63):
                return "int256", number
        elif 0 <= number < 2 * _HALF:
            return "uint256", number
    return "string", text.encode()


def coerce(value: Any, kind: str) -> Any:
    """Return a document's value as a value of a type. Raises CheatcodeFailure."""
    if isinstance(value, Mapping):
        raise CheatcodeFailure(f"expected {kind}, found JSON object")
    if isinstance(value, list):
        if kind.endswith("]"):
            inner, _, size = kind[:-1].rpartition("[")
            if size and int(size) != len(value):
                raise CheatcodeFailure(_WRONG_LENGTH)
            kinds: Sequence[str] = (inner,) * len(value)
        elif kind.startswith("("):
            kinds = split(kind[1:-1])
        else:
            raise CheatcodeFailure(f"expected {kind}, found array")
        if len(kinds) != len(value):
            raise CheatcodeFailure(_WRONG_LENGTH)
        return tuple(coerce(item, part) for item, part in zip(value, kinds, strict=True))
    if isinstance(value, str) and (kind == "string" or kind.startswith(("uint", "int"))):
        return value if kind == "string" else read_value(value, kind)
    return read_value(json_text.to_text(value).replace('"', ""), kind)


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", Number: "number"}
    return names.get(type(value), "null")


_STRUCT: Final = re.compile(r"\s*(\w+)\s*\((.*?)\)\s*(?=\w+\s*\(|$)", re.DOTALL)
_LENGTH: Final = re.compile("[1-9][0-9]{0,18}")

Structs = Mapping[str, Sequence[tuple[str, str]]]
"""Type and name of the members of structs, by the struct's name."""


def encode_typed(value: Any, description: str, suffix: str = "") -> bytes:
    """Return a value encoded by the description of its type, or with `suffix` "[]" a list of such values."""
    kind, structs = described_type(description)
    kind += suffix
    return encode([abi_type(kind, structs)], [_typed(value, kind, structs)])


def described_type(description: str) -> tuple[str, Structs]:
    """Return an ABI type, or the outermost of structs in EIP-712's notation, and these structs."""
    if is_type(description):
        return description, {}
    structs: dict[str, list[tuple[str, str]]] = {}
    for found in _STRUCT.finditer(description):
        members = [member.split() for member in found[2].split(",")]
        if any(len(member) != 2 for member in members):
            raise CheatcodeFailure(f"the members of {found[1]} must be types with names, as in {found[1]}(uint256 a)")
        structs[found[1]] = [(kind, name) for kind, name in members]
    if not structs:
        raise CheatcodeFailure(f"type description '{description}' is malformed")
    return next(iter(structs)), structs


def _typed(value: Any, kind: str, structs: Structs) -> Any:
    if kind.partition("[")[0] not in structs:
        return coerce(value, kind)
    if kind.endswith("]"):
        inner, _, size = kind[:-1].rpartition("[")
        if not isinstance(value, list):
            raise CheatcodeFailure(f"expected array, found {_type_name(value)}")
        if size and len(value) != int(size):
            raise CheatcodeFailure(_WRONG_LENGTH)
        return [_typed(item, inner, structs) for item in value]
    if not isinstance(value, Mapping):
        raise CheatcodeFailure(f"expected object, found {_type_name(value)}")
    for _, name in structs[kind]:
        if name not in value:
            raise CheatcodeFailure(f"field {name} of {kind} is not in the object")
    return tuple(_typed(value[name], part, structs) for part, name in structs[kind])


def abi_type(kind: str, structs: Structs, depth: int = 0) -> str:
    """Return a type as an ABI type, with tuples for structs."""
    if depth > MAX_NESTING:
        raise CheatcodeFailure(_TOO_DEEP)
    if kind.endswith("]"):
        inner, _, size = kind[:-1].rpartition("[")
        if size and not _LENGTH.fullmatch(size):
            raise CheatcodeFailure(f"'{size:.40}' is not a valid array length")
        return f"{abi_type(inner, structs, depth + 1)}[{size}]"
    if kind in structs:
        return check_type(f"({','.join(abi_type(part, structs, depth + 1) for part, _ in structs[kind])})")
    if not is_type(kind):
        raise CheatcodeFailure(f"missing type in type resolution: {kind}")
    return kind


_MAX_VALUES: Final = MAX_BYTES // 32
"""Maximum number of values that a step selects; each takes at least one word of the result."""
_MAX_PATH: Final = 1024
"""Maximum number of characters of a path; each step may visit all values of the document."""
_MAX_NESTING: Final = 64
_END: Final = r"\s.*\[\]()@?,:<>=&|!"
_TOKEN: Final = re.compile(
    rf"""(?P<name>\$[^{_END}]+|[^{_END}$'"][^{_END}$]*)"""
    r"""|'(?P<single>[^']*\\'[^']*|(?:[^']*[^'\\])?)'|"(?P<double>[^"]*\\"[^"]*|(?:[^"]*[^"\\])?)\""""
    r"""|(?P<space>\s+)|(?P<sign>[=!<>]=|&&|\|\||[$.*\[\]()@?,:<>])"""
)
_PATH_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_COMPARISONS: Final = {"==": (eq, eq), "!=": (ne, ne), "<": (lt, gt), "<=": (le, ge), ">": (gt, lt), ">=": (ge, le)}
"""Comparisons, each with its counterpart for swapped operands."""
_JOINS: Final[dict[str, Callable[[Any, Any], bool]]] = {"&&": and_, "||": or_}

_Values = list[Any]


class _Found(NamedTuple):
    """Values of a path in a filter: the candidates of the filter, if other than the values, and the last name."""

    values: _Values
    candidates: _Values | None = None
    name: str | None = None


_Term = _Found | str | float | bool
_Comparison = Callable[[Any, Any], bool]


def select(document: Any, path: str) -> list[Any]:
    """Return the values that a path from the root, which may leave out `$`, selects. Raises CheatcodeFailure."""
    if len(path) > _MAX_PATH:
        raise CheatcodeFailure(f"the path has {len(path)} characters, more than {_MAX_PATH}")
    return _Path(document, "$" if path == "." else path if path.startswith("$") else f"${path}").select()


class _Token(NamedTuple):
    """A token: its kind (a sign, `name`, `single`, `double` or `space`), its text, and its place in the path."""

    kind: str
    text: str
    start: int
    end: int


class _Path:
    """A path that is evaluated while it is read."""

    def __init__(self, root: Any, path: str) -> None:
        self.root = root
        self.path = path
        self.tokens: list[_Token] = []
        end = 0
        while found := _TOKEN.match(path, end):  # forge ignores what cannot be read, if the path is complete
            end = found.end()
            kind = found.lastgroup or ""
            self.tokens.append(_Token(found[0] if kind == "sign" else kind, found[kind], found.start(), end))
        self.at = 0
        self.nesting = 0
        self.filtered: _Values = []
        """Values to which the current filter is applied; an index or `.*` within the filter replaces them."""

    def select(self) -> _Values:
        """Return the selected values."""
        self.expect("$")
        return self.steps([self.root])

    # --- tokens ---

    def peek(self) -> str:
        """Return the kind of the next token, empty at the end."""
        return self.tokens[self.at].kind if self.at < len(self.tokens) else ""

    def take(self, *kinds: str) -> bool:
        """Skip the next token if it is of one of these kinds."""
        self.at += (found := self.peek() in kinds)
        return found

    def expect(self, *kinds: str) -> _Token:
        """Return the next token, which must be of one of these kinds."""
        if not self.take(*kinds):
            self.at = min(self.at + 1, len(self.tokens))
            self.refuse()
        return self.tokens[self.at - 1]

    def quoted(self) -> str:
        token = self.expect("single", "double")
        quote = "'" if token.kind == "single" else '"'
        return token.text.replace(f"\\{quote}", quote)

    def integer(self) -> int:
        token = self.expect("name")
        if not _PATH_INTEGER.fullmatch(token.text) or len(token.text) > 19:
            self.refuse(token.start)
        return int(token.text)

    def refuse(self, at: int | None = None) -> NoReturn:
        """Raise the error of a path that is wrong at a position: by default, after the last token read."""
        read = self.path[: self.tokens[self.at - 1].end if at is None else at]
        text = f"path error: \n{self.path}\n{'^' * len(read.encode())}\n"
        raise CheatcodeFailure(f"failed selecting from JSON: {to_text(text)}")

    # --- steps ---

    def steps(self, values: _Values) -> _Values:
        """Return what the steps from here on select below the values."""
        while True:
            if self.take("["):
                self.take("space")
                values = self.bracket(values)
            elif not self.take("."):
                return values
            elif self.take("."):
                values = self.descend(values)
            elif self.take("["):
                values = self.bracket(values)
            elif self.take("*"):
                values = _limited(_children(values))
            elif self.peek() == "name":
                values = _limited(_members(values, [self.expect("name").text]))
            else:
                self.refuse()

    def descend(self, values: _Values) -> _Values:
        """Apply the step after two dots: to the values and all values below them."""
        if self.take("*"):
            return _limited(_children(_all(values)))
        if not self.take("["):
            return _limited(_members(_all(values), [self.expect("name").text]))
        self.take("space")
        return self.bracket(values, deep=True)

    def bracket(self, values: _Values, deep: bool = False) -> _Values:
        """Apply a step in brackets, which are open."""
        if self.take("?"):
            self.expect("(")
            found = self.filter(_limited(_children(_all(values))) if deep else values)
        elif self.take("*"):
            found = _limited(_children(_all(values) if deep else values))
        elif self.peek() in ("single", "double"):
            names = [self.quoted()]
            while self.take(","):
                self.take("space")
                names.append(self.quoted())
                self.take("space")
            found = _limited(_members(_all(values) if deep and len(names) == 1 else values, names))
        else:
            found = self.indices(values, deep)
        self.take("space")
        self.expect("]")
        return found

    def indices(self, values: _Values, deep: bool) -> _Values:
        """Apply an index, a list of indices, or a range."""
        if self.take(":"):
            return self.range(values, None)
        start = self.integer()
        self.take("space")
        if self.take(":"):
            return self.range(values, start)
        if self.peek() == ",":
            numbers = [start]
            while self.take(","):
                self.take("space")
                numbers.append(self.integer())
            return _limited(item for value in values if isinstance(value, list) for item in _items(value, numbers))
        if deep:  # a negative index is 0 here
            return _limited(item for value in _all(values) for item in _items(value, [max(start, 0)]))
        return _limited(item for value in values for item in _items_of_lists(value, start))

    def range(self, values: _Values, start: int | None) -> _Values:
        """Apply a range, whose start and colon are read."""
        self.take("space")
        end = self.integer() if self.peek() == "name" else None
        self.take("space")
        step = 1
        if self.take(":"):
            self.take("space")
            step = self.integer() if self.peek() == "name" else 1
            if step < 1:
                self.refuse(self.tokens[self.at - 1].start)
        return _limited(item for value in values if isinstance(value, list) for item in value[start:end:step])

    # --- filters ---

    def filter(self, values: _Values) -> _Values:
        """Return what a filter, whose parenthesis is open, selects of the values."""
        outer, self.filtered = self.filtered, values
        term = self.condition()
        self.take("space")
        self.expect(")")
        values, self.filtered = self.filtered, outer
        if isinstance(term, _Found):
            return term.candidates if term.candidates is not None and term.values else term.values
        return values if term else []

    def condition(self) -> _Term:
        """Return the value of conditions joined by `&&` and `||`, of which none has precedence."""
        self.nesting += 1
        if self.nesting > _MAX_NESTING:
            raise CheatcodeFailure(f"the filter has more than {_MAX_NESTING} conditions")
        self.take("space")
        if self.take("("):
            left = self.condition()
            self.take("space")
            self.expect(")")
        else:
            left = self.comparison()
        self.take("space")
        sign = self.peek()
        if self.take("&&", "||"):
            left = _compared(left, self.condition(), sign, _JOINS[sign], _JOINS[sign])
        self.nesting -= 1
        return left

    def comparison(self) -> _Term:
        is_path = self.peek() == "@"
        left = self.term()
        self.take("space")
        sign = self.peek()
        if self.take(*_COMPARISONS):
            self.take("space")
            compare, swapped = _COMPARISONS[sign]
            return _compared(left, self.term(), sign, compare, swapped)
        return left if is_path else self.refuse()

    def term(self) -> _Term:
        """Return the value of a path or of a literal."""
        if self.take("@"):
            return _Found(self.filtered) if self.take("space") else self.relative()
        if self.take("$"):
            found = self.steps([self.root])
            literal = _literal(found[0]) if len(found) == 1 else None
            return _Found(found) if literal is None else literal
        if self.peek() in ("single", "double"):
            return self.quoted()
        if self.peek() != "name":
            self.refuse()
        token = self.expect("name")
        if token.text[0] in "tTfF":
            return token.text.lower() == "true"
        text = f"{token.text}.{self.expect('name').text}" if self.take(".") else token.text
        return float(text) if _NUMBER.fullmatch(text) else self.refuse(token.start)

    def relative(self) -> _Found:
        """Follow a path in a filter: it selects the objects that have its last name."""
        found: _Found | None = None
        while True:
            name, deep = "", False
            if self.take("["):
                self.take("space")
                if self.peek() == "name":
                    at = self.integer()
                    self.filtered = _limited(item for value in self.filtered for item in _items_of_lists(value, at))
                else:
                    name = self.quoted()
                self.take("space")
                self.expect("]")
            elif self.take("."):
                deep = self.take(".")
                if self.take("*"):
                    self.filtered = _limited(_children(_all(self.filtered) if deep else self.filtered))
                else:
                    name = self.expect("name").text
            else:
                return _Found(self.filtered) if found is None else found
            if name:
                found = _narrowed(found or _Found(self.filtered), name, deep, found is None)


def _narrowed(found: _Found, name: str, deep: bool, is_first: bool) -> _Found:
    values = found.values
    if found.name is not None:
        values = [value[found.name] if isinstance(value, dict) and found.name in value else value for value in values]
    if deep:
        inner = _limited(value for value in _all(values) if isinstance(value, dict) and name in value)
        missing: set[int] = set()
    else:
        inner = _limited(_holders(values, name))
        missing = {at for at, value in enumerate(values) if not isinstance(value, dict) or name not in value}
    if is_first:
        return _Found(inner, None, None if deep else name)
    candidates = found.candidates
    if candidates is None:
        candidates = [value for at, value in enumerate(found.values) if at not in missing]
    return _Found(inner, candidates, None if deep else name)


def _holders(values: _Values, name: str) -> Iterator[Any]:
    """Yield the objects with a member: of the values, and of lists in them; each object once."""
    seen = set()
    left = list(reversed(values))
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += reversed(value)
        elif isinstance(value, dict) and name in value and id(value) not in seen:
            seen.add(id(value))
            yield value


def _compared(left: _Term, right: _Term, sign: str, compare: _Comparison, swapped: _Comparison) -> _Term:
    """Return the values for which a comparison, `&&` or `||` holds; True or False if both sides are literals."""
    if not isinstance(left, _Found):
        if isinstance(right, _Found):
            return _compared(right, left, sign, swapped, compare)
        return type(left) is type(right) and compare(left, right)
    if isinstance(right, _Found):
        found, candidates = _paired(left, right, sign), left.candidates
    else:
        found = [value for value in left.values if _matches(value, left.name, right, compare)]
        counts = Counter(map(_key, found))
        candidates = left.candidates and _limited(
            candidate
            for candidate in left.candidates
            for member in _children([candidate] if isinstance(candidate, dict) else [])
            for _ in range(counts[_key(member)])
        )
    return _Found(found, candidates) if found else False


def _matches(value: Any, name: str | None, literal: _Term, compare: _Comparison) -> bool:
    """Return True if a value, or its member of this name, has the literal's type and compares with it."""
    if isinstance(value, dict) and name is not None:
        value = value.get(name)
    value = _literal(value)
    return type(value) is type(literal) and compare(value, literal)


def _literal(value: Any) -> str | float | bool | None:
    """Return a value as a literal of a filter; None for null, lists and objects."""
    match value:
        case bool() | str():
            return value
        case int():
            return float(value)
        case Number():
            return float(value.text)
        case _:
            return None


def _paired(left: _Found, right: _Found, sign: str) -> _Values:
    """Return the left values with an equal right one, or with another for `!=`; for `||` those of both, each once."""
    first, second = left.values, right.values
    if left.candidates is not None:
        first = left.candidates
    elif right.candidates is not None:
        second = right.candidates
    if sign == "||":
        once: dict[Hashable, Any] = {}
        for value in (*first, *second):
            once.setdefault(_key(value), value)
        return _limited(once.values())
    if sign not in ("==", "!=", "&&"):
        return []
    counts = Counter(map(_key, second))
    if sign == "!=":
        return _limited(value for value in first for _ in range(len(second) - counts[_key(value)]))
    return _limited(value for value in first for _ in range(counts[_key(value)]))


def _key(value: Any) -> Hashable:
    """Return a key that equal values of the same type share."""
    if isinstance(value, dict):
        return dict, frozenset((name, _key(item)) for name, item in value.items())
    return type(value), tuple(map(_key, value)) if isinstance(value, list) else value


def _limited(values: Iterable[Any]) -> _Values:
    found = list(islice(values, _MAX_VALUES + 1))
    if len(found) > _MAX_VALUES:
        raise CheatcodeFailure(f"the path selects more than {_MAX_VALUES} values")
    return found


def _children(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value


def _all(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the values and all below them, outer ones first."""
    left = [*values][::-1]
    while left:
        value = left.pop()
        yield value
        left += [*_children([value])][::-1]


def _members(values: Iterable[Any], names: Sequence[str]) -> Iterator[Any]:
    return (value[name] for value in values if isinstance(value, dict) for name in names if name in value)


def _items(value: Any, indices: Sequence[int]) -> Iterator[Any]:
    """Yield items of a list; negative indices count from its end, and stop at its start."""
    if isinstance(value, list):
        positions = (max(index + len(value), 0) if index < 0 else index for index in indices)
        yield from (value[at] for at in positions if at < len(value))


def _items_of_lists(value: Any, index: int) -> Iterator[Any]:
    """Yield the item of a list, or those of each list that is a member of an object."""
    for item in value.values() if isinstance(value, dict) else [value]:
        yield from _items(item, [index])
