"""Events of actors. Source: ref-fvm kernel/default.rs `emit_event`; FIP-0049, FIP-0072."""

from collections.abc import Sequence
from typing import Any

from hypervisor.context import InvocationContext
from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.blocks import MAX_BLOCK_SIZE
from hypervisor.kernel.calls import Calls
from hypervisor.messages.events import (
    MAX_ENTRIES,
    MAX_KEY_LENGTH,
    MAX_VALUES_LENGTH,
    EventEntry,
    EventFlags,
    StampedEvent,
)
from store.cid import CBOR, RAW
from store.codec import CodecError, decode_strict

_ALL_FLAGS = int(EventFlags.INDEXED_KEY | EventFlags.INDEXED_VALUE)  # `~` of a Flag inverts only known bits
_MAX_ENTRIES_V3 = 256
_MAX_KEY_LENGTH_V3 = 32

EntryHeader = tuple[int, int, int, int]
"""Header of an entry in the guest's layout: flags, codec, key length, value length."""


class EventOps:
    """Emits events for one invocation."""

    __slots__ = ("_calls", "_context")

    def __init__(self, calls: Calls, context: InvocationContext) -> None:
        self._calls = calls
        self._context = context

    def emit(self, entries: Sequence[EventEntry]) -> None:
        """Emit an event. Errors as for `emit_buffers`."""
        keys = [entry.key.encode() for entry in entries]
        headers = [
            (entry.flags, entry.codec, len(key), len(entry.value)) for entry, key in zip(entries, keys, strict=True)
        ]
        self.emit_buffers(len(headers), headers, b"".join(keys), b"".join(entry.value for entry in entries))

    def emit_buffers(
        self, count: int, headers: Sequence[EntryHeader], keys: bytes | memoryview, values: bytes | memoryview
    ) -> None:
        """Emit an event given as `count` entry headers, all keys and all values (machine version 4).

        Arguments may be views of the guest's memory, which are copied after the charge. With more than `MAX_ENTRIES`,
        the count is charged for and the headers are not read. Errors: READ_ONLY; LIMIT_EXCEEDED for too many entries,
        too long a key or too many bytes of values; ILLEGAL_CODEC; ILLEGAL_ARGUMENT for bad flags, keys that are not
        UTF-8, and lengths that do not add up.
        """
        # check
        self._refuse_read_only()
        # charge
        cost, storage_cost = self._calls.prices.events(count, len(keys), len(values))
        self._calls.gas.charge("OnActorEvent", cost, storage_cost)
        # do
        if count > MAX_ENTRIES:
            raise SyscallError(
                ErrorNumber.LIMIT_EXCEEDED, f"an event has {count} entries, at most {MAX_ENTRIES} are allowed"
            )
        if len(values) > MAX_VALUES_LENGTH:
            raise SyscallError(
                ErrorNumber.LIMIT_EXCEEDED,
                f"an event has {len(values)} bytes of values, at most {MAX_VALUES_LENGTH} are allowed",
            )
        self._append(_split(headers, _utf8(bytes(keys)), bytes(values)))

    def emit_block(self, data: bytes) -> None:
        """Emit an event given as one CBOR block (machine version 3).

        Errors: READ_ONLY, ILLEGAL_ARGUMENT, ILLEGAL_CODEC.
        """
        prices = self._calls.prices
        # check
        self._refuse_read_only()
        if len(data) > MAX_BLOCK_SIZE:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"an event of {len(data)} bytes exceeds 1 MiB")
        # charge
        if prices.event_validate_v3 is None or prices.event_accept_v3 is None:
            raise SyscallError(
                ErrorNumber.ILLEGAL_OPERATION, "events of machine version 3 are not supported at this network version"
            )
        self._calls.gas.charge("OnActorEventValidate", prices.event_validate_v3.of(len(data)))
        # do
        entries = _decode_v3(data)
        self._calls.gas.charge("OnActorEventAccept", prices.event_accept_v3.of(len(data)))
        self._append(entries)

    def _refuse_read_only(self) -> None:
        if self._context.read_only:
            raise SyscallError(ErrorNumber.READ_ONLY, "cannot emit events in a read-only call")

    def _append(self, entries: list[EventEntry]) -> None:
        self._calls.add_event(StampedEvent(self._context.receiver, tuple(entries)))


def _utf8(keys: bytes) -> bytes:
    try:
        keys.decode()
    except UnicodeDecodeError as error:
        raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"event keys are not UTF-8: {error}") from None
    return keys


def _split(headers: Sequence[EntryHeader], keys: bytes, values: bytes) -> list[EventEntry]:
    """Split the buffers according to the headers, checking each entry in the network's order."""
    entries, key_at, value_at = [], 0, 0
    for flags, codec, key_length, value_length in headers:
        if flags & ~_ALL_FLAGS:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"unknown event flags {flags:#x}")
        if key_length > MAX_KEY_LENGTH:
            raise SyscallError(
                ErrorNumber.LIMIT_EXCEEDED, f"an event key has {key_length} bytes, at most {MAX_KEY_LENGTH} are allowed"
            )
        if value_length > MAX_VALUES_LENGTH:
            raise SyscallError(
                ErrorNumber.ILLEGAL_ARGUMENT, f"an event value of {value_length} bytes exceeds {MAX_VALUES_LENGTH}"
            )
        raw_key, value = keys[key_at : key_at + key_length], values[value_at : value_at + value_length]
        if len(raw_key) != key_length or len(value) != value_length:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, "an event entry exceeds its buffer")
        key = _text(raw_key)
        if codec not in (RAW, CBOR):
            raise SyscallError(ErrorNumber.ILLEGAL_CODEC, f"event codec {codec:#x} is not allowed")
        entries.append(EventEntry(flags, key, codec, value))
        key_at, value_at = key_at + key_length, value_at + value_length
    if key_at != len(keys) or value_at != len(values):
        raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, "the event's buffers are longer than its entries")
    return entries


def _text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, "an event key ends inside a UTF-8 sequence") from None


def _decode_v3(data: bytes) -> list[EventEntry]:
    try:
        fields: Any = decode_strict(data)
    except CodecError as error:
        raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"the event is not CBOR: {error}") from None
    if not isinstance(fields, list) or len(fields) > _MAX_ENTRIES_V3:
        raise SyscallError(
            ErrorNumber.ILLEGAL_ARGUMENT, f"an event must be a list of at most {_MAX_ENTRIES_V3} entries"
        )
    entries = [_entry_v3(field) for field in fields]
    if sum(len(entry.value) for entry in entries) > MAX_VALUES_LENGTH:
        raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"an event has more than {MAX_VALUES_LENGTH} bytes of values")
    return entries


def _entry_v3(field: Any) -> EventEntry:
    if isinstance(field, list) and len(field) == 4:
        flags, key, codec, value = field
        if _is_unsigned(flags) and isinstance(key, str) and _is_unsigned(codec) and isinstance(value, bytes):
            if codec != RAW:
                raise SyscallError(ErrorNumber.ILLEGAL_CODEC, f"event codec {codec:#x} is not allowed")
            if not flags & ~_ALL_FLAGS and len(key.encode()) <= _MAX_KEY_LENGTH_V3:
                return EventEntry(flags, key, codec, value)
    raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"{field!r:.60} is not an event entry")


def _is_unsigned(value: Any) -> bool:
    """Return True for numbers accepted by the network's decoder: no booleans, nothing negative."""
    return type(value) is int and value >= 0
