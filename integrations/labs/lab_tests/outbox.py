"""Random programs of posted messages between contracts, native actors and accounts, as a recorded run (lab `async`).

A program has a few epochs in which accounts make relays (examples/async, in Solidity and Rust) post messages, which
make them post further ones: to relays, accounts and missing actors, with insufficient gas or funds, past expiries and
failing receivers. After each epoch the invariants of docs/labs/async.md are checked with the outbox's entries, the
relays' own records and all balances.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, Final

from eth_abi.abi import encode as encode_abi

from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
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
from hypervisor_labs import outbox
from hypervisor_labs.outbox import (
    EXPIRED,
    MESSAGE,
    OUTBOX,
    POST_SELECTOR,
    RECEIPT,
    OutboxBlocks,
    OutboxEntry,
)
from lab_tests.random_programs import LabNetwork, NoBlocks, RandomPrograms, Shown, make_lab_network
from store.blockstore import get_object
from store.codec import decode_strict, encode

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "async"
STAGES: Final = ("kept every invariant", "posted a message", "had one delivered", "had one in both runtimes")
RUN: Final = MethodNumber(2)
ON_RECEIPT: Final = MethodNumber(4_000_000_000)
MISSING: Final = Address.id(ActorID(999_999))
FRESH: Final = Address.delegated(10, bytes(range(7, 27)))
FUNDS: Final = 10**20
EPOCHS: Final = 5
GAS: Final = (1, 3_000_000, *(200_000_000,) * 4, *(1_500_000_000,) * 3)
"""Gas budgets: two of the largest do not fit one epoch."""
_POST_TYPES: Final = ("bytes", "uint64", "bytes", "uint256", "uint64", "uint64", "uint64", "uint64")


@cache
def world() -> LabNetwork:
    """Return the network, made once per process."""
    return make_lab_network("lab:async", EXAMPLE / "Relay.json", EXAMPLE / "relay.wasm", FUNDS)


@dataclass(slots=True)
class Play:
    seed: int
    findings: list[str] = field(default_factory=list)
    posted: dict[int, OutboxEntry] = field(default_factory=dict)
    """All entries seen at the end of any epoch, by number."""
    gone: dict[int, int] = field(default_factory=dict)
    """Epoch in which an entry was removed, by number."""
    delivered: set[str] = field(default_factory=set)


class Program:
    """Generates messages, independently of the outbox's behaviour."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = world()
        self.price = self.random.choice((0, 0, 100, 12_345))
        self.numbers = 0
        self.epoch = self.world.epoch

    def run_params(self, relay: ActorID, depth: int) -> bytes:
        """Return the parameters of a relay's run: its number, posts, and whether to fail afterwards."""
        random = self.random
        self.numbers += 1
        number, fails = self.numbers, random.random() < 0.15
        posts = [self.post(relay, depth - 1) for _ in range(random.choice((0, 1, 1, 2, 3) if depth else (0,)))]
        if relay in self.world.natives:
            return encode([number, [[params, encode_bigint(value)] for params, value in posts], fails])
        values = [value for _, value in posts]
        data = self.world.interface.encode_call("run", number, [params for params, _ in posts], values, fails)
        return bytes(data)

    def post(self, relay: ActorID, depth: int) -> tuple[bytes, int]:
        """Return a relay's message to the outbox: parameters encoded for its runtime, and the value in attoFIL."""
        random = self.random
        native = relay in self.world.natives
        if random.random() < 0.07:
            return random.choice((b"", b"\x80", POST_SELECTOR, random.randbytes(40))), random.choice((0, 5))
        target = random.choice((*self.world.actors, *self.world.actors, None))
        params, method, to = b"", int(METHOD_SEND), random.choice((MISSING, FRESH, Address.id(self.world.account)))
        if target is not None:
            to, data = Address.id(target), self.run_params(target, depth)
            method = int(RUN if target in self.world.natives else INVOKE_EVM)
            params = invoke_params(data) if native and method == INVOKE_EVM else data
        value, gas = (
            random.choice((0, 1, 1_000)),
            random.choice((1, 3_000_000, *(200_000_000,) * 4, *(1_500_000_000,) * 3)),
        )
        expiry = self.epoch + random.choice((0, 1, 1, 2, 3, 20, 20, 20, 20, 10**6))
        receipt = random.choice((0, int(ON_RECEIPT), int(ON_RECEIPT), 77))
        receipt_gas = (1_000 if random.random() < 0.1 else 100_000_000) if receipt else 0
        kept = invoke_params(params) if not native and method == INVOKE_EVM else params
        cost = value + self.price * (gas + 30_000_000 + 1_500 * len(kept))
        cost += self.price * (receipt_gas + 30_000_000 + 1_500 * (1_024 + 64)) if receipt else 0
        paid = cost + random.choice((0, 0, 0, 0, 7, -1))
        fields = (to.to_bytes(), method, params, value, gas, expiry, receipt, receipt_gas)
        if native:
            return encode([*fields[:3], encode_bigint(value), *fields[4:]]), max(paid, 0)
        return POST_SELECTOR + encode_abi(_POST_TYPES, fields), max(paid, 0)

    def message(self) -> Message:
        world, relay = self.world, self.random.choice(self.world.actors)
        data = self.run_params(relay, 3)
        native = relay in world.natives
        return Message(
            Address.id(relay), Address.id(world.account), method=RUN if native else INVOKE_EVM,
            params=data if native else invoke_params(data), gas_limit=Gas(5_000_000_000),
        )  # fmt: skip


