"""Re-execution of past tipsets of another chain, from a snapshot in a folder or from a node.

Blocks that a worker fetched from a node are checked against their CIDs and returned with its result. The process that
owns the folder stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Receipt
from hypervisor.versions.overlay import Overlay
from localnet.fork.node_client import NodeError
from localnet.ledger.headers import TipsetHeaders, read_receipts, read_tipset
from localnet.replay.folder_source import FolderSource, RulesMismatch
from localnet.replay.replay import TipsetReplay, close_folder, heights, replay
from localnet.replay.sources import NodeSource, PastTipset, SourceSupply, TipsetSource, machine_for, read_past_tipset
from localnet.replay.tipset_execution import TipsetOutcome, execute_tipset
from store.blocks.memory import OverlayStore, RemoteUnavailable
from store.blockstore import Store, StoreError
from store.cid import Cid, has_digest, show
from store.rocks.database import RocksStore

if TYPE_CHECKING:
    from hypervisor.machine.parallel import Parallel

S = TypeVar("S", bound=TipsetSource)


@dataclass(frozen=True, slots=True)
class NodeTipsetReplay:
    """A replayed tipset of a node's chain, and the blocks that were fetched for it."""

    tipset: TipsetReplay
    fetched: tuple[tuple[Cid, bytes], ...]


def replay_past(source: TipsetSource, headers: TipsetHeaders, workers: int = 1) -> TipsetReplay:
    """Re-execute a tipset of a source; `workers` processes share its messages.

    An error that prevents the execution is reported as the difference. Raises NodeError and RemoteUnavailable if the
    source does not respond.
    """
    messages, parallel = 0, _parallel(workers)
    try:
        past = read_past_tipset(source, headers.cids)
        messages = len([*past.work.messages()])
        machine, supply = machine_for(source, past), SourceSupply(source, past.headers)
        outcome = execute_tipset(machine, past.work, supply, parallel)
        difference = difference_from_chain(source, past, outcome)
        return TipsetReplay(headers.height, messages, difference, _conflicts(machine, parallel))
    except (NodeError, RemoteUnavailable):
        raise
    except (HypervisorError, StoreError) as error:
        return TipsetReplay(headers.height, messages, f"cannot be executed again: {error}")


def _parallel(workers: int) -> Parallel | None:
    if workers <= 1:
        return None
    from hypervisor.machine.parallel import Parallel

    return Parallel(workers, adaptive=False)  # a replay reports all conflicts


def _conflicts(machine: Hypervisor, parallel: Parallel | None) -> dict[str, Any] | None:
    if parallel is None:
        return None
    from localnet.replay.conflicts import conflict_records

    return conflict_records(machine, parallel)


def difference_from_chain(source: TipsetSource, past: PastTipset, outcome: TipsetOutcome) -> str:
    """Return the first difference between a re-executed tipset and the chain as text; empty if there is none."""
    chain = source.result_of(past.headers)
    if chain.receipts is not None and outcome.receipts_root != chain.receipts:
        found = difference_of_receipts(source, past, outcome.receipts, chain.receipts)
        return found or f"{len(outcome.receipts)} receipts, which differ from the chain's, {show(chain.receipts)}"
    if outcome.state != chain.state:
        return f"state {show(outcome.state)}, the chain has {show(chain.state)}"
    return ""


def difference_of_receipts(source: TipsetSource, past: PastTipset, receipts: Sequence[Receipt], root: Cid) -> str:
    """Describe the first of a tipset's receipts that differs from the chain's; empty if none does."""
    known = read_receipts(source.store, root)
    messages = past.work.messages()
    for number, got in enumerate(receipts):
        name = got.message or next(messages).cid
        expected = known[number] if number < len(known) else None
        if got != expected:
            has = "none" if expected is None else _summary(expected)
            return f"message {number}, {show(name)}: {_summary(got)}, the chain has {has}"
    return ""


def _summary(receipt: Receipt) -> str:
    codec = "" if receipt.message is None else f", codec {receipt.return_codec}, message {show(receipt.message)}"
    return f"exit code {receipt.exit_code} and gas {receipt.gas_used}{codec}"


# --- folders ----------------------------------------------------------------------------------------------------------


