"""Simulation of consecutive blocks for `eth_simulateV1`, without changing the chain.

Each block is valid for this network: null rounds before it run cron, and its own cron and reward follow its calls. A
call may have any sender. Without validation it pays no gas, and its nonce is not checked.

Source: execution-apis, the notes on eth_simulateV1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bridge.ethereum.addresses import EthAddress, address_of_actor, to_filecoin
from bridge.ethereum.block import emitter_address
from bridge.ethereum.transactions import ACCESS_LIST, GAS_PER_BLOB, LEGACY, Transaction
from bridge.filecoin.receipts import EmittedLog, Log, entries_to_log
from hypervisor.errors import HypervisorError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.events import EventEntry
from hypervisor.tracing import CallItem, CallNode, CallStarted, CallTrees, EventEmitted
from hypervisor.types import ActorID, ChainEpoch, Gas, TokenAmount
from localnet.calls.overrides import AccountOverride, override_accounts
from localnet.calls.pace import with_pace
from localnet.chain.admission import from_unsigned, require_funds
from localnet.chain.execution import begin_epoch, execute_one, implicit_executions
from localnet.chain.view import ChainReader
from localnet.errors import TransactionRefused
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import BlockSettings, Execution, Tipset
from localnet.rules.facts import SAME_BLOCK, BlockOverride
from localnet.rules.filecoin import sender_of
from localnet.rules.parts import ImplicitResult, rules_of
from localnet.state.controls import nonce_of
from store.blocks.buffered import BufferedStore
from store.blocks.memory import MemoryStore
from store.keccak import keccak

MAX_BLOCKS: Final = 256
"""Maximum height of a simulation above its base block."""

TRANSFERS: Final = EthAddress(b"\xee" * 20)
"""Emitter address of the logs of transfers."""

_TRANSFER: Final = bytes(keccak(b"Transfer(address,address,uint256)"))
_NO_FEE: Final = TokenAmount(0)

_REFUSALS: Final = {"fee": -38012, "gas": -38013, "funds": -38014, "size": -38025}
"""The specification's numbers by the reason of a transaction that is refused."""
_REJECTED: Final = -32003


class SimulationRefused(HypervisorError):
    """Raised for a simulation that cannot run; `code` is the error code of the specification."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """A call of a simulated block; None for gas and nonce selects defaults. Fees in attoFIL per gas."""

    sender: EthAddress
    transaction: Transaction
    gas: Gas | None
    nonce: int | None


@dataclass(frozen=True, slots=True)
class BlockCalls:
    """A block to simulate: its overrides, account overrides and calls."""

    calls: Sequence[SimulatedCall] = ()
    accounts: Mapping[EthAddress, AccountOverride] | None = None
    block: BlockOverride = SAME_BLOCK


@dataclass(frozen=True, slots=True)
class SimulatedBlock:
    """A simulated block: its parent, the block, its executions in order, and the logs of each with their indices."""

    parent: Tipset
    tipset: Tipset
    executions: tuple[Execution, ...]
    logs: tuple[tuple[tuple[int, EmittedLog], ...], ...]


def simulate_blocks(
    chain: ChainReader, base: Tipset, blocks: Sequence[BlockCalls], *, validation: bool = False, transfers: bool = False
) -> list[SimulatedBlock]:
    """Execute blocks on top of a tipset without storing them.

    With `validation` calls need nonce, fees and funds as transactions do; with `transfers` every transfer of value is
    a log as well. Raises SimulationRefused, and the errors of `override_accounts`.
    """
    machine = chain.machine_before(base, base.state)
    gas_limit = chain.rules.limits.block_gas
    if not chain.rules.features.has_null_rounds:
        blocks = _without_gaps(base, blocks)
    options = _Options(validation, transfers)
    parent, done, left = base, list[SimulatedBlock](), chain.rules.limits.request_gas
    for block in blocks:
        height, time = _height_and_time(base, parent, block.block, chain.rules.simulations.block_time)
        base_fee = block.block.base_fee
        if base_fee is None:
            base_fee = parent.next_base_fee if validation else _NO_FEE
        parent = replace(parent, next_base_fee=base_fee, next_settings=_settings(base, parent, block.block))
        work = begin_epoch(machine, chain.record, parent, height, time, chain.settings_after(parent))
        chain.rules.settings.override_block(machine, block.block)
        override_accounts(machine, block.accounts or {}, chain.rules)
        gas_limit = gas_limit if block.block.gas_limit is None else block.block.gas_limit
        simulated = _Block(chain, machine, parent, height, time, gas_limit, left, options).run(block.calls, work)
        left = Gas(max(0, left - simulated.tipset.gas_used))  # limit of the request, independent of the blocks' limits
        done.append(simulated)
        parent = simulated.tipset
    return done


def _settings(base: Tipset, parent: Tipset, block: BlockOverride) -> BlockSettings:
    """Return a block's fields: its overrides, otherwise those of a block after the base, as in geth."""
    usual = base.next_settings if parent is base else base.next_settings.next_defaults()
    return replace(
        usual,
        coinbase=usual.coinbase if block.coinbase is None else block.coinbase,
        gas_limit=usual.gas_limit if block.gas_limit is None else block.gas_limit,
        randomness=usual.randomness if block.randomness is None else block.randomness,
        excess_blob_gas=parent.next_settings.excess_blob_gas,
    )


