"""Blocks that are executed one on the other, and forgotten: what `eth_simulateV1` tells.

Each block is one that this network could make: null rounds before it get their cron, its own cron and reward come
behind its calls. A call may come from anybody. Without validation it pays no gas, and its nonce is not looked at.
Rules: execution-apis, the notes on eth_simulateV1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from eth_hash.auto import keccak

from bridge.addresses import EthAddress, to_ethereum, to_filecoin
from bridge.events import Log, entries_to_log
from bridge.receipts import EmittedLog
from bridge.transactions import Transaction
from hypervisor.errors import HypervisorError
from hypervisor.events import EventEntry
from hypervisor.machine import Hypervisor
from hypervisor.tracing import CallEnded, CallStarted, EventEmitted, Recorder, TraceEvent
from hypervisor.types import ActorID, ChainEpoch, Gas, TokenAmount
from localnet.admission import impersonated
from localnet.base_fee import BLOCK_GAS_LIMIT
from localnet.chain import Chain
from localnet.execution import Candidate, begin_epoch, end_epoch, execute_one, inclusion_gas, may_send, next_nonce
from localnet.overrides import SAME_BLOCK, AccountOverride, BlockOverride, override_accounts
from localnet.records import Execution, Tipset
from localnet.simulate import sender_of
from store.buffered import BufferedStore
from store.memory import MemoryStore

MOST_BLOCKS: Final = 256
"""Heights that a simulation may go above the block that it stands on."""

TRANSFERS: Final = EthAddress(b"\xee" * 20)
"""Who seems to have emitted the logs of transfers."""

_TRANSFER: Final = bytes(keccak(b"Transfer(address,address,uint256)"))
_NO_FEE: Final = TokenAmount(0)


class SimulationRefused(HypervisorError):
    """A simulation that cannot be run; `code` is the specification's number of the reason."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """A call of a simulated block; gas and nonce are found where they are None. Fees in attoFIL per gas."""

    sender: EthAddress
    transaction: Transaction
    gas: Gas | None
    nonce: int | None


@dataclass(frozen=True, slots=True)
class BlockCalls:
    """A block to simulate: what is supposed of it and of accounts, and its calls."""

    calls: Sequence[SimulatedCall] = ()
    accounts: Mapping[EthAddress, AccountOverride] | None = None
    block: BlockOverride = SAME_BLOCK


@dataclass(frozen=True, slots=True)
class SimulatedBlock:
    """A block that was simulated: its parent, itself, its executions, and the logs of each, in order."""

    parent: Tipset
    tipset: Tipset
    executions: tuple[Execution, ...]
    logs: tuple[tuple[EmittedLog, ...], ...]


def simulate_blocks(
    chain: Chain, base: Tipset, blocks: Sequence[BlockCalls], *, validation: bool = False, transfers: bool = False
) -> list[SimulatedBlock]:
    """Execute blocks on top of a tipset, with nothing kept.

    With `validation` calls need nonce, fees and funds as transactions do; with `transfers` every transfer of value is
    a log, too. Raises SimulationRefused, and the errors of `override_accounts`.
    """
    machine = chain.machine_before(base, base.state)
    parent, done = base, list[SimulatedBlock]()
    for block in blocks:
        height, time = _place(base, parent, block.block)
        base_fee = block.block.base_fee
        if base_fee is None:
            base_fee = parent.next_base_fee if validation else _NO_FEE
        parent = replace(parent, next_base_fee=base_fee)
        begin_epoch(machine, chain.record, parent, height, time)
        override_accounts(machine, block.accounts or {})
        simulated = _Block(chain, machine, parent, height, time, validation, transfers).run(block.calls)
        done.append(simulated)
        parent = simulated.tipset
    return done


def _place(base: Tipset, parent: Tipset, block: BlockOverride) -> tuple[ChainEpoch, int]:
    """Height and time of a block. Raises SimulationRefused."""
    height = ChainEpoch(parent.height + 1 if block.number is None else block.number)
    if height <= parent.height:
        raise SimulationRefused(-38020, f"block numbers must be in order: {height} <= {parent.height}")
    if height > base.height + MOST_BLOCKS:
        raise SimulationRefused(-38026, f"too many blocks: at most {MOST_BLOCKS} above {base.height}, not {height}")
    time = parent.timestamp + 1 if block.time is None else block.time
    if time <= parent.timestamp:
        raise SimulationRefused(-38021, f"block timestamps must be in order: {time} <= {parent.timestamp}")
    return height, time