def play(seed: int) -> Play:
    program, played = Program(seed), Play(seed)
    machine, blocks = program.world.machine, OutboxBlocks(NoBlocks())
    machine.restore(program.world.start)
    money = _money(machine, program.world)
    balances = _balances(machine, program.world)
    for epoch in range(program.epoch, program.epoch + EPOCHS + 30):
        program.epoch = epoch
        machine.advance(epoch=ChainEpoch(epoch), base_fee=TokenAmount(program.price))
        if epoch < program.world.epoch + EPOCHS:
            for _ in range(program.random.randrange(3)):
                machine.apply_implicit(program.message())
            blocks.end_block(machine, Address.id(ActorID(0)), 0)
        else:
            blocks.null_round(machine)
        waiting = _look(machine, played, epoch)
        if _money(machine, program.world) != money:
            played.findings.append("money: attoFIL came or went")
        if epoch >= program.world.epoch + EPOCHS and not waiting:
            break
    _look_back(machine, program, played, balances)
    return played


def _look(machine: Hypervisor, played: Play, epoch: int) -> int:
    """Compare the pending entries with those of the previous epoch; return their number."""
    state = machine.state_tree.get_actor(OUTBOX)
    assert state is not None, "the first block brings the outbox"
    waiting = dict(outbox.entries(machine.store, state.head))
    if state.balance != sum(entry.escrow for entry in waiting.values()):
        played.findings.append("escrow: the outbox holds another sum than its entries say")
    for number in played.posted.keys() - played.gone.keys() - waiting.keys():
        played.gone[number] = epoch
    if any(number in played.gone for number in waiting):
        played.findings.append("once: an entry came back")
    fresh = {number: entry for number, entry in waiting.items() if number not in played.posted}
    if any(entry.posted != epoch for entry in fresh.values()):
        played.findings.append("epoch: an entry is of another epoch than that in which it was posted")
    last = max(played.posted, default=0)
    if sorted(fresh) != list(range(last + 1, last + 1 + len(fresh))):
        played.findings.append("epoch: an entry was delivered in the epoch in which it was posted")
    if waiting and played.gone and max(played.gone) > min(waiting):
        played.findings.append("order: a later entry went before an earlier one")
    played.posted |= fresh
    return len(waiting)


def _look_back(machine: Hypervisor, program: Program, played: Play, before: dict[ActorID, int]) -> None:
    """Compare the relays' records and the balances with the entries at the end of a program."""
    here, notes, receipts = program.world, dict[ActorID, list[int]](), dict[ActorID, list[list[Any]]]()
    for relay in here.actors:
        notes[relay], receipts[relay] = _notes(machine, here, relay)
    ran = Counter(number for numbers in notes.values() for number in numbers)
    if any(count > 1 for count in ran.values()):
        played.findings.append("once: a message was delivered twice")
    messages = {number: entry for number, entry in played.posted.items() if entry.kind == MESSAGE}
    results = Counter(entry.about for entry in played.posted.values() if entry.kind == RECEIPT)
    ended = {entry.about: decode_strict(entry.params)[1] for entry in played.posted.values() if entry.kind == RECEIPT}
    order: dict[tuple[ActorID, bytes], list[int]] = {}
    for number, entry in messages.items():
        wanted = int(number in played.gone and entry.receipt_method != 0)
        if results[number] != wanted:
            played.findings.append("receipt: a message has none, or more than one")
        tag = _tag(here, entry)
        expired = number in played.gone and played.gone[number] > entry.expiry
        if ended.get(number) == EXPIRED and not expired:
            played.findings.append("expiry: a message expired before its epoch")
        if tag is not None and ran[tag]:
            order.setdefault((entry.poster, entry.to), []).append(tag)
            played.delivered.add("native" if _id(entry.to) in here.natives else "contract")
            if expired or ended.get(number, 0) != 0:
                played.findings.append("receipt: it says that a message failed which was delivered")
    for (_, to), tags in order.items():
        noted = [tag for tag in notes[_id(to)] if tag in set(tags)]
        if noted != tags:
            played.findings.append("order: a pair's messages were delivered in another order")
    for relay, found in receipts.items():
        about = [receipt[0] for receipt in found]
        expected = [
            entry.about
            for number, entry in sorted(played.posted.items())
            if entry.kind == RECEIPT and entry.poster == relay and entry.method == ON_RECEIPT and entry.gas > 1_000
            and number in played.gone
        ]  # fmt: skip
        if about != expected:
            played.findings.append("receipt: a relay has not had each of its receipts once")
    if program.price == 0:
        _look_at_values(machine, here, played, messages, ran, before)


