"""State changes of a message or an epoch, by re-execution."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from hypervisor.text import one_line, show_fil, table
from localnet.chain.view import ChainReader
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.state.actor_interfaces import StoredSchemas
from localnet.state.state_differences import StateChange, state_differences
from localnet.traces.trace import Replay

_NOTHING: Final = "nothing"


@dataclass(frozen=True, slots=True)
class StateChanges:
    """Return the first differences between two states, value by value, ordered by actor ID.

    `of` names the cause of the changes; `complete` is True if no difference was omitted.
    """

    of: str
    changes: tuple[StateChange, ...]
    complete: bool = True

    @classmethod
    def first(cls, of: str, found: Iterable[StateChange], limit: int) -> StateChanges:
        """Return the first N changes."""
        taken = tuple(islice(found, limit + 1))
        return cls(of, taken[:limit], len(taken) <= limit)

    def __iter__(self) -> Iterator[StateChange]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __getitem__(self, place: int) -> StateChange:
        return self.changes[place]

    def __repr__(self) -> str:
        return one_line("StateChanges", self.of, f"{len(self)}{'' if self.complete else ' or more'} differences")

    def _repr_html_(self) -> str:
        rows = [
            (f"{each.actor} {each.type}" if len(each.type) < 24 else each.actor, each.path, *_pair(each))
            for each in self.changes
        ]
        more = "" if self.complete else f"The first {len(self):,} by actor ID: raise `most` for more."
        return table(f"state changes of {self.of}", ("actor", "path", "before", "after"), rows, more)


def _pair(change: StateChange) -> tuple[str, str]:
    before, after = (
        _NOTHING if each is None else show_fil(int(each)) if change.path == "balance" else each
        for each in (change.before, change.after)
    )
    return before, after


def message_changes(chain: ChainReader, receipt: TransactionReceipt) -> Iterator[StateChange]:
    """Return the state changes of one message, by re-execution of its tipset up to it."""
    replay = Replay(chain, receipt.tipset, receipt.index)
    machine = replay.machine
    before = machine.state_tree.flush()
    replay.next(None)
    return state_differences(
        machine.store, before, machine.state_tree.flush(), StoredSchemas(chain.machine.base, machine.store)
    )


def epoch_changes(chain: ChainReader, tipset: Tipset) -> Iterator[StateChange]:
    """Return the state changes of a tipset: its messages, the block's reward and cron."""
    return state_differences(chain.machine.store, tipset.before, tipset.state, StoredSchemas.of_machine(chain.machine))
