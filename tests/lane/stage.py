"""A network under attack, and the results of the system's messages.

The block producer has a deadline that ends in the third epoch from the start, so that every attack coincides with an
effective cron event. The results without an attack are recorded beforehand.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import Fatal, OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import CallNode, CallTrees
from hypervisor.types import (
    CRON_ACTOR,
    MARKET_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    Gas,
    MethodNumber,
    TokenAmount,
)
from localnet import Account, Miner, Network
from localnet.addresses import filecoin_address
from store.cid import Cid
from tests.localnet.conftest import Clock

CRON, REWARD, POWER, MARKET = (Address.id(actor) for actor in (CRON_ACTOR, REWARD_ACTOR, POWER_ACTOR, MARKET_ACTOR))
AWARD, EPOCH_TICK = MethodNumber(2), MethodNumber(2)
POWER_TICK, MARKET_TICK, MINER_EVENT, APPLY_REWARDS, REWARD_UPDATE = 5, 9, 12, 14, 4
EPOCHS, MAX_EPOCHS = 6, 12
"""Minimum and maximum number of epochs of an attack."""

BLOCK_GAS = 10_000_000_000

Shape = tuple[int, str, int, int, tuple[Any, ...]]
"""A call: caller, receiver, method, exit code and nested calls."""


@dataclass(slots=True)
class Tick:
    """The system's messages of an epoch: their call trees, and the reward actor's final state."""

    epoch: int
    award: CallNode | None = None
    cron: CallNode | None = None
    exits: list[tuple[str, int]] = field(default_factory=list)
    reward_state: Cid | None = None


class Stage:
    """The network. Each attack runs inside `attacked`, which reverts everything."""

    is_armed = False
    watched: frozenset[bytes] = frozenset()

    def __init__(self, bundle: Bundle | Path | None, version: int) -> None:
        self.network = Network(bundle=bundle, network=version, clock=Clock())
        self.producer: Miner = self.network.create_miner(self.network.accounts[1], sectors=1)
        self.network.set_producer(self.producer.address)
        self.network.mine()
        self.attacker, self.victim = self.network.accounts[5], self.network.accounts[6]
        self.breaks: Callable[[Call], bool] = lambda call: False
        """A defect of the machine: the calls that break it."""
        self.ticks: list[Tick] = []
        self.expected: list[Tick] = []
        self._waiting: list[bytes] = []
        self._placed = 0
        self.network.machine.interceptor = self
        self._approach()

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        """Record the results of the chain's own messages, as the machine's interceptor; others run without a tracer."""
        if self.breaks(call):
            raise Fatal("a defect")
        if calls.depth > 0 or call.from_ != SYSTEM_ACTOR or call.to not in (REWARD, CRON):
            return proceed(call)
        calls.tracer = trees = CallTrees()
        try:
            result = proceed(call)
        except OutOfGas:
            self._note(call.to, ExitCode.SYS_OUT_OF_GAS, trees.roots[0])
            raise
        finally:
            calls.tracer = None
        self._note(call.to, result.exit_code, trees.roots[0])
        return result

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        """Ignore events."""

    def _note(self, to: Address, exit_code: int, root: CallNode) -> None:
        epoch = self.network.machine.context.epoch
        if not self.ticks or self.ticks[-1].epoch != epoch:
            self.ticks.append(Tick(epoch))
        tick = self.ticks[-1]
        tick.exits.append((str(to), exit_code))
        if to == REWARD:
            tick.award = root
        else:
            tick.cron = root
            state = self.network.machine.state_tree.get_actor(REWARD_ACTOR)
            tick.reward_state = None if state is None else state.head

    def _approach(self) -> None:
        """Advance to two epochs before the end of the producer's deadline, and record the results without an attack."""
        start, snapshot = self.network.block_number, self.network.snapshot()
        self.network.mine(null_rounds=130)
        end = next(tick.epoch for tick in self.ticks[5:] if tick.cron and _calls(tick.cron, MINER_EVENT))
        self.network.revert(snapshot)
        self.network.mine(null_rounds=end - start - 4)
        with self.attacked():
            self.network.mine(MAX_EPOCHS)
            self.expected = list(self.ticks)

    # --- an attack ----------------------------------------------------------------------------------------------

    @contextmanager
    def attacked(self) -> Iterator[None]:
        """Revert everything after the block."""
        snapshot = self.network.snapshot()
        self.ticks.clear()
        try:
            yield
        finally:
            self.network.automine = True
            self._waiting.clear()
            self.network.revert(snapshot)

    def place(self, module: bytes, balance: int = 0) -> Address:
        """Install a user's native actor with this module without its constructor."""
        machine = self.network.machine
        self._placed += 1
        actor = machine.state_tree.register_address(Address.actor(b"user %d" % self._placed))
        machine.state_tree.set_actor(actor, ActorState(machine.install(module)))
        self.network.chain.keep_changes()
        address = Address.id(actor)
        if balance:
            self.network.send_native(address, value=balance, sender=self.attacker)
        return address

    def contract(self, runtime: bytes, balance: int = 0) -> Address:
        """Install a contract with this runtime code."""
        size = len(runtime).to_bytes(2, "big")
        init = b"\x61" + size + b"\x80\x60\x0a\x5f\x39\x5f\xf3" + runtime  # PUSH2 size DUP1 PUSH1 10 PUSH0 CODECOPY
        receipt = self.network.send(None, balance, init, sender=self.attacker)
        assert receipt.contract_address is not None
        return filecoin_address(receipt.contract_address)

    def fire(
        self,
        to: Address,
        method: int = 2,
        params: bytes = b"",
        *,
        value: int = 0,
        gas: int = BLOCK_GAS // 2,
        sender: Account | None = None,
    ) -> None:
        """Add a native message to the mempool."""
        self.network.automine = False
        sender = sender or self.attacker
        message = Message(
            to,
            sender.native,
            nonce=self.network.pending_nonce(sender.native),
            value=TokenAmount(value),
            method=MethodNumber(method),
            params=params,
            gas_limit=Gas(gas),
            gas_fee_cap=TokenAmount(3 * self.network.base_fee + self.network.rules.fees.premium),
            gas_premium=self.network.rules.fees.premium,
        )
        self._waiting.append(self.network.submit_native(sender.sign_native(message)))

    def shoot(self, to: Address, data: bytes = b"", *, value: int = 0, gas: int = BLOCK_GAS // 2) -> None:
        """Add an Ethereum transaction to the mempool."""
        self.network.automine = False
        transaction = Transaction(
            type=DYNAMIC_FEE,
            chain_id=self.network.chain_id,
            nonce=self.network.pending_nonce(self.attacker.delegated),
            to=self.network.address(to),
            value=value,
            data=data,
            gas_limit=gas,
            max_fee=3 * self.network.base_fee + self.network.rules.fees.premium,
            max_priority_fee=self.network.rules.fees.premium,
        )
        self._waiting.append(self.network.submit(self.attacker.sign(transaction).raw()))

    def epoch(self) -> list[int]:
        """Make a block of the pending messages; return their exit codes, or -1 for those not included."""
        self.network.mine()
        found = [self.network.chain.index.receipt(waiting) for waiting in self._waiting]
        self._waiting.clear()
        return [-1 if receipt is None else receipt.exit_code for receipt in found]

    # --- the lane -----------------------------------------------------------------------------------------------

    def damage(self, *, more_events: bool = False) -> list[str]:
        """Return the differences between the epochs since the attack began and the same epochs without it.

        With `more_events`, the attack adds miners' events to the power actor's cron; they must succeed.
        """
        while len(self.ticks) < EPOCHS:
            self.network.mine()
        found: list[str] = []
        for tick, quiet in zip(self.ticks, self.expected, strict=False):
            found += (f"epoch {tick.epoch}: {words}" for words in self._of(tick, quiet, more_events))
        if [tick.epoch for tick in self.ticks] != list(
            range(self.ticks[0].epoch, self.ticks[0].epoch + len(self.ticks))
        ):
            found.append("an epoch was left out")
        return found

    def _of(self, tick: Tick, quiet: Tick, more_events: bool) -> Iterator[str]:
        if tick.exits != [(str(REWARD), 0), (str(CRON), 0)]:
            yield f"reward and cron exit with {tick.exits}"
            return
        assert tick.award is not None
        assert tick.cron is not None
        assert quiet.award is not None
        assert quiet.cron is not None
        for call in _flat(tick.cron):
            if not call.succeeded:
                yield f"a call of cron's to {call.start.to}.{call.start.method} fails: {call.end}"
        if shape(tick.award) != shape(quiet.award):
            yield f"the reward is paid as {shape(tick.award)}, not as {shape(quiet.award)}"
        if tick.reward_state != quiet.reward_state:
            yield "the reward actor's state is another one"
        calls, due = shape(tick.cron), shape(quiet.cron)
        if calls != due and not more_events:
            yield f"cron's calls are {calls}, not {due}"
        if more_events and not set(_kinds(quiet.cron)) <= set(_kinds(tick.cron)):
            yield f"cron's calls are {calls}, without some of {due}"

    def money(self) -> int:
        """Return the attoFIL of all actors."""
        tree = self.network.machine.state_tree
        tree.flush()
        return sum(state.balance for _, state in tree.actors())


def shape(call: CallNode) -> Shape:
    """Return a call tree without values, parameters and gas."""
    exit_code = -1 if call.end is None or call.end.error else call.end.exit_code
    return call.start.from_, str(call.start.to), call.start.method, exit_code, tuple(map(shape, call.calls))


def _flat(call: CallNode) -> Iterator[CallNode]:
    yield call
    for below in call.calls:
        yield from _flat(below)


def _calls(root: CallNode, method: int) -> list[CallNode]:
    return [call for call in _flat(root) if call.start.method == method]


def _kinds(root: CallNode) -> Iterator[tuple[int, str, int]]:
    return ((call.start.from_, str(call.start.to), call.start.method) for call in _flat(root))