def _look_at_values(
    machine: Hypervisor,
    here: LabNetwork,
    played: Play,
    messages: dict[int, OutboxEntry],
    ran: Counter[int],
    before: dict[ActorID, int],
) -> None:
    """Check the balances, which follow from the delivered and returned values since gas is free."""
    expected = dict(before)
    for number, entry in messages.items():
        tag, receiver = _tag(here, entry), _id(entry.to)
        there = entry.to != MISSING.to_bytes() and entry.method == METHOD_SEND and entry.gas >= 200_000_000
        expired = number in played.gone and played.gone[number] > entry.expiry
        if number not in played.gone:
            expected[entry.poster] -= entry.value
        elif not expired and ((tag is not None and ran[tag]) or there):
            expected[entry.poster] -= entry.value
            if receiver in expected:
                expected[receiver] += entry.value
        elif entry.method == METHOD_SEND and not expired and 1 < entry.gas < 200_000_000:
            return  # whether so little gas is enough is the price list's to say
    if expected != _balances(machine, here):
        played.findings.append("value: it is with another actor than the one that it was for")


def _id(address: bytes) -> ActorID:
    return Address.from_bytes(address).actor_id() or ActorID(0)


def _tag(here: LabNetwork, entry: OutboxEntry) -> int | None:
    """Return the number of the run that a message requests from a relay."""
    receiver = _id(entry.to)
    if receiver in here.natives:
        return int(decode_strict(entry.params)[0])
    if receiver not in here.contracts:
        return None
    call = here.interface.decode_call(decode_strict(entry.params))
    assert call is not None, "programs call the relay's function alone"
    return int(decode_strict(entry.params)[4:36].hex(), 16)


def _notes(machine: Hypervisor, here: LabNetwork, relay: ActorID) -> tuple[list[int], list[list[Any]]]:
    """Return a relay's records: the numbers of its runs, and its receipts."""
    state = machine.state_tree.get_actor(relay)
    assert state is not None, "relays are never deleted"
    if relay in here.natives:
        numbers, receipts = get_object(machine.store, state.head)
        return numbers, receipts
    ask = partial(_ask, machine, here, relay)
    return (
        list(_until_it_fails(ask, "numbers")),
        [decode_strict(receipt) for receipt in _until_it_fails(ask, "receipts")],
    )


def _until_it_fails(ask: Any, name: str) -> Iterator[Any]:
    place = 0
    while (found := ask(name, place)) is not None:
        yield found
        place += 1


def _ask(machine: Hypervisor, here: LabNetwork, relay: ActorID, name: str, *arguments: Any) -> Any:
    message = Message(
        Address.id(relay), Address.id(here.account), method=INVOKE_EVM, gas_limit=Gas(10**10),
        params=invoke_params(here.interface.encode_call(name, *arguments)),
    )  # fmt: skip
    result = machine.call(message)
    return None if result.exit_code else here.interface.decode_result(name, decode_strict(result.return_data))


def _balances(machine: Hypervisor, here: LabNetwork) -> dict[ActorID, int]:
    return {actor: int(machine.balance(Address.id(actor))) for actor in (*here.actors, here.account, BURNT_FUNDS_ACTOR)}


def _money(machine: Hypervisor, here: LabNetwork) -> int:
    """Return the attoFIL of all participants."""
    others = int(machine.balance(FRESH)) + int(machine.balance(Address.id(OUTBOX)))
    return others + sum(_balances(machine, here).values())


# --- many of them -----------------------------------------------------------------------------------------------------


def _shown(seed: int) -> Shown:
    played = play(seed)
    return played.findings, (bool(played.posted), bool(played.delivered), len(played.delivered) == 2)


PROGRAMS: Final = RandomPrograms(STAGES, _shown)
run = PROGRAMS.run

if __name__ == "__main__":
    sys.exit(PROGRAMS.main(__doc__))