class _Block:
    """One block while its calls are executed."""

    def __init__(
        self,
        chain: Chain,
        machine: Hypervisor,
        parent: Tipset,
        height: ChainEpoch,
        time: int,
        validation: bool,
        transfers: bool,
    ) -> None:
        self._chain = chain
        self._machine, self._parent, self._height, self._time = machine, parent, height, time
        self._validation, self._transfers = validation, transfers
        self._room = BLOCK_GAS_LIMIT

    def run(self, calls: Sequence[SimulatedCall]) -> SimulatedBlock:
        """Execute the calls and end the epoch."""
        executions: list[Execution] = []
        logs: list[tuple[EmittedLog, ...]] = []
        tips = 0
        for call in calls:
            candidate = self._candidate(call)
            recorder = Recorder() if self._transfers else None
            self._machine.tracer = recorder
            try:
                execution, tip = execute_one(self._machine, candidate)
            finally:
                self._machine.tracer = None
            self._room -= execution.receipt.gas_used
            tips += tip
            executions.append(execution)
            logs.append(
                tuple(execution.logs() if recorder is None else _with_transfers(self._machine, recorder.events))
            )
        end_epoch(self._machine, self._chain.producer, tips)
        blocks = BufferedStore(MemoryStore())
        tipset = self._chain.assemble(self._machine, blocks, self._parent, self._height, self._time, executions)
        return SimulatedBlock(self._parent, tipset, tuple(executions), tuple(logs))

    def _candidate(self, call: SimulatedCall) -> Candidate:
        """The message of a call. Raises SimulationRefused."""
        machine, sender = self._machine, to_filecoin(call.sender)
        gas = Gas(self._room) if call.gas is None else call.gas
        if gas > self._room:
            raise SimulationRefused(-38015, f"block gas limit reached: {gas} > {self._room}")
        sender_of(machine, sender)
        expected = next_nonce(machine, sender)
        nonce = call.nonce if self._validation and call.nonce is not None else expected
        given = call.transaction
        fees = (given.max_fee, given.max_priority_fee) if self._validation else (0, 0)
        transaction = replace(given, nonce=nonce, gas_limit=gas, max_fee=fees[0], max_priority_fee=fees[1])
        candidate = impersonated(machine, transaction.message_from(sender))
        if self._validation:
            self._validate(candidate, expected)
        self._check_funds(candidate)
        return candidate

    def _validate(self, candidate: Candidate, expected: int) -> None:
        message, base_fee = candidate.bare, self._parent.next_base_fee
        if message.nonce < expected:
            raise SimulationRefused(-38010, f"nonce too low: next nonce {expected}, tx nonce {message.nonce}")
        if message.nonce > expected:
            raise SimulationRefused(-38011, f"nonce too high: next nonce {expected}, tx nonce {message.nonce}")
        if message.gas_fee_cap < base_fee:
            raise SimulationRefused(
                -38012, f"max fee per gas less than block base fee: {message.gas_fee_cap} < {base_fee} attoFIL"
            )
        needed = inclusion_gas(self._machine, candidate.message.chain_length())
        if message.gas_limit < needed:
            raise SimulationRefused(-38013, f"intrinsic gas too low: have {message.gas_limit}, want {needed}")

    def _check_funds(self, candidate: Candidate) -> None:
        actor = self._machine.actor(candidate.bare.from_)
        pays = actor is None or may_send(self._machine, actor)
        needed, balance = candidate.most if pays else candidate.bare.value, 0 if actor is None else actor.balance
        if balance < needed:
            raise SimulationRefused(
                -38014,
                f"insufficient funds for gas * price + value: 0x{candidate.sender.hex()} has {balance} attoFIL, "
                f"the call may cost {needed}",
            )


def _with_transfers(machine: Hypervisor, events: Sequence[TraceEvent]) -> list[EmittedLog]:
    """The logs of a message in the order of its execution, with one for each transfer; none of what was reverted."""
    logs: list[EmittedLog] = []
    marks: list[int] = []
    for event in events:
        match event:
            case CallStarted():
                marks.append(len(logs))
                if event.value:
                    logs.append(_transfer(machine, event))
            case CallEnded():
                mark = marks.pop()
                if event.exit_code or event.error:
                    del logs[mark:]
            case EventEmitted():
                log = entries_to_log(tuple(EventEntry(*entry) for entry in event.entries))
                if log is not None:
                    logs.append(EmittedLog(_shown(machine, event.emitter), log))
            case _:
                pass
    return logs


def _transfer(machine: Hypervisor, call: CallStarted) -> EmittedLog:
    receiver = machine.state_tree.lookup_id(call.to)
    ends = [_shown(machine, call.from_), TRANSFERS if receiver is None else _shown(machine, receiver)]
    topics = (_TRANSFER, *(bytes(12) + address for address in ends))
    return EmittedLog(TRANSFERS, Log(topics, call.value.to_bytes(32, "big")))


def _shown(machine: Hypervisor, actor: ActorID) -> EthAddress:
    state = machine.state_tree.get_actor(actor)
    return to_ethereum(actor, None if state is None else state.delegated_address)
