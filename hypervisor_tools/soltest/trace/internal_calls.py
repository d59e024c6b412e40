"""Internal calls in traces, with their arguments and results.

A function is entered by a jump that the source map marks `i`, to an instruction whose source span is the function's
definition, and left by one marked `o`. A jump out belongs to the newest entry whose call site it returns to, or whose
definition it leaves; newer entries were merged by the optimizer and are dropped.

Arguments and results have the types that the source text declares. A value type is a word on the stack; a reference is
a word that points into memory or to a slot; dynamic arrays, bytes and strings in calldata are two words, offset and
length. Layout: the Solidity documentation on layout in memory and on function calls. Types that the project defines
(structs, mappings) are not decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.evm_steps import EvmFrame, EvmStep
from hypervisor.tracing import CallEnded, CallNode, Detail, RuntimeEvent, TraceEvent
from hypervisor_tools.soltest.project.solidity_text import SourceTexts
from hypervisor_tools.soltest.trace.frames import FrameTracer, InternalCall, TypedValue, code_of, creates, input_of
from hypervisor_tools.soltest.trace.known_code import KnownCode, SourceSpan
from localnet.calls.time_limit import TimeLimit

UNKNOWN: Final = TypedValue(None, "<unknown>")
_WORD: Final = 32
_MAX_ELEMENTS: Final = 256
_MAX_BYTES: Final = 4096
_MAX_WORDS: Final = 1024
"""Maximum number of memory words read per value: pointers may be cyclic or share a target."""
_ELEMENTARY: Final = re.compile(
    r"(?P<kind>(?:u?int)(?:\d{1,3})?|bytes(?:[1-9]|[12]\d|3[0-2])?|string|bool|address)(?P<arrays>(?:\[\d{0,6}\]){0,16})"
)
_PASSED_OVER: Final = re.compile(
    rb"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)  # fmt: skip
"""Comments and string literals, which may occur as arguments of modifiers."""
_NAME: Final = re.compile(r"\s*function\s+([A-Za-z_$][\w$]*)\s*")
_RETURNS: Final = re.compile(r"(?<![\w$])returns\s*(?=\()")
_LOCATIONS: Final = ("memory", "calldata", "storage")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter or result. `kind` is an ABI type, empty for user-defined types; `location` may be empty."""

    kind: str
    location: str = ""
    words: int = 1
    """Number of stack words."""


@dataclass(frozen=True, slots=True)
class ValuePlace:
    """Location of values; the last item is the top of the stack. With `reverses` the first value is on top."""

    stack: Sequence[int]
    memory: bytes
    calldata: bytes
    reverses: bool = False


def split_header(text: bytes) -> tuple[str, tuple[Parameter, ...], tuple[Parameter, ...]] | None:
    """Return the name, parameters and results of a function's text; None if it is not a named function."""
    if not text.startswith(b"function"):
        return None
    head = re.split("[{;]", _PASSED_OVER.sub(b" ", text).decode("utf-8", "replace"), maxsplit=1)[0]
    found = _NAME.match(head)
    if found is None:
        return None
    inputs, rest = _split_brackets(head[found.end() :])
    returns = _RETURNS.search(rest)
    outputs = "" if returns is None else _split_brackets(rest[returns.end() :])[0]
    return found[1], tuple(map(_parameter, _split(inputs))), tuple(map(_parameter, _split(outputs)))


def read_values(parameters: Sequence[Parameter], place: ValuePlace) -> tuple[TypedValue, ...]:
    """Return the values on top of the stack."""
    size = sum(parameter.words for parameter in parameters)
    if len(place.stack) < size:
        return tuple(UNKNOWN for _ in parameters)
    words = list(place.stack[len(place.stack) - size :])
    if place.reverses:
        words.reverse()
    found, at = [], 0
    for parameter in parameters:
        found.append(_value(parameter, words[at : at + parameter.words], place))
        at += parameter.words
    return tuple(found)