def heights_of_folder(folder: Path, first: int | None = None, last: int | None = None) -> list[int]:
    """Return the heights of a folder's tipsets that can be re-executed: a snapshot's, and the chain's own after it.

    Raises InvalidInput for a folder without a chain, or without such tipsets.
    """
    try:
        source = FolderSource(folder)
    except RulesMismatch:  # a chain with other rules has only its own tipsets
        return heights(folder, first, last)
    try:
        past: list[int] = [
            tipset.height
            for tipset in source.past_with_states()
            if (first or 0) <= tipset.height and (last is None or tipset.height <= last)
        ]
    finally:
        source.close()
    try:
        return past[::-1] + heights(folder, first, last)
    except InvalidInput:
        if not past:
            raise
        return past[::-1]


def replay_in_folder(folder: Path, height: int, parallel: int = 1) -> TipsetReplay:
    """Re-execute a tipset of a folder, of a snapshot or of its own chain. Runs in worker processes."""
    try:
        source = _folder(folder)
    except RulesMismatch:
        return replay(folder, height, parallel)
    if source.is_own(height):
        return replay(folder, height, parallel)
    return replay_past(source, source.headers_at(height), parallel)


def lost_tipset(height: int, error: Exception) -> TipsetReplay:
    """Return the result for a tipset whose re-execution ends its process."""
    return TipsetReplay(height, 0, f"cannot be executed again: {error}")


def _folder(folder: Path) -> FolderSource:
    def opened(undo: ExitStack) -> FolderSource:
        return undo.enter_context(closing(FolderSource(folder)))

    return _open_source(("", folder), opened)


# --- nodes ------------------------------------------------------------------------------------------------------------


def tipsets_of_node(source: NodeSource, first: int, last: int | None) -> list[TipsetHeaders]:
    """Return a node's tipsets from `first` to `last` (None: the newest with a successor), in order.

    Raises InvalidInput if there are none, and NodeError.
    """
    head = source.head()
    if not 0 < first <= head.height:
        raise InvalidInput(f"--from is {first}, the node's chain has tipsets to execute from 1 to {head.height}")
    end = head.height - 1 if last is None else last
    found = [tipset for tipset in _down_to(source.store, head, first) if tipset.height <= end]
    if not found:
        raise InvalidInput(f"the node's chain has no tipsets to execute from epoch {first} to {end}")
    return found[::-1]


def _down_to(store: Store, tipset: TipsetHeaders, lowest: int) -> Iterator[TipsetHeaders]:
    while tipset.height >= lowest and tipset.parents:
        yield tipset
        tipset = read_tipset(store, tipset.parents)


def replay_of_node(
    url: str, folder: Path | None, tipset: TipsetHeaders, parallel: int = 1, overlay: Overlay | None = None
) -> NodeTipsetReplay:
    """Re-execute a tipset of a node's chain, with the blocks in `folder`. Runs in worker processes.

    `overlay` is the chain's, if it has one.
    """
    source = _source(url, folder, overlay)
    done = replay_past(source, tipset, parallel)
    return NodeTipsetReplay(done, source.blocks.take())


def lost_node_tipset(tipset: TipsetHeaders, error: Exception) -> NodeTipsetReplay:
    """Return the result for a tipset whose re-execution ends its process."""
    return NodeTipsetReplay(lost_tipset(tipset.height, error), ())


def _source(url: str, folder: Path | None, overlay: Overlay | None) -> NodeSource:
    """Return the worker's source, which keeps its connection and fetched blocks."""

    def opened(undo: ExitStack) -> NodeSource:
        cache = None
        if folder is not None:
            cache = OverlayStore(undo.enter_context(closing(RocksStore.open(folder, read_only=True))))
        return undo.enter_context(closing(NodeSource(url, cache, overlay=overlay)))

    return _open_source((url, folder), opened)


def store_fetched_blocks(store: Store, fetched: Sequence[tuple[Cid, bytes]]) -> None:
    """Store the blocks that workers fetched, if they match their CIDs."""
    store.put_many((cid, data) for cid, data in fetched if has_digest(cid, data))


_OPEN: Final[dict[tuple[str, Path | None], tuple[Any, ExitStack]]] = {}
"""Open source of this worker process, reused for all tipsets, and the exit stack that closes it."""


def _open_source(key: tuple[str, Path | None], make: Callable[[ExitStack], S]) -> S:
    if key not in _OPEN:
        close_sources()
        with ExitStack() as undo:
            made = make(undo)
            _OPEN[key] = made, undo.pop_all()
    found: S = _OPEN[key][0]
    return found


def close_sources() -> None:
    """Close the sources that this process has open. Worker processes close them at their end."""
    while _OPEN:
        _, (_, undo) = _OPEN.popitem()
        undo.close()
    close_folder()
