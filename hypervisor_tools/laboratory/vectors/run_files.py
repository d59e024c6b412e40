"""Runs vector files in worker processes; their records include gas charges and explanations if requested.

A trace is a list of events per message, in the format of `tests/oracle run --trace`, which runs ref-fvm, so that the
two can be compared. A charge is `[name, milligas, part that is not for computation]`. A call is `{"call": address,
...}`, `{"invoke": actor, ...}` and at its end `{"return": exit code}` or `{"error": ...}`. A file of traces has one
object per line, beginning with `id`.

Differences between two states are listed by actor, and by node inside an actor's state. A vector contains only the part
of a state that its message touches: a missing block ends the comparison of its subtree, and a line reports it. Equal
subtrees are skipped by their CIDs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import AddressError, HypervisorError, InvalidInput
from hypervisor.gas import in_gas
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import HAMT_BIT_WIDTH, ActorState
from hypervisor.tracing import CallEnded, CallStarted, Dispatched, GasCharged, MessageStarted, Recorder, TraceEvent
from hypervisor.versions.network_versions import network_version_row
from hypervisor.versions.overlay import Overlay
from hypervisor_tools.laboratory.drafts import DraftVersion, named_draft
from hypervisor_tools.laboratory.sides import Choices, one_side
from hypervisor_tools.laboratory.vectors.conformance import (
    BadVector,
    VectorResult,
    name_of,
    parse_vector,
    run_variant,
    texts_of,
    variants_of,
)
from hypervisor_tools.laboratory.vectors.files import BundleFolder, BundleMissing
from store.blockstore import BlockNotFound, Blockstore, StoreError, get_object
from store.cid import Cid, show
from store.codec import CodecError, unlink
from store.trees.hamt import HamtError
from store.trees.nodes import read_bitfield_node
from store.untrusted import parse_json

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Output options. With `against`, charges that differ from that file of traces are failures.

    `overlay` changes prices or rules, so gas may differ from the vectors. The actors of `bundle` replace those that the
    vectors name, `network` their network version, and `draft` is the draft of that version. With `parallel` above 1,
    workers execute the messages.
    """

    diff: bool = False
    trace: bool = False
    against: Path | None = None
    overlay: Overlay | None = None
    bundle: str | Path | None = None
    parallel: int = 1
    network: int | None = None
    draft: DraftVersion | None = None

    @property
    def listening(self) -> bool:
        """True if charges must be recorded."""
        return self.diff or self.trace or self.against is not None


def under_network(options: RunOptions, name: str) -> RunOptions:
    """Return options that run all vectors under a network version: nvN, or a draft's file. Raises InvalidInput."""
    draft = named_draft(name, options.overlay)
    if draft is None:
        return replace(options, network=one_side(Choices(network=name)).network)
    return replace(options, network=draft.number, overlay=draft.overlay, draft=draft)


def run_file(path: Path, folder: Path, options: RunOptions = RunOptions()) -> list[Record]:
    """Return the records of one vector file; a vector that cannot run is a failed record."""
    records: list[Record] = []
    try:
        for text in texts_of(path):
            records += _run(text, path, folder, options)
    except BadVector as error:
        records.append(_failed_record(path.stem, error))
    return records


def _run(text: bytes, path: Path, folder: Path, options: RunOptions) -> Iterator[Record]:
    name = ""
    try:
        vector = parse_vector(text, path)
        name = name_of(vector)
        try:
            yield from _records(vector, path, folder, options)
        except BundleMissing as error:
            numbers = [variant["nv"] for variant in vector["preconditions"]["variants"]]
            yield {
                **_failed_record(name or path.stem, error),
                "lacks": network_version_row(numbers[0], options.overlay).actors,
            }
    except (HypervisorError, StoreError) as error:
        yield _failed_record(name or path.stem, error)


def _failed_record(name: str, error: Exception) -> Record:
    nothing = {"exit_code": None, "gas_used": None, "expected_gas": None, "state_root": None}
    return {"vector": name, "variant": "", "pass": False, **nothing, "error": str(error)}


