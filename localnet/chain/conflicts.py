"""The conflicts of a block that was executed in parallel, for people and programs: which actor, and which slots of it.

What a conflict is says `hypervisor.speculation`. Slots are those of a contract in which the state that a worker had
and the state when the message's turn came differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from bridge.evm_state import EvmState
from hypervisor.machine import Hypervisor
from hypervisor.parallel import Parallel
from hypervisor.speculation import Conflict
from store.blockstore import StoreError
from store.cid import Cid
from store.codec import CodecError
from store.kamt import Kamt

MOST_SLOTS: Final = 10_000
"""Of a contract: the slots of a larger one are not told."""
_WIDTH: Final = 100
"""Messages in a line of the picture."""


def conflict_records(machine: Hypervisor, parallel: Parallel) -> dict[str, Any]:
    """What came of a block, as one JSON object of the command line's contract; with slots, where they are known."""
    records = [{**each.record(), **_slots_field(machine, each)} for each in parallel.conflicts]
    return {**parallel.record(), "conflicts": records}


def _slots_field(machine: Hypervisor, conflict: Conflict) -> dict[str, list[str]]:
    slots = conflicting_slots(machine, conflict)
    return {"slots": [hex(slot) for slot in slots]} if slots else {}


def conflicting_slots(machine: Hypervisor, conflict: Conflict) -> list[int]:
    """The slots of a contract that keep a message from being taken over; none where that is not known.

    The blocks of both states must still be in the machine's store, as they are until it is flushed.
    """
    if conflict.code is None or machine.manifest.name_of(conflict.code) != "evm":
        return []
    try:
        before, now = (_words(machine, head) for head in conflict.heads)
    except (StoreError, CodecError, ValueError):
        return []
    return sorted(slot for slot in before.keys() | now.keys() if before.get(slot) != now.get(slot))


def _words(machine: Hypervisor, head: Cid) -> dict[int, int]:
    contract = EvmState.decode(machine.store.get(head))
    words = dict(islice(Kamt(machine.store, contract.storage).items(), MOST_SLOTS + 1))
    if len(words) > MOST_SLOTS:
        raise ValueError(f"more than {MOST_SLOTS} slots")
    return words


def picture(record: dict[str, Any], messages: int) -> Iterator[str]:
    """A line for each actor that messages conflicted at: a letter for each message of the block, x for a conflict."""
    rows: dict[str, set[int]] = {}
    for conflict in record["conflicts"]:
        rows.setdefault(_name(conflict), set()).add(conflict["message"])
    width = max(map(len, rows), default=0)
    for name, numbers in rows.items():
        marks = "".join("x" if number in numbers else "." for number in range(messages))
        for first in range(0, messages, _WIDTH):
            yield f"{'' if first else name:<{width}}  {marks[first : first + _WIDTH]}"


def _name(conflict: dict[str, Any]) -> str:
    if "address" in conflict:
        return str(conflict["address"])
    slots = conflict.get("slots", [])
    shown = ", ".join(slots[:2]) + (", ..." if len(slots) > 2 else "")
    return f"{conflict['actor']} {f'slot {shown}' if slots else ', '.join(conflict['fields'])}"
