"""What a message pays for touching actors: once for the first look, once for the first change.

Levels are undone with the transaction that raised them, so an access first made in a reverted call is paid again.
Rules: FIP-0055 and FIP-0057; ref-fvm call_manager/state_access_tracker.rs.
"""

from hypervisor.gas import GasTracker
from hypervisor.prices import PriceList
from hypervisor.types import ActorID
from hypervisor.undo_map import UndoMap

_READ = 1
_UPDATED = 2


class AccessTracker:
    """The level of each actor in this message: untouched, read, updated."""

    def __init__(self, prices: PriceList, origin: ActorID, receiver: ActorID | None) -> None:
        self._prices = prices
        levels = dict.fromkeys((*map(ActorID, sorted(prices.preloaded_actors)), origin), _UPDATED)
        if receiver is not None:
            levels.setdefault(receiver, _READ)
        self._levels = UndoMap(levels)
        self.level = self._levels.get
        """The level of an actor, None before the first look-up, which is paid for."""
        self.mark = self._levels.mark
        """A point to roll back to."""

    def charge_read(self, actor: ActorID, gas: GasTracker) -> None:
        """Charge for the first look-up of an actor."""
        if actor not in self._levels:
            gas.charge("OnActorLookup", self._prices.actor_lookup, self._prices.actor_lookup)

    def record_read(self, actor: ActorID) -> None:
        """The look-up happened (a missing actor counts as well)."""
        self._raise(actor, _READ)

    def charge_update(self, actor: ActorID, gas: GasTracker) -> None:
        """Charge for the first change of an actor."""
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
        """Forget what was raised since the mark."""
        self._levels.rollback(mark)
