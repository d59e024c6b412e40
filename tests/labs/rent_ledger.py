"""Simple ledger for the random programs of the lab `rent` (`rent.py`), according to its documentation."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from bench.data import PROJECT
from hypervisor.messages.address import Address
from hypervisor.types import BURNT_FUNDS_ACTOR, ActorID
from store.cid import Cid
from store.links import blocks_below, reachable
from tests.labs.worlds import LabNetwork, make_lab_network

EXAMPLE: Final = PROJECT / "examples" / "lab-rent"
RATE, PERIOD, GRACE = 7, 3, 2
FUNDS: Final = 10**20


@cache
def world() -> LabNetwork:
    """Return the network, made once per process."""
    rules = f"lab:rent=own/{RATE}/{PERIOD}/{GRACE}"
    return make_lab_network(rules, EXAMPLE / "Tenant.json", EXAMPLE / "tenant.wasm", FUNDS)


@dataclass(slots=True)
class Entry:
    """The ledger's data about an actor that pays."""

    deposit: int
    size: int
    due: int
    paid_once: bool = False
    warned: bool = False


@dataclass(slots=True)
class Gone:
    """The ledger's data about an archived actor: the proof of its state at that time."""

    size: int
    root: Cid
    code: Cid
    blocks: list[tuple[Cid, bytes]]


class Ledger:
    """Literal implementation of the rules: payers, balances, archived actors."""

    def __init__(self, here: LabNetwork) -> None:
        self.here, self.machine = here, here.machine
        self.entries: dict[ActorID, Entry] = {}
        self.gone: dict[ActorID, Gone] = {}
        self.balances = {actor: self._balance(actor) for actor in (*here.actors, here.account, BURNT_FUNDS_ACTOR)}
        self.paid: set[ActorID] = set()

    def _balance(self, actor: ActorID) -> int:
        return int(self.machine.balance(Address.id(actor)))

    def size(self, actor: ActorID) -> tuple[int, list[tuple[Cid, bytes]]]:
        """Return a state's size according to the rules, and its blocks."""
        state = self.machine.state_tree.get_actor(actor)
        assert state is not None, "tenants are never deleted"
        cids = reachable(self.machine.store, [state.head])
        blocks = list(blocks_below(self.machine.store, [state.head]))
        assert {cid for cid, _ in blocks} == cids
        return sum(len(self.machine.store.get(cid)) + 128 for cid in cids), blocks

    def pay(self, payer: ActorID, actor: ActorID, value: int, epoch: int) -> bool:
        """Return True if a payment is accepted."""
        known = self.entries.get(actor)
        if actor in self.gone or actor not in self.here.actors or (known is None and payer != actor):
            return False
        if known is None:
            known = self.entries[actor] = Entry(0, 0, epoch)
        known.deposit += value
        self.balances[payer] -= value
        return True

    def opt_out(self, actor: ActorID) -> bool:
        """Return True if an actor had state to archive."""
        known = self.entries.pop(actor, None)
        if known is not None:
            self.balances[actor] += known.deposit
        return known is not None

    def resurrect(self, payer: ActorID, actor: ActorID, value: int, good: bool, epoch: int) -> bool:
        """Return True if a proof is accepted."""
        gone = self.gone.get(actor)
        if gone is None or not good or value < (rent := gone.size * RATE * PERIOD):
            return False
        del self.gone[actor]
        self.entries[actor] = Entry(value - rent, gone.size, epoch + PERIOD, paid_once=True, warned=True)
        self.balances[payer] -= value
        self.balances[BURNT_FUNDS_ACTOR] += rent
        return True

    def end_epoch(self, epoch: int) -> None:
        """Return the amount that is due now."""
        for actor, entry in list(self.entries.items()):
            if entry.due > epoch:
                continue
            entry_size, blocks = self.size(actor)
            rent = entry_size * RATE * PERIOD
            if entry.deposit >= rent:
                entry.deposit, entry.size, entry.due = entry.deposit - rent, entry_size, epoch + PERIOD
                entry.paid_once = True
                self.balances[BURNT_FUNDS_ACTOR] += rent
                self.paid.add(actor)
            elif not entry.paid_once and not entry.warned:
                entry.size, entry.due, entry.warned = entry_size, epoch + GRACE, True
            else:
                del self.entries[actor]
                self.balances[actor] += entry.deposit
                state = self.machine.state_tree.get_actor(actor)
                assert state is not None
                self.gone[actor] = Gone(entry_size, state.head, state.code, blocks)