def _records(vector: Record, path: Path, folder: Path, options: RunOptions) -> Iterator[Record]:
    recorder = Recorder() if options.listening else None
    bundles, overlay, network = _bundles(folder, options.bundle, options.draft), options.overlay, options.network
    for variant in variants_of(vector, path, bundles, recorder, overlay=overlay, network=network):
        result = run_variant(variant, options.parallel)
        record = {**result.record(), "vector": result.vector or path.stem}
        if result.lacks_actors:
            record["lacks"] = result.machine.context.network.actors
        if recorder is not None:
            trace = trace_of(recorder.events)
            recorder.events.clear()
            _add_details(record, result, trace, options)
        yield record


def _add_details(record: Record, result: VectorResult, trace: Trace, options: RunOptions) -> None:
    expected = None
    if options.against is not None:
        expected = _traces(options.against).get(f"{record['vector']}:{record['variant']}")
        problem = _against(trace, expected)
        if problem:
            record["pass"] = False
            record["error"] = "; ".join(filter(None, (record["error"], problem)))
    if options.diff and not record["pass"]:
        record["diff"] = explain(result, trace, expected)
    if options.trace:
        record["trace"] = trace


def _against(trace: Trace, expected: Trace | None) -> str:
    if expected is None:
        return "no trace of that id to compare with"
    if len(trace) != len(expected):
        return f"{len(trace)} messages charged, the trace has {len(expected)}"
    for number, (message, other) in enumerate(zip(trace, expected, strict=True), 1):
        found = first_difference(message, other)
        if found:
            return f"message {number}: {found[0]}, then {' | '.join(found[1:])}"
    return ""


@lru_cache(maxsize=1)
def _bundles(folder: Path, instead: str | Path | None, draft: DraftVersion | None) -> BundleFolder:
    return BundleFolder(folder, None if instead is None else Bundle.open(instead), draft)


MAX_CHARGES = 200
MAX_STATE_LINES = 20


def explain(result: VectorResult, trace: Trace, expected: Trace | None) -> list[str]:
    """Return the explanation of one variant's differences; empty if outcome and charges are as expected.

    Official vectors contain only the sum of the charges. For these, it lists the names whose charges could add up to
    the difference, and the charges with running totals.
    """
    lines: list[str] = []
    for number, (got, wanted) in enumerate(result.receipts):
        message = trace[number] if number < len(trace) else []
        difference = got.gas_used - wanted.gas_used
        found = (
            [] if expected is None else first_difference(message, expected[number] if number < len(expected) else [])
        )
        if found or difference:
            lines.append(f"gas of message {number + 1}: {got.gas_used:,}, expected {wanted.gas_used:,}")
            lines += found or _by_name(message, difference)
    if result.state_root != result.expected_root:
        lines += _state(result)
    return lines


def _by_name(message: list[Any], difference: int) -> Iterator[str]:
    """Yield the sums by name, with hints where they explain the difference, and the charges in order."""
    sums = totals(message)
    yield "charges by name:"
    for name, (count, milligas) in sums.items():
        each, rest = divmod(difference, count)
        hint = f"   {abs(each)} too {'much' if each > 0 else 'little'} each would explain it" if not rest else ""
        yield f"  {in_gas(milligas):>18} {name} ({count}){hint}"
    charges = list(charges_of(message))
    yield "charges in order, with the sum so far:"
    for charge in charges[:MAX_CHARGES]:
        yield f"  {in_gas(charge.total):>18} {in_gas(charge.milligas):>16} {charge.name} ({' > '.join(charge.calls)})"
    if len(charges) > MAX_CHARGES:
        yield f"  and {len(charges) - MAX_CHARGES} more: --trace FILE writes all of them"


def _state(result: VectorResult) -> Iterator[str]:
    machine = result.machine
    names = dict(zip(machine.manifest.codes, ACTOR_NAMES, strict=True))
    found = state_differences(machine.store, result.state_root, result.expected_root, names)
    yield "state:"
    for line in islice(found, MAX_STATE_LINES):
        yield f"  {line}"
    if next(found, None) is not None:
        yield "  and more"


