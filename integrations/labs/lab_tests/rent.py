"""Random programs of contracts and native actors that pay rent, expire and return, as a recorded run (lab `rent`).

A program has some epochs in which tenants (examples/rent, in Solidity and Rust) store more state, pay for
themselves and each other, opt out, call each other, and are resurrected by valid and invalid proofs: of other actors,
with missing, duplicate, additional or reordered blocks, or with a flipped bit. A simple ledger implements
docs/labs/rent.md. After each epoch the rent actor's state, all balances and the archived actors are compared with it.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, Final

from bridge.abi.abi import ContractInterface
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ARCHIVED_CODE, archived_actor
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    METHOD_SEND,
    ActorID,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
    encode_bigint,
)
from hypervisor_labs.rent import OPT_OUT, PAY, RENT, RESURRECT, RentState, collect
from hypervisor_labs.rules import EpochEndBlocks
from lab_tests.random_programs import LabNetwork, NoBlocks, RandomPrograms, Shown, make_lab_network
from store.car.files import write_car
from store.cid import Cid
from store.codec import decode_strict, encode
from store.links import blocks_below, reachable

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "rent"
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


STAGES: Final = ("kept every invariant", "had rent paid", "had an actor archived", "had one resurrected")
KEEP, FORWARD, COUNT = map(MethodNumber, (2, 3, 4))
EPOCHS: Final = 24
_RENT_ABI: Final = ContractInterface([
    {"type": "function", "name": name, "stateMutability": "payable", "outputs": [],
     "inputs": [{"name": f"field{place}", "type": "bytes"} for place in range(count)]}
    for name, count in (("pay", 1), ("optOut", 0), ("resurrect", 2))
])  # fmt: skip


@dataclass(slots=True)
class Play:
    seed: int
    findings: list[str] = field(default_factory=list)
    paid: set[str] = field(default_factory=set)
    archived: set[str] = field(default_factory=set)
    resurrected: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)


class Program:
    """Draws messages; the ledger computes the expected results."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = world()
        self.ledger: Ledger
        self.played = Play(seed)
        self.epoch = self.world.epoch

    def step(self) -> None:
        """Send one message of a block and compare it with the ledger."""
        kind = self.random.choice((self.keep, self.keep, self.pay, self.pay, self.pay, self.opt_out, self.revive,
                                   self.revive, self.revive, self.ask, self.give))  # fmt: skip
        kind()

    # --- messages ---------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Make a tenant store more; an archived one exits with its code."""
        actor = self.random.choice(self.world.actors)
        if actor in self.world.natives:
            params = encode([self.random.randbytes(self.random.choice((0, 3, 300)))])
            code = self.send(self.world.account, actor, KEEP, params)
        else:
            data = self.world.interface.encode_call("keep", self.random.randrange(1, 4))
            code = self.send(self.world.account, actor, INVOKE_EVM, invoke_params(data))
        expected = ExitCode.SYS_ACTOR_ARCHIVED if actor in self.ledger.gone else 0
        if code != expected:
            self.find(f"call: exit {code}, expected {expected}")

    def pay(self) -> None:
        """Pay an actor's rent, from itself, another tenant or the account."""
        actor = self.random.choice((*self.world.actors, self.world.account))
        payer = self.random.choice((actor, actor, self.world.account, *self.world.actors))
        rent = (self.ledger.size(actor)[0] if actor in self.world.actors else 500) * RATE * PERIOD
        value = self.random.choice((0, 1, rent - 1, rent, rent, rent * 2, rent * 5))
        address = b"" if payer == actor and self.random.random() < 0.5 else Address.id(actor).to_bytes()
        taken = self.ask_rent(payer, PAY, [address], value)
        if taken is not None and taken != self.ledger.pay(payer, actor, value, self.epoch):
            self.find("pay: the result differs from the ledger's")

    def opt_out(self) -> None:
        actor = self.random.choice(self.world.actors)
        taken = self.ask_rent(actor, OPT_OUT, [], 0)
        if taken is not None and taken != self.ledger.opt_out(actor):
            self.find("opt out: the result differs from the ledger's")

    def revive(self) -> None:
        """Resurrect an actor with a proof sent by the account or a tenant."""
        actor = self.random.choice((*self.ledger.gone, *self.ledger.gone, *self.world.actors))
        gone = self.ledger.gone.get(actor)
        payer = self.random.choice((self.world.account, self.world.account, *self.world.actors))
        good, proof = self.proof(actor)
        rent = (1 if gone is None else gone.size) * RATE * PERIOD
        value = self.random.choice((rent, rent, rent + 7, rent * 3, rent - 1, 0))
        taken = self.ask_rent(payer, RESURRECT, [Address.id(actor).to_bytes(), proof], value)
        if taken is None:
            return
        if taken != self.ledger.resurrect(payer, actor, value, good, self.epoch):
            self.find(f"proof: {'accepted' if taken else 'rejected'}, unlike by the ledger")
        if not taken or gone is None:
            return
        self.played.resurrected.add(self.runtime(actor))
        state = self.machine.state_tree.get_actor(actor)
        if state is None or (state.head, state.code) != (gone.root, gone.code):
            self.find("proof: the resurrected actor has another state")

    def ask(self) -> None:
        """Call a tenant from another one; an archived tenant must not respond."""
        asker, actor = self.random.choice(self.world.actors), self.random.choice(self.world.actors)
        if asker in self.ledger.gone:
            return
        if actor in self.world.natives:
            ended = self.forward(asker, Address.id(actor), COUNT, b"", 0)
        else:
            data = self.world.interface.encode_call("count")
            ended = self.forward(asker, Address.id(actor), INVOKE_EVM, data, 0)
        natively = asker in self.world.natives and actor in self.world.natives
        if natively and ended != (ExitCode.SYS_ACTOR_ARCHIVED if actor in self.ledger.gone else 0):
            self.find(f"call: a tenant saw exit {ended}")
        if actor in self.ledger.gone and ended == 0:
            self.find("call: an archived actor answered")

    def give(self) -> None:
        """Send value to an actor, archived or not."""
        actor, value = self.random.choice(self.world.actors), self.random.randrange(1_000)
        self.send(self.world.account, actor, METHOD_SEND, b"", value)
        self.ledger.balances[self.world.account] -= value
        self.ledger.balances[actor] += value

    # --- proofs -----------------------------------------------------------------------------------------------

    def proof(self, actor: ActorID) -> tuple[bool, bytes]:
        """Return True and a valid proof, or False and an invalid one."""
        random, gone = self.random, self.ledger.gone.get(actor)
        if gone is None:
            return False, b""
        blocks, kind = list(gone.blocks), random.randrange(18)
        root, others = gone.root, [other for other in self.ledger.gone.values() if other.root != gone.root]
        if kind == 0 and others:
            other = random.choice(others)
            return False, car(random.choice((root, other.root)), other.blocks)
        if kind == 1:
            del blocks[random.randrange(len(blocks))]
        elif kind == 2:
            blocks.insert(random.randrange(len(blocks) + 1), random.choice(blocks))
        elif kind == 3:
            extra = next(iter(blocks_below(self.machine.store, [self.machine.state_tree.flushed_root])))
            blocks.insert(random.randrange(1, len(blocks) + 1), extra)
        elif kind == 4 and len(blocks) > 1:
            blocks = blocks[::-1]
        elif kind == 5:
            data = bytearray(car(root, blocks))
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            return False, bytes(data)
        elif kind == 6:
            return False, random.choice((b"", b"\x00", random.randbytes(60), car(root, [])))
        elif kind == 7:
            return False, car(root, blocks)[: -random.randrange(1, 40)]
        return blocks == gone.blocks, car(root, blocks)

    # --- calls ------------------------------------------------------------------------------------------------

    def ask_rent(self, payer: ActorID, method: MethodNumber, fields: list[bytes], value: int) -> bool | None:
        """Return True if the rent actor accepted the call; None if the payer cannot call."""
        if payer in self.ledger.gone:
            return None
        if payer == self.world.account:
            taken = self.send(payer, RENT, method, encode(fields), value) == 0
        elif payer in self.world.natives:
            taken = self.forward(payer, Address.id(RENT), method, encode(fields), value) == 0
        else:
            name = {PAY: "pay", OPT_OUT: "optOut", RESURRECT: "resurrect"}[method]
            taken = self.forward(payer, Address.id(RENT), INVOKE_EVM, _RENT_ABI.encode_call(name, *fields), value) == 0
        if not taken:
            self.played.refused[str(method)] += 1
        return taken

    def forward(self, caller: ActorID, to: Address, method: MethodNumber, params: bytes, value: int) -> int:
        """Make a tenant call an actor and return the exit code (0 or 1 for a contract)."""
        if caller in self.world.natives:
            if method == INVOKE_EVM:
                params = invoke_params(params)
            fields = [to.to_bytes(), method, params, encode_bigint(value)]
            result = self.apply(self.world.account, caller, FORWARD, encode(fields), 0)
            return int(decode_strict(result.return_data)[0])
        masked = "0xff" + (to.actor_id() or 0).to_bytes(19, "big").hex()
        if method == COUNT:
            return 0 if to.actor_id() not in self.ledger.gone else 1  # a contract asks no native method here
        data = self.world.interface.encode_call("forward", masked, value, params)
        result = self.apply(self.world.account, caller, INVOKE_EVM, invoke_params(data), 0)
        done, _ = self.world.interface.decode_result("forward", decode_strict(result.return_data))
        return 0 if done else 1

    @property
    def machine(self) -> Hypervisor:
        return self.world.machine

    def send(self, from_: ActorID, to: ActorID, method: MethodNumber, params: bytes, value: int = 0) -> int:
        return int(self.apply(from_, to, method, params, value).exit_code)

    def apply(self, from_: ActorID, to: ActorID, method: MethodNumber, params: bytes, value: int) -> Any:
        result = self.machine.apply_implicit(
            Message(
                Address.id(to), Address.id(from_), value=TokenAmount(value), method=method, params=params,
                gas_limit=Gas(10_000_000_000),
            )
        )  # fmt: skip
        if result.fatal is not None:
            self.find(f"fatal: {result.fatal}")
        return result

    def runtime(self, actor: ActorID) -> str:
        return "native" if actor in self.world.natives else "contract"

    def find(self, words: str) -> None:
        self.played.findings.append(words)

    # --- the end of an epoch ----------------------------------------------------------------------------------

    def compare_state(self) -> None:
        """Compare the rent actor's state, the balances and the archived actors with the ledger."""
        ledger, machine = self.ledger, self.machine
        state = machine.state_tree.get_actor(RENT)
        assert state is not None, "it is part of the genesis"
        books = RentState(machine.store, state.head).tenancies()
        found = {actor: (one.deposit, one.size, one.due) for actor, one in books.items()}
        expected = {actor: (one.deposit, one.size, one.due) for actor, one in ledger.entries.items()}
        if found != expected:
            self.find(f"books: {found}, expected {expected} as in the ledger")
        if state.balance != sum(one.deposit for one in books.values()):
            self.find("deposits: the rent actor's balance is not the sum of the deposits in its state")
        balances = {actor: int(machine.balance(Address.id(actor))) for actor in ledger.balances}
        if balances != ledger.balances:
            self.find(f"money: {balances}, expected {ledger.balances} as in the ledger")
        for actor in self.world.actors:
            one = machine.state_tree.get_actor(actor)
            assert one is not None, "tenants are never deleted"
            if (one.code == ARCHIVED_CODE) != (actor in ledger.gone):
                self.find("archive: the archived actors differ from the ledger's")
                continue
            gone = archived_actor(machine.store, one)
            if gone is not None and (gone.root, gone.size) != (ledger.gone[actor].root, ledger.gone[actor].size):
                self.find("archive: root or size differ from the ledger's")

    def look_for_blocks(self) -> None:
        """Check that state held only by an archived actor is no longer reachable."""
        if not self.ledger.gone:
            return
        left = reachable(self.machine.store, [self.machine.state_tree.current_root()])
        alive = [actor for actor in self.world.actors if actor not in self.ledger.gone]
        shared = {cid for actor in alive for cid, _ in self.ledger.size(actor)[1]}
        for gone in self.ledger.gone.values():
            if any(cid in left and cid not in shared for cid, _ in gone.blocks[:1]):
                self.find("blocks: an archived state is still reachable")