def _without_gaps(base: Tipset, blocks: Sequence[BlockCalls]) -> list[BlockCalls]:
    """Return the blocks, with an empty one at each missing height. Raises SimulationRefused."""
    filled, height = list[BlockCalls](), base.height
    for block in blocks:
        number = height + 1 if block.block.number is None else block.block.number
        if number > base.height + MAX_BLOCKS:
            raise SimulationRefused(-38026, f"too many blocks: at most {MAX_BLOCKS} above {base.height}, not {number}")
        filled += [BlockCalls()] * (number - height - 1)
        filled.append(block)
        height = ChainEpoch(number)
    return filled


def _height_and_time(base: Tipset, parent: Tipset, block: BlockOverride, later: int) -> tuple[ChainEpoch, int]:
    """Return height and time of a block, by default `later` seconds after its parent. Raises SimulationRefused."""
    height = ChainEpoch(parent.height + 1 if block.number is None else block.number)
    if height <= parent.height:
        raise SimulationRefused(-38020, f"block numbers must be in order: {height} <= {parent.height}")
    if height > base.height + MAX_BLOCKS:
        raise SimulationRefused(-38026, f"too many blocks: at most {MAX_BLOCKS} above {base.height}, not {height}")
    time = parent.timestamp + later if block.time is None else block.time
    if time <= parent.timestamp:
        raise SimulationRefused(-38021, f"block timestamps must be in order: {time} <= {parent.timestamp}")
    return height, time


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of a simulation, see `simulate_blocks`."""

    validation: bool
    transfers: bool


class _Block:
    """A block during the execution of its calls."""

    def __init__(
        self,
        chain: ChainReader,
        machine: Hypervisor,
        parent: Tipset,
        height: ChainEpoch,
        time: int,
        gas_limit: Gas,
        left: Gas,
        options: _Options,
    ) -> None:
        self._chain = chain
        self._machine, self._parent, self._height, self._time = machine, parent, height, time
        self._options = options
        self._rules = rules_of(machine)
        self._gas_limit, self._left = gas_limit, left
        blobs = self._rules.blobs
        self._blob_room = 0 if blobs is None else blobs.maximum * GAS_PER_BLOB

    def run(self, calls: Sequence[SimulatedCall], work: Sequence[ImplicitResult]) -> SimulatedBlock:
        """Execute the calls and end the epoch; `work` are the implicit messages of the null rounds before it."""
        executions: list[Execution] = []
        logs: list[tuple[tuple[int, EmittedLog], ...]] = []
        tips = 0
        for call in calls:
            candidate = self._candidate(call)
            trees = CallTrees() if self._options.transfers else None
            self._machine.tracer = None if trees is None else with_pace(self._machine, trees)
            try:
                execution, tip = execute_one(
                    self._rules, self._machine, candidate, simulated=not self._options.validation
                )
            except TransactionRefused as refused:
                raise _as_refusal(refused) from None
            finally:
                self._machine.tracer = None
            self._gas_limit = Gas(self._gas_limit - execution.receipt.gas_used)
            self._left = Gas(max(0, self._left - execution.receipt.gas_used))
            self._blob_room -= execution.blob_gas
            tips += tip
            executions.append(execution)
            own = execution.indexed_logs() if trees is None else enumerate(_with_transfers(self._machine, trees.roots))
            logs.append(tuple(own))
        work = [*work, *self._rules.blocks.end_block(self._machine, self._chain.producer, tips)]
        blocks, implicit = BufferedStore(MemoryStore()), implicit_executions(self._machine, work)
        tipset = self._chain.assemble(
            self._machine, blocks, self._parent, self._height, self._time, executions, implicit
        )
        return SimulatedBlock(self._parent, tipset, tuple(executions), tuple(logs))

    def _candidate(self, call: SimulatedCall) -> Candidate:
        """Return the message of a call. Raises SimulationRefused."""
        machine, sender = self._machine, to_filecoin(call.sender)
        gas = min(self._gas_limit, self._rules.messages.gas_limit(machine)) if call.gas is None else call.gas
        if gas > self._gas_limit:
            raise SimulationRefused(-38015, f"block gas limit reached: {gas} > {self._gas_limit}")
        if not self._left:
            raise SimulationRefused(
                -38026, f"the calls have used up the {self._rules.limits.request_gas:,} gas of a request"
            )
        original = call.transaction
        if original.blob_gas > self._blob_room:
            raise SimulationRefused(-38015, f"block blob gas limit reached: {original.blob_gas} > {self._blob_room}")
        gas = min(gas, self._left)
        sender_of(machine, sender)
        expected = nonce_of(machine, sender)
        nonce = call.nonce if self._options.validation and call.nonce is not None else expected
        fees = (original.max_fee, original.max_priority_fee) if self._options.validation else (0, 0)
        if original.type not in self._rules.features.transaction_types:  # of a fork before London
            original = replace(original, type=ACCESS_LIST if original.access_list else LEGACY)
            fees = fees[0], fees[0]
        transaction = replace(
            original, chain_id=machine.context.chain_id, nonce=nonce, gas_limit=gas, max_fee=fees[0],
            max_priority_fee=fees[1],
        )  # fmt: skip
        candidate = from_unsigned(machine, transaction, call.sender)
        signed = candidate.transaction
        if signed is not None:  # hash and type as in geth, with zeros for the signature
            candidate = replace(candidate, hash=signed.hash(), kind=transaction.type)
        if self._options.validation:
            self._validate(candidate, expected)
        self._check_funds(candidate)
        return candidate

    def _validate(self, candidate: Candidate, expected: int) -> None:
        message = candidate.bare
        if message.nonce < expected:
            raise SimulationRefused(-38010, f"nonce too low: next nonce {expected}, tx nonce {message.nonce}")
        if message.nonce > expected:
            raise SimulationRefused(-38011, f"nonce too high: next nonce {expected}, tx nonce {message.nonce}")
        try:
            self._rules.messages.check(self._machine, candidate, self._parent.next_base_fee)
        except TransactionRefused as refused:
            raise _as_refusal(refused) from None

    def _check_funds(self, candidate: Candidate) -> None:
        sender = self._rules.messages.sender(self._machine, candidate.bare.from_)
        needed = candidate.required_funds if sender is None or sender.sends else candidate.bare.value
        try:
            require_funds(self._rules, 0 if sender is None else sender.balance, candidate.sender, needed)
        except TransactionRefused as refused:
            raise _as_refusal(refused) from None


def _as_refusal(refused: TransactionRefused) -> SimulationRefused:
    return SimulationRefused(_REFUSALS.get(refused.reason, _REJECTED), str(refused))


def _with_transfers(machine: Hypervisor, calls: Sequence[CallNode]) -> list[EmittedLog]:
    """Return the logs of a message in execution order, with one for each transfer, and none of reverted calls."""
    logs: list[EmittedLog] = []
    address_of = partial(address_of_actor, machine.state_tree)
    todo: list[CallItem] = [*reversed(calls)]
    while todo:
        match todo.pop():
            case CallNode() as call if call.succeeded:
                if call.start.value:
                    logs.append(_transfer(call.start, machine.state_tree.lookup_id(call.start.to), address_of))
                todo += call.items[::-1]
            case EventEmitted() as event:
                log = entries_to_log(tuple(EventEntry(*entry) for entry in event.entries))
                if log is not None:
                    logs.append(EmittedLog(emitter_address(event.emitter, address_of), log))
            case _:
                pass
    return logs


def _transfer(call: CallStarted, receiver: ActorID | None, address_of: Callable[[ActorID], EthAddress]) -> EmittedLog:
    ends = [address_of(call.from_), TRANSFERS if receiver is None else address_of(receiver)]
    topics = (_TRANSFER, *(bytes(12) + address for address in ends))
    return EmittedLog(TRANSFERS, Log(topics, call.value.to_bytes(32, "big")))