Trace = list[list[Any]]
"""Events by message."""

_WINDOW = 8
"""Maximum number of charges on one side that together may equal a single charge on the other."""
_SHOWN = 4
"""Number of charges shown per side after the first difference."""


def trace_of(events: Iterable[TraceEvent]) -> Trace:
    """Return the trace of a recorded event stream."""
    messages: Trace = []
    for event in events:
        match event:
            case MessageStarted():
                messages.append([])
            case GasCharged():
                messages[-1].append([event.name, event.milligas, event.other])
            case CallStarted():
                record = {"call": str(event.to), "from": event.from_, "method": event.method, "value": str(event.value)}
                messages[-1].append(record | {"read_only": event.read_only})
            case Dispatched():
                messages[-1].append({"invoke": event.actor, "code": show(event.code)})
            case CallEnded() if event.error:
                messages[-1].append({"error": event.error, "words": event.message})
            case CallEnded():
                messages[-1].append({"return": event.exit_code})
            case _:
                pass
    return messages


class TraceFile:
    """Traces by ID, read from the file on demand."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[str, int] = {}
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                self._offsets[_id_of(line, path, number)] = offset
                offset += len(line)

    def get(self, name: str) -> Trace | None:
        offset = self._offsets.get(name)
        if offset is None:
            return None
        with self._path.open("rb") as file:
            file.seek(offset)
            trace: Trace = parse_json(file.readline())["trace"]
        return trace


_traces = lru_cache(maxsize=1)(TraceFile)


def _id_of(line: bytes, path: Path, number: int) -> str:
    decoder = json.JSONDecoder()
    try:
        text = line.decode()
        name, end = decoder.raw_decode(text, text.index(":") + 1 + (text[text.index(":") + 1] == " "))
        if not text.startswith('{"id"') or not isinstance(name, str) or text[end] != ",":
            raise ValueError(text[:40])
    except (ValueError, IndexError) as error:
        raise InvalidInput(f"{path}, line {number} is not a trace: {error}") from None
    return name


@dataclass(frozen=True, slots=True)
class Charge:
    """A nonzero charge: its name, milligas, the total of the message up to it, and its open calls."""

    name: str
    milligas: int
    total: int
    calls: tuple[str, ...]

    def __str__(self) -> str:
        calls = " > ".join(self.calls) or "before any call"
        return f"{self.name} {in_gas(self.milligas)}, in all {in_gas(self.total)} ({calls})"


def charges_of(message: Iterable[Any]) -> Iterator[Charge]:
    """Yield the nonzero charges of one message."""
    total = 0
    calls: list[str] = []
    for event in message:
        match event:
            case [name, milligas, *_] if milligas:
                total += milligas
                yield Charge(name, milligas, total, tuple(calls))
            case {"call": to, "method": method}:
                calls.append(f"{to} method {method}")
            case {"return": _} | {"error": _} if calls:
                calls.pop()
            case _:
                pass


def first_difference(ours: Iterable[Any], theirs: Iterable[Any]) -> list[str]:
    """Return the last charge on which two traces agree, and what follows in each; empty if they agree.

    The traces also agree if one side makes a charge in several steps, or under another name.
    """
    left, right = list(charges_of(ours)), list(charges_of(theirs))
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i].milligas == right[j].milligas:
            steps = (1, 1)
        else:
            steps = _next_equal_sums(left[i : i + _WINDOW], right[j : j + _WINDOW])
        if steps == (0, 0):
            break
        i, j = i + steps[0], j + steps[1]
    if i == len(left) and j == len(right):
        return []
    heading = f"the first {i} charges agree" + (f", up to {left[i - 1]}" if i else "")
    lines = [heading]
    for label, rest, number in (("ours", left, i), ("expected", right, j)):
        lines += [f"{label} {at + 1}: {rest[at]}" for at in range(number, min(number + _SHOWN, len(rest)))]
        if number == len(rest):
            lines.append(f"{label}: nothing more")
    return lines


def _next_equal_sums(left: list[Charge], right: list[Charge]) -> tuple[int, int]:
    """Return the numbers of charges after which both sums are equal again; (0, 0) if they are not within the window."""
    left_start, right_start = left[0].total - left[0].milligas, right[0].total - right[0].milligas
    sums = {charge.total - left_start: index for index, charge in enumerate(left, 1)}
    for index, charge in enumerate(right, 1):
        count = sums.get(charge.total - right_start)
        if count is not None:
            return count, index
    return 0, 0


def totals(message: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """Return the count and total (milligas) of each charge, largest first."""
    sums: dict[str, tuple[int, int]] = {}
    for charge in charges_of(message):
        count, milligas = sums.get(charge.name, (0, 0))
        sums[charge.name] = count + 1, milligas + charge.milligas
    return dict(sorted(sums.items(), key=lambda item: -item[1][1]))


_ABSENT = object()


class _AnotherTree(Exception):
    """Raised if a tree with the root of a HAMT has invalid nodes."""


def state_differences(store: Blockstore, ours: Cid, expected: Cid, names: Mapping[Cid, str]) -> Iterator[str]:
    """Yield a line per difference between two state roots; `names` maps code CIDs to names."""
    try:
        left, right = get_object(store, ours), get_object(store, expected)
    except BlockNotFound as error:
        yield f"the states cannot be compared: {error}"
        return
    for index, what in ((0, "state tree version"), (2, "state info")):
        yield from _values(store, what, left[index], right[index])
    for key, mine, other in _hamt(store, unlink(left[1]), unlink(right[1])):
        if isinstance(key, BlockNotFound):
            yield f"not all actors can be compared: {key}"
        else:
            yield from _actor(store, _shown_key(key), mine, other, names)


def _actor(store: Blockstore, label: str, ours: Any, expected: Any, names: Mapping[Cid, str]) -> Iterator[str]:
    if ours is _ABSENT or expected is _ABSENT:
        fields = expected if ours is _ABSENT else ours
        kind = _kind(ActorState.from_fields(fields).code, names)
        yield f"{label} ({kind}) is {'missing' if ours is _ABSENT else 'unexpected'}"
        return
    mine, other = ActorState.from_fields(ours), ActorState.from_fields(expected)
    label = f"{label} ({_kind(mine.code, names)})"
    if mine.code != other.code:
        yield f"{label} code: {_kind(mine.code, names)}, expected {_kind(other.code, names)}"
    if mine.nonce != other.nonce:
        yield f"{label} nonce: {mine.nonce}, expected {other.nonce}"
    if mine.balance != other.balance:
        yield f"{label} balance: {mine.balance}, expected {other.balance} ({mine.balance - other.balance:+})"
    if mine.delegated_address != other.delegated_address:
        yield f"{label} delegated address: {mine.delegated_address}, expected {other.delegated_address}"
    if mine.head != other.head:
        yield from _blocks(store, f"{label} state", mine.head, other.head)


def _kind(code: Cid, names: Mapping[Cid, str]) -> str:
    return names.get(code) or f"code {show(code)}"


def _blocks(store: Blockstore, path: str, ours: Cid, expected: Cid) -> Iterator[str]:
    if ours == expected:
        return
    try:
        left, right = get_object(store, ours), get_object(store, expected)
    except BlockNotFound as error:
        yield f"{path}: {show(ours)}, expected {show(expected)}, which cannot be compared: {error}"
        return
    except CodecError:
        yield f"{path}: {show(ours)}, expected {show(expected)}"
        return
    if _is_hamt_node(left) and _is_hamt_node(right):
        try:
            found = list(_hamt(store, ours, expected))
        except _AnotherTree:  # the root of a contract's storage has the same form
            yield f"{path}: {show(ours)}, expected {show(expected)}"
            return
        for key, mine, other in found:
            if isinstance(key, BlockNotFound):
                yield f"{path}: not all entries can be compared: {key}"
            else:
                yield from _values(store, f"{path}[{_shown_key(key)}]", mine, other)
        return
    yield from _values(store, path, left, right)


def _values(store: Blockstore, path: str, ours: Any, expected: Any) -> Iterator[str]:
    if ours == expected and type(ours) is type(expected):
        return
    if isinstance(ours, list) and isinstance(expected, list) and len(ours) == len(expected):
        for index, (mine, other) in enumerate(zip(ours, expected, strict=True)):
            yield from _values(store, f"{path}.{index}", mine, other)
    elif isinstance(ours, dict) and isinstance(expected, dict) and ours.keys() == expected.keys():
        for key, mine in ours.items():
            yield from _values(store, f"{path}.{key}", mine, expected[key])
    elif (mine_cid := _link_target(ours)) and (other_cid := _link_target(expected)):
        yield from _blocks(store, path, mine_cid, other_cid)
    else:
        yield f"{path}: {_format(ours)}, expected {_format(expected)}"


def _link_target(value: Any) -> Cid | None:
    try:
        return unlink(value)
    except CodecError:
        return None


def _is_hamt_node(value: Any) -> bool:
    try:
        _, pointers = read_bitfield_node(value, HAMT_BIT_WIDTH, HamtError)
    except HamtError:
        return False
    buckets = [pointer for pointer in pointers if isinstance(pointer, list)]
    entries = [entry for bucket in buckets for entry in bucket]
    return all(isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], bytes) for entry in entries)


def _hamt(store: Blockstore, ours: Cid, expected: Cid) -> Iterator[tuple[bytes | BlockNotFound, Any, Any]]:
    """Yield (key, our value, expected value) for each difference of two HAMTs, or the error of a missing node."""
    if ours == expected:
        return
    try:
        left, right = _slots(store, ours), _slots(store, expected)
    except BlockNotFound as error:
        yield error, _ABSENT, _ABSENT
        return
    for slot in sorted(left.keys() | right.keys()):
        mine, other = left.get(slot, []), right.get(slot, [])
        mine_cid, other_cid = _link_target(mine), _link_target(other)
        if mine_cid and other_cid:
            yield from _hamt(store, mine_cid, other_cid)
        elif mine != other:
            yield from _entries(store, mine, other)


def _slots(store: Blockstore, node: Cid) -> dict[int, Any]:
    try:
        bitfield, pointers = read_bitfield_node(get_object(store, node), HAMT_BIT_WIDTH, HamtError)
    except HamtError as error:
        raise _AnotherTree(str(error)) from None
    slots = [slot for slot in range(1 << HAMT_BIT_WIDTH) if bitfield >> slot & 1]
    return dict(zip(slots, pointers, strict=True))


def _entries(store: Blockstore, ours: Any, expected: Any) -> Iterator[tuple[bytes | BlockNotFound, Any, Any]]:
    try:
        left, right = dict(_leaves(store, ours)), dict(_leaves(store, expected))
    except BlockNotFound as error:
        yield error, _ABSENT, _ABSENT
        return
    for key in sorted(left.keys() | right.keys()):
        mine, other = left.get(key, _ABSENT), right.get(key, _ABSENT)
        if mine != other:
            yield key, mine, other


def _leaves(store: Blockstore, pointer: Any) -> Iterator[tuple[bytes, Any]]:
    child = _link_target(pointer)
    if child is None:
        for entry in pointer:
            if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], bytes)):
                raise _AnotherTree("an entry is not a key with a value")
            yield entry[0], entry[1]
        return
    for below in _slots(store, child).values():
        yield from _leaves(store, below)


def _shown_key(key: bytes) -> str:
    try:
        return str(Address.from_bytes(key))
    except AddressError:
        return f"0x{key.hex()}"


def _format(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    cid = _link_target(value)
    text = show(cid) if cid else f"0x{value.hex()}" if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