def car(root: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> bytes:
    file = BytesIO()
    write_car(file, [root], blocks)
    return file.getvalue()


def play(seed: int) -> Play:
    program = Program(seed)
    machine, blocks, played = program.machine, EpochEndBlocks(NoBlocks(), collect), program.played
    machine.restore(program.world.start)
    machine.advance(epoch=ChainEpoch(program.epoch), base_fee=TokenAmount(100))
    program.ledger = Ledger(program.world)
    for epoch in range(program.epoch, program.epoch + EPOCHS):
        program.epoch = epoch
        machine.advance(epoch=ChainEpoch(epoch))
        count = program.random.randrange(4)
        for _ in range(count):
            program.step()
        program.ledger.end_epoch(epoch)
        if count:
            blocks.end_block(machine, Address.id(ActorID(0)), 0)
        else:
            blocks.null_round(machine)
        program.compare_state()
        if played.findings:
            return played
        played.archived |= {program.runtime(actor) for actor in program.ledger.gone}
    played.paid = {program.runtime(actor) for actor in program.ledger.paid}
    program.look_for_blocks()
    return played


# --- many of them -----------------------------------------------------------------------------------------------------


def _shown(seed: int) -> Shown:
    played = play(seed)
    return played.findings, (bool(played.paid), bool(played.archived), bool(played.resurrected))


PROGRAMS: Final = RandomPrograms(STAGES, _shown)
run = PROGRAMS.run

if __name__ == "__main__":
    sys.exit(PROGRAMS.main(__doc__))
