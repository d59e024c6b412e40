"""Gas for a message's state accesses: each actor's first lookup and first update are charged.

Levels are rolled back with the transaction that raised them, so an access in a reverted call is charged again later.
Source: FIP-0055 and FIP-0057; ref-fvm call_manager/state_access_tracker.rs.
"""

from hypervisor.gas import GasTracker
from hypervisor.prices import PriceList
from hypervisor.types import ActorID
from hypervisor.undo_map import UndoMap

_READ = 1
_UPDATED = 2


class AccessTracker:
    """Access level of each actor in a message: untouched, read or updated."""

    def __init__(self, prices: PriceList, origin: ActorID, receiver: ActorID | None) -> None:
        self._prices = prices
        levels = dict.fromkeys((*map(ActorID, sorted(prices.preloaded_actors)), origin), _UPDATED)
        if receiver is not None:
            levels.setdefault(receiver, _READ)
        self._levels = UndoMap(levels)
        self.level = self._levels.get
        """Access level of an actor; None before the first lookup, which is charged."""
        self.mark = self._levels.mark
        """Checkpoint to roll back to."""

    def charge_read(self, actor: ActorID, gas: GasTracker) -> None:
        if actor not in self._levels:
            gas.charge("OnActorLookup", self._prices.actor_lookup, self._prices.actor_lookup)

    def record_read(self, actor: ActorID) -> None:
        """Record a lookup; looking up a missing actor counts as well."""
        self._raise(actor, _READ)

    def charge_update(self, actor: ActorID, gas: GasTracker) -> None:
        level = self.level(actor, 0) or 0
        if level < _READ:
            gas.charge("OnActorLookup", self._prices.actor_lookup, self._prices.actor_lookup)
        if level < _UPDATED:
            gas.charge("OnActorUpdate", self._prices.actor_update, self._prices.actor_update)
        self._raise(actor, _UPDATED)

    def _raise(self, actor: ActorID, level: int) -> None:
        if (self.level(actor, 0) or 0) < level:
            self._levels.set(actor, level)

    def rollback(self, mark: int) -> None:
        """Undo the changes since the checkpoint."""
        self._levels.rollback(mark)
