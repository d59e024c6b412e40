"""Conflicts of a block that was executed in parallel, by actor and storage slot.

`hypervisor.machine.parallel` defines a conflict. The slots listed are those whose values differ between the worker's
state and the state at the message's turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from bridge.filecoin.evm_state import EvmState
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.parallel import Conflict, Parallel
from hypervisor.threads import BoundedCache
from store.blockstore import StoreError
from store.cid import Cid
from store.codec import CodecError
from store.trees.kamt import Kamt

MAX_SLOTS: Final = 10_000
"""Maximum number of storage slots reported per contract."""
MAX_WITH_SLOTS: Final = 100
"""Maximum number of conflicts per block that are reported with slots, since each reads a whole contract state."""
_MAX_CACHED_WORDS: Final = 20 * MAX_SLOTS
_WIDTH: Final = 100
"""Number of messages per output line."""


def conflict_records(machine: Hypervisor, parallel: Parallel) -> dict[str, Any]:
    """Return the parallel execution of a block as the JSON object that `hypervisor replay --json` prints.

    Storage slots are included for at most `MAX_SLOTS` slots of a contract, at the first `MAX_WITH_SLOTS` conflicts.
    The blocks of all states that a conflict names must still be in the machine's store, as they are until it is
    flushed.
    """
    slots, left = _Slots(machine), MAX_WITH_SLOTS
    records = []
    for conflict in parallel.conflicts:
        record = conflict.record()
        if left and slots.are_of(conflict):
            left -= 1
            if found := slots.conflicting(conflict):
                record["slots"] = [hex(slot) for slot in found]
        records.append(record)
    return {**parallel.record(), "conflicts": records}


class _Slots:
    """Reads slots of contracts in the states of a block's conflicts, each state once."""

    def __init__(self, machine: Hypervisor) -> None:
        self._machine = machine
        self._cache = BoundedCache[Cid, Mapping[int, int] | str](_MAX_CACHED_WORDS, "words")
        """Slots of a contract's state, or the reason why they are unknown, by state CID."""

    def are_of(self, conflict: Conflict) -> bool:
        """Return True if the conflict is in a contract's state."""
        return conflict.code is not None and self._machine.traits(conflict.code).is_contract

    def conflicting(self, conflict: Conflict) -> list[int]:
        """Return the slots whose values conflict for a message; empty if they are not known."""
        before, now = (self._text(head) for head in conflict.heads)
        if isinstance(before, str) or isinstance(now, str):
            return []
        return sorted(slot for slot in before.keys() | now.keys() if before.get(slot) != now.get(slot))

    def _text(self, head: Cid) -> Mapping[int, int] | str:
        found = self._cache.get(head)
        if found is None:
            try:
                found = self._read(head)
            except (StoreError, CodecError, ValueError) as error:
                found = str(error)
            self._cache.put(head, found, 1 + len(found))
        return found

    def _read(self, head: Cid) -> Mapping[int, int] | str:
        store = self._machine.store
        contract = EvmState.decode(store.get(head))
        found = dict(islice(Kamt(store, contract.storage).items(), MAX_SLOTS + 1))
        return found if len(found) <= MAX_SLOTS else f"more than {MAX_SLOTS} slots"


def conflict_lines(record: dict[str, Any], messages: int) -> Iterator[str]:
    """Yield a line for each actor with conflicts: its slots, and a character per message, x for a conflict.

    The slots are those that differ in all conflicts of the actor. A slot that differs in some of them may have been
    written by an unrelated message.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for conflict in record["conflicts"]:
        rows.setdefault(conflict.get("address") or conflict["actor"], []).append(conflict)
    names = {actor: f"{actor} {_common_locations(conflicts)}".rstrip() for actor, conflicts in rows.items()}
    width = max(map(len, names.values()), default=0)
    for actor, conflicts in rows.items():
        numbers = {conflict["message"] for conflict in conflicts}
        marks = "".join("x" if number in numbers else "." for number in range(messages))
        for first in range(0, messages, _WIDTH):
            yield f"{'' if first else names[actor]:<{width}}  {marks[first : first + _WIDTH]}"


def _common_locations(conflicts: Sequence[dict[str, Any]]) -> str:
    """Return the slots, or else the fields, of all conflicts at an actor."""
    known = [dict.fromkeys(conflict["slots"]) for conflict in conflicts if "slots" in conflict]
    slots = [slot for slot in known[0] if all(slot in others for others in known)] if known else []
    if slots:
        return f"slot {', '.join(slots[:2])}{', ...' if len(slots) > 2 else ''}"
    return ", ".join(dict.fromkeys(field for conflict in conflicts for field in conflict.get("fields", ())))
