"""Proofs of a Filecoin network's state, receipts and events, from the CID of a block header on.

A header contains the state and the receipts after the tipset before it. A proof consists of the IPLD blocks from the
header to the value. That the header is on the chain is shown by a finality certificate
(`hypervisor_tools.laboratory.proofs.f3`): its tipsets name the headers.

Paths are those of `localnet.state.inspection` for the state (`f04/state/claims`), and `receipts/MESSAGE` or
`receipts/MESSAGE/events/EVENT` with positions from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from hypervisor.bundles.bundle import Bundle, manifest_with
from hypervisor.errors import Fatal, InvalidInput, MessageError
from hypervisor.messages.events import EVENTS_AMT_BIT_WIDTH, EventEntry, StampedEvent
from hypervisor.messages.message import Receipt
from hypervisor.types import ActorID
from localnet.state.inspection import StateInspector
from store.blocks.memory import BufferedStore, MemoryStore, RecordingBlockstore
from store.blockstore import BlockNotFound, Blockstore, StoreCorrupt
from store.car.files import CarError, read_car
from store.cid import Cid, cid_of, has_digest, parse_cid, show
from store.codec import CodecError, encode, unlink
from store.trees.amt import Amt
from store.trees.paths import ProofError, load

MAX_BLOCKS: Final = 100_000
"""Maximum number of blocks in a proof."""
MAX_SIZE: Final = 64 << 20
"""Maximum total size of the blocks of a proof in bytes."""
_FIELDS: Final = 16
_STATE: Final = 8
_RECEIPTS: Final = 9
_LIST_BIT_WIDTH: Final = 3
_LIST_FIELDS: Final = 3
_MAX_SHOWN: Final = 100
_T = TypeVar("_T")


def proof_of(store: Blockstore, header: Cid, read: Callable[[Blockstore, Cid], object]) -> list[tuple[Cid, bytes]]:
    """Return the blocks that `read` needs below a header, the header first.

    `read` is `state_root`, or a function that calls `inspect_state`, `receipt_at` or `event_at`.
    """
    recorder = RecordingBlockstore(store)
    read(recorder, header)
    return recorder.take()


def proven(blocks: Iterable[tuple[Cid, bytes]], header: Cid, read: Callable[[Blockstore, Cid], _T]) -> _T:
    """Return what `read` finds below a header in these blocks only.

    Raises ProofError for a block that does not match its CID, is missing or malformed, and for too many blocks.
    """
    store = checked_blocks(blocks)
    with proving(f"the blocks do not prove the value below the header {show(header)}"):
        return read(store, header)


@contextmanager
def proving(failure: str) -> Iterator[None]:
    """Raise ProofError with this text instead of the errors of blocks that are missing or malformed."""
    try:
        yield
    except (BlockNotFound, StoreCorrupt, Fatal, CodecError) as error:
        raise ProofError(f"{failure}: {error}") from None


def checked_blocks(blocks: Iterable[tuple[Cid, bytes]]) -> MemoryStore:
    """Return the blocks as a store. Raises ProofError for a block that does not match its CID."""
    store = MemoryStore()
    size = 0
    for count, (cid, data) in enumerate(blocks, 1):
        size += len(data)
        if count > MAX_BLOCKS or size > MAX_SIZE:
            raise ProofError(f"the proof has more than {MAX_BLOCKS:,} blocks or {MAX_SIZE >> 20} MiB")
        if not has_digest(cid, data):
            raise ProofError(f"block {show(cid)} of the proof does not match its hash")
        store.put(cid, data)
    return store


def read_proven_path(store: Blockstore, header: Cid, path: str, limit: int = _MAX_SHOWN) -> Any:
    """Return the value at a path as JSON; maps and lists have at most `limit` entries.

    Raises PathNotFound, InvalidInput and the errors of the store.
    """
    first, *rest = path.strip("/").split("/")
    if first != "receipts":
        return inspect_state(store, state_root(store, header), path, limit)
    if not rest or not rest[0].isdecimal() or len(rest) not in (1, 3):
        raise InvalidInput(f"path '{path:.80}': expected receipts/MESSAGE or receipts/MESSAGE/events/EVENT")
    if len(rest) == 1:
        return _receipt_json(receipt_at(store, header, int(rest[0])))
    if rest[1] != "events" or not rest[2].isdecimal():
        raise InvalidInput(f"path '{path:.80}': expected receipts/MESSAGE/events/EVENT")
    return _event_json(event_at(store, header, int(rest[0]), int(rest[2])))


def inspect_file(file: Path, path: str, header: Cid | None = None, limit: int = _MAX_SHOWN) -> tuple[Cid, Any]:
    """Return the header that a proof in a CAR file starts at, and the value at a path below it as JSON.

    `header` is the header that you trust; None means the root of the file. Raises ProofError, PathNotFound,
    InvalidInput and CarError.
    """
    start, store = read_proof(file)
    start = header or start
    with proving(f"{file} does not prove the value at '{path:.80}' below the header {show(start)}"):
        return start, read_proven_path(store, start, path, limit)


def read_proof(file: Path) -> tuple[Cid, MemoryStore]:
    """Return the root of a proof in a CAR file, and its checked blocks. Raises ProofError, InvalidInput, CarError."""
    with file.open("rb") as stream:
        try:
            reader = read_car(stream)
            if len(reader.roots) != 1:
                raise InvalidInput(f"{file} is not a proof: it has {len(reader.roots)} roots, expected 1")
            return reader.roots[0], checked_blocks(reader)
        except CarError as error:
            raise CarError(f"{file}: {error}") from None


def inspect_state(store: Blockstore, root: Cid, path: str, limit: int = _MAX_SHOWN) -> Any:
    """Return the value at a path below a state root as JSON.

    The names of built-in actors are those of the installed bundle that has the actor's code, or of the embedded one.
    """
    names = Bundle.embedded().manifest
    actor = path.strip("/").partition("/")[0]
    if actor:
        code = parse_cid(StateInspector(store, root, manifest=names).read_path(actor)["code"]["/"])
        names = manifest_with(code) or names
    return StateInspector(store, root, manifest=names).read_path(path, limit)


def state_root(store: Blockstore, header: Cid) -> Cid:
    """Return the state root in a header: the state after the tipset before it."""
    return unlink(_header(store, header)[_STATE])


def receipt_at(store: Blockstore, header: Cid, message: int) -> Receipt:
    """Return the receipt of a message of the tipset before a header, by its position in the order of execution.

    A network version with receipts of implicit messages counts these too (FIP-0107).
    """
    root = unlink(_header(store, header)[_RECEIPTS])
    value = load(store, root)
    if not isinstance(value, list) or len(value) != _LIST_FIELDS:
        raise StoreCorrupt(f"block {show(root)} is not the root of a list of receipts")
    # The list is an AMT of version 0, whose root does not contain the bit width.
    widened = encode([_LIST_BIT_WIDTH, *value])
    widened_store = BufferedStore(store)
    widened_store.put(cid_of(widened), widened)
    receipts = Amt(widened_store, cid_of(widened), _LIST_BIT_WIDTH)
    if message >= receipts.count:
        raise InvalidInput(f"there is no receipt {message}: the tipset has {receipts.count} receipts")
    try:
        return Receipt.from_fields(receipts.get(message))
    except MessageError as error:
        raise StoreCorrupt(f"receipt {message} is malformed: {error}") from None


def event_at(store: Blockstore, header: Cid, message: int, event: int) -> StampedEvent:
    """Return an event of a message of the tipset before a header, by both positions."""
    root = receipt_at(store, header, message).events_root
    if root is None:
        raise InvalidInput(f"message {message} emitted no event")
    events = Amt(store, root, EVENTS_AMT_BIT_WIDTH)
    if event >= events.count:
        raise InvalidInput(f"there is no event {event}: message {message} emitted {events.count}")
    fields = events.get(event)
    match fields:
        case [int(emitter), list(entries)]:
            return StampedEvent(ActorID(emitter), tuple(_entry(entry) for entry in entries))
    raise StoreCorrupt(f"event {event} of message {message} is malformed: {fields!r:.80}")


def _entry(fields: Any) -> EventEntry:
    match fields:
        case [int(flags), str(key), int(codec), bytes(value)]:
            return EventEntry(flags, key, codec, value)
    raise StoreCorrupt(f"an entry of an event is malformed: {fields!r:.80}")


def _header(store: Blockstore, header: Cid) -> list[Any]:
    fields = load(store, header)
    if not isinstance(fields, list) or len(fields) != _FIELDS:
        raise StoreCorrupt(f"block {show(header)} is not a block header")
    return fields


def _receipt_json(receipt: Receipt) -> dict[str, Any]:
    root = receipt.events_root
    shown: dict[str, Any] = {
        "exitCode": int(receipt.exit_code),
        "return": f"0x{receipt.return_data.hex()}",
        "gasUsed": receipt.gas_used,
        "eventsRoot": None if root is None else {"/": show(root)},
    }
    if receipt.message is not None:
        shown |= {"ipldCodec": receipt.return_codec, "message": {"/": show(receipt.message)}}
    return shown


def _event_json(event: StampedEvent) -> dict[str, Any]:
    return {
        "emitter": f"f0{event.emitter}",
        "entries": [
            {"flags": entry.flags, "key": entry.key, "codec": entry.codec, "value": f"0x{entry.value.hex()}"}
            for entry in event.entries
        ],
    }