def _value(parameter: Parameter, words: Sequence[int], place: ValuePlace) -> TypedValue:
    kind = parameter.kind
    try:
        if not kind:
            return UNKNOWN
        if parameter.location == "memory":
            return TypedValue({"name": "", "type": kind}, _Reader(place.memory).value(kind, words[0]))
        if parameter.location == "calldata":
            return TypedValue({"name": "", "type": kind}, _in_calldata(kind, place.calldata, words))
        if parameter.location:
            return UNKNOWN
        return TypedValue({"name": "", "type": kind}, _of_word(kind, words[0]))
    except (IndexError, ValueError):
        return UNKNOWN


def _of_word(kind: str, word: int) -> Any:
    """Return a value type's word as a value; solc left-aligns bytes."""
    if kind.startswith("uint"):
        return word % (1 << int(kind[4:]))
    if kind.startswith("int"):
        bits = int(kind[3:])
        low = word % (1 << bits)
        return low - (1 << bits) if low >> (bits - 1) else low
    if kind == "bool":
        return bool(word)
    if kind == "address":
        return word.to_bytes(_WORD, "big")[12:]
    return word.to_bytes(_WORD, "big")[: int(kind.removeprefix("bytes"))]


class _Reader:
    """Reads one value from memory, with a limit of _MAX_WORDS words."""

    def __init__(self, memory: bytes) -> None:
        self._memory = memory
        self._left = _MAX_WORDS

    def value(self, kind: str, at: int) -> Any:
        """Return the value at an offset. Raises IndexError, ValueError."""
        if kind in ("string", "bytes"):
            size = self._word(at)
            self._spend(-(-size // _WORD))
            return _text(kind, _shorten(self._memory, at + _WORD, size))
        if not kind.endswith("]"):
            return _of_word(kind, self._word(at))
        inner, _, size_text = kind[:-1].rpartition("[")
        count = int(size_text) if size_text else self._word(at)
        if count > _MAX_ELEMENTS:
            raise ValueError(f"{count} elements")
        begin = at if size_text else at + _WORD
        places = range(begin, begin + count * _WORD, _WORD)
        if inner.endswith("]") or inner in ("string", "bytes"):
            return [self.value(inner, self._word(place)) for place in places]
        return [_of_word(inner, self._word(place)) for place in places]

    def _word(self, at: int) -> int:
        self._spend(1)
        return _word(self._memory, at)

    def _spend(self, words: int) -> None:
        self._left -= words
        if self._left < 0:
            raise ValueError(f"more than {_MAX_WORDS} words")


def _in_calldata(kind: str, data: bytes, words: Sequence[int]) -> Any:
    """Return a value in calldata: bytes, strings, and arrays of words. Raises IndexError, ValueError."""
    if kind in ("string", "bytes"):
        return _text(kind, _shorten(data, *words))
    inner, _, size = kind[:-1].rpartition("[")
    count = int(size) if size else words[1]
    if inner.endswith("]") or inner in ("string", "bytes") or count > _MAX_ELEMENTS:
        raise ValueError(kind)
    return [_of_word(inner, _word(data, index)) for index in range(words[0], words[0] + count * _WORD, _WORD)]


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(_shorten(data, at, _WORD), "big")


def _shorten(data: bytes, at: int, size: int) -> bytes:
    if size > _MAX_BYTES or at + size > len(data):
        raise IndexError(at)
    return data[at : at + size]


def _text(kind: str, data: bytes) -> Any:
    return data if kind == "bytes" else data.decode("utf-8", "replace")


# --- text ------------------------------------------------------------------------------------------------------------


def _split_brackets(text: str) -> tuple[str, str]:
    """Return the text within the first pair of brackets, and the text after it."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[1:at], text[at + 1 :]
    return "", ""


def _split(text: str) -> Iterator[str]:
    """Split at commas outside brackets."""
    depth, begin = 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            yield text[begin:at].strip()
            begin = at + 1
    if text[begin:].strip():
        yield text[begin:].strip()


def _parameter(text: str) -> Parameter:
    """Return the parameter for a declaration: a type, a data location, a name."""
    head = text.split("(", 1)[0].split()
    words = text.split()
    location = next((word for word in words[1:] if word in _LOCATIONS), "")
    if not words or head[0] in ("function", "mapping"):
        return Parameter("", location, 2 if "external" in words else 1)
    found = _ELEMENTARY.fullmatch(words[0])
    is_row = words[0].endswith("[]") or words[0] in ("string", "bytes")
    kind = ""
    if found is not None:
        name = found["kind"]
        kind = f"{name}256" if name in ("uint", "int") else name
        kind += found["arrays"]
    return Parameter(kind, location, 2 if location == "calldata" and is_row else 1)


MAX_CALLS: Final = 100_000
"""Maximum number of internal calls recorded per message, in the order of their ends."""
_REVERT, _INVALID = 0xFD, 0xFE
_JUMP: Final = 8
"""Gas of the jump into a function, which is counted as the function's, as in forge."""


@dataclass(frozen=True, slots=True)
class _Function:
    """A function's declaration."""

    name: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]


@dataclass(slots=True)
class _OpenFunction:
    """A function that has not returned yet."""

    function: _Function
    caller: SourceSpan
    body: SourceSpan
    gas: int
    begin: int
    arguments: tuple[TypedValue, ...]


@dataclass(slots=True)
class _Walk:
    """Source map of a frame's code, and the functions it is currently in."""

    spans: Mapping[int, SourceSpan] = field(default_factory=dict)
    jumps: Mapping[int, SourceSpan] = field(default_factory=dict)
    ends: frozenset[int] = frozenset()
    """Program counters of REVERT and INVALID."""
    after: SourceSpan | None = None
    """The jump, if the previous instruction was one."""
    entered: list[_OpenFunction] = field(default_factory=list)
    gas: int = 0
    """Gas left at the last REVERT or INVALID."""


_NOTHING: Final = _Walk()


class FunctionFrameTracer(FrameTracer):
    """Also records internal calls; the full state is read at few instructions only.

    Raises OutOfTime after the time limit.
    """

    detail = Detail.PAUSES

    def __init__(
        self, rules: str, known: KnownCode, sources: SourceTexts, *, reverses: bool = False,
        limit: TimeLimit | None = None,
    ) -> None:  # fmt: skip
        """Create the tracer. With `reverses` the first argument is on top of the stack, as in code compiled via IR."""
        super().__init__(rules, limit)
        self._known, self._sources, self._reverses = known, sources, reverses
        self._walks: list[_Walk] = []
        self.left_out = 0
        """Number of internal calls not recorded because of MAX_CALLS."""
        self._recorded = 0
        self._codes: dict[tuple[bytes, bool], _Walk] = {}
        self._functions: dict[SourceSpan, _Function | None] = {}

    # --- the tracer -------------------------------------------------------------------------------------------

    def pause(self, _number: int, counter: int, read_step: Callable[[], RuntimeEvent], /) -> int:
        """Record the next instruction; return 0 to skip none."""
        if self._open:
            self._open[-1].note(counter)
            self._walk(counter, read_step)
        return 0

    def step(self, event: RuntimeEvent, /) -> None:
        """Record the instruction of a full step."""
        if not isinstance(event, EvmStep) or not self._open:
            return
        self._open[-1].note(event.pc)
        self._walk(event.pc, lambda: event)

    def _take(self, event: TraceEvent) -> None:
        super()._take(event)
        if isinstance(event, EvmFrame) and self._open:
            self._walks[-1] = self._walk_of(self._open[-1])

    def _begin(self, frame: CallNode) -> None:
        super()._begin(frame)
        self._walks.append(_NOTHING)

    def _end(self, event: CallEnded) -> None:
        frame, walk = self._open[-1], self._walks.pop()
        if event.exit_code or event.error:
            self._close(frame, walk)
        super()._end(event)

    # --- functions --------------------------------------------------------------------------------------------

    def _walk_of(self, frame: CallNode) -> _Walk:
        key = code_of(frame), creates(frame)
        known = self._codes.get(key)
        if known is None:
            contract = self._known.find(*key)
            spans: Mapping[int, SourceSpan] = {}
            if contract is not None:
                spans = contract.creation_places if creates(frame) else contract.runtime_places
            jumps = {counter: span for counter, span in spans.items() if span.jump in ("i", "o")}
            ends = frozenset(counter for counter in spans if code_of(frame)[counter] in (_REVERT, _INVALID))
            known = self._codes[key] = _Walk(spans, jumps, ends)
        return _Walk(known.spans, known.jumps, known.ends)

    def _walk(self, counter: int, read_step: Callable[[], RuntimeEvent]) -> None:
        self._tick()
        walk = self._walks[-1]
        after, walk.after = walk.after, walk.jumps.get(counter)
        if after is not None:
            here = walk.spans.get(counter)
            if here is not None and after.jump == "i":
                self._enter(walk, after, here, read_step)
            elif here is not None:
                self._leave(walk, after, here, read_step)
        elif counter in walk.ends and walk.entered:
            step = read_step()
            walk.gas = step.gas if isinstance(step, EvmStep) else 0

    def _enter(self, walk: _Walk, jump: SourceSpan, here: SourceSpan, read_step: Callable[[], RuntimeEvent]) -> None:
        if _is_same(jump, here):
            return  # the dispatcher's jump to a public function: the call itself
        function = self._function(here)
        step = read_step() if function is not None else None
        if function is None or not isinstance(step, EvmStep):
            return
        frame, values = self._open[-1], tuple[TypedValue, ...]()
        if self._recorded < MAX_CALLS:
            values = read_values(function.inputs, ValuePlace(step.stack, step.memory, input_of(frame), self._reverses))
        walk.entered.append(
            _OpenFunction(function, jump, here, step.gas + _JUMP, len(frame.items), values)
        )  # fmt: skip

    def _leave(self, walk: _Walk, jump: SourceSpan, here: SourceSpan, read_step: Callable[[], RuntimeEvent]) -> None:
        for index in reversed(range(len(walk.entered))):
            one = walk.entered[index]
            if _is_same(one.caller, here) or _is_same(one.body, jump):
                break
        else:
            return
        del walk.entered[index:]
        step = read_step()
        if isinstance(step, EvmStep):
            frame = self._open[-1]
            values = read_values(one.function.outputs, ValuePlace(step.stack, step.memory, input_of(frame)))
            self._record(frame, one, step.gas, values)

    def _close(self, frame: CallNode, walk: _Walk) -> None:
        """Record the functions in which a call failed."""
        for one in reversed(walk.entered):
            self._record(frame, one, walk.gas, None)

    def _record(self, frame: CallNode, one: _OpenFunction, gas: int, result: tuple[TypedValue, ...] | None) -> None:
        if self._recorded >= MAX_CALLS:  # calls within it remain, attached to the frame
            self.left_out += 1
            return
        self._recorded += 1
        used, items = max(0, one.gas - gas), tuple(frame.items[one.begin :])
        frame.items[one.begin :] = [InternalCall(one.function.name, one.arguments, result, used, items=items)]

    def _function(self, span: SourceSpan) -> _Function | None:
        if span not in self._functions:
            self._functions[span] = self._declared_function(span)
        return self._functions[span]

    def _declared_function(self, span: SourceSpan) -> _Function | None:
        source = self._sources.get(span.file)
        if source is None or not 0 <= span.start < len(source.text):
            return None
        header = split_header(source.text[span.start : span.start + span.length])
        if header is None:
            return None
        contract, _ = source.names(span.start)
        name, inputs, outputs = header
        return _Function(f"{contract}::{name}" if contract else name, inputs, outputs)


def _is_same(one: SourceSpan, other: SourceSpan) -> bool:
    return (one.file, one.start, one.length) == (other.file, other.start, other.length)
