"""Simulation of consecutive blocks for `eth_simulateV1`, without changing the chain.

Each block is valid for this network: null rounds before it run cron, and its own cron and reward follow its calls. A
call may have any sender. Without validation its nonce is not checked, and it pays only for gas that it has a price for.

Sources: execution-apis, the notes on eth_simulateV1; go-ethereum internal/ethapi/simulate.go and logtracer.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.transactions import (
    ACCESS_LIST,
    BLOB,
    GAS_PER_BLOB,
    LEGACY,
    SET_CODE,
    SignedTransaction,
    Transaction,
)
from bridge.filecoin.receipts import EmittedLog, Log, created_contract, return_bytes
from bridge.traces.frames import FrameOptions, ethereum_frames
from bridge.traces.tracers import in_order
from hypervisor.context import Externs
from hypervisor.errors import HypervisorError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Protocol
from hypervisor.tracing import CallTrees
from hypervisor.types import ChainEpoch, Gas, TokenAmount
from localnet.calls.overrides import AccountOverride, override_accounts
from localnet.calls.pace import traced
from localnet.chain.admission import from_unsigned, require_funds
from localnet.chain.execution import BlockExecution
from localnet.chain.supply import supply_of
from localnet.chain.view import ChainReader
from localnet.errors import TransactionRefused
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Execution, Tipset
from localnet.rules.actor_directory import ActorDirectory
from localnet.rules.facts import SAME_BLOCK, BlockOverride
from localnet.rules.filecoin import sender_of
from localnet.state.controls import MAX_NONCE, code_of, nonce_of
from store.blocks.memory import BufferedStore, MemoryStore
from store.cid import Cid
from store.keccak import keccak

MAX_BLOCKS: Final = 256
"""Maximum height of a simulation above its base block."""

TRANSFERS: Final = EthAddress(b"\xee" * 20)
"""Emitter address of the logs of transfers."""

_TRANSFER: Final = bytes(keccak(b"Transfer(address,address,uint256)"))
_NO_FEE: Final = TokenAmount(0)
_BORROWING: Final = ("DELEGATECALL", "CALLCODE")
"""Opcodes whose calls transfer nothing."""

_REFUSALS: Final = {"tip": -32602, "fee": -38012, "gas": -38013, "funds": -38014, "size": -38025}
"""The specification's numbers by the reason of a transaction that is refused."""
_REJECTED: Final = -32603
"""geth's code of other refusals, which is that of internal errors."""
_NO_RANDOMNESS: Final = bytes(32)


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
class SimulatedResult:
    """The execution of a call, its output (the code of a creation), gas before refunds, and logs with their indices."""

    execution: Execution
    output: bytes
    max_gas_used: Gas
    logs: tuple[tuple[int, EmittedLog], ...]


@dataclass(frozen=True, slots=True)
class SimulatedBlock:
    """A simulated block: its parent, the block, the results of its calls in order, and its overrides."""

    parent: Tipset
    tipset: Tipset
    results: tuple[SimulatedResult, ...]
    override: BlockOverride


class _SimulatedExterns:
    """Externs of a simulation: a chain's up to its base, whose own and simulated blocks are known by height."""

    def __init__(self, chain: Externs, base: Tipset) -> None:
        self._chain, self.blocks = chain, [base]

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._chain.chain_randomness(epoch)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._chain.beacon_randomness(epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        known = self._newest(epoch)
        return self._chain.tipset_cid(epoch) if known is None else known.key

    def state_root(self, epoch: ChainEpoch) -> Cid:
        known = self._newest(epoch)
        return self._chain.state_root(epoch) if known is None else known.state

    def _newest(self, epoch: ChainEpoch) -> Tipset | None:
        return next((block for block in reversed(self.blocks) if block.height <= epoch), None)


def simulate_blocks(
    chain: ChainReader,
    base: Tipset,
    blocks: Sequence[BlockCalls],
    *,
    machine: Hypervisor | None = None,
    validation: bool = False,
    transfers: bool = False,
) -> list[SimulatedBlock]:
    """Execute blocks on top of a tipset without storing them.

    `machine` is one of its own in the state of a base that is not stored. With `validation` calls need nonce, fees and
    funds as transactions do; with `transfers` every transfer of value is a log as well. Raises SimulationRefused, and
    the errors of `override_accounts`.
    """
    machine = chain.machine_before(base, base.state) if machine is None else machine
    simulation = _Simulation(chain, machine, base, validation=validation, transfers=transfers)
    return [simulation.run(block) for block in simulation.complete(blocks)]


class _Simulation:
    """Blocks that are executed one after another on one machine."""

    def __init__(
        self, chain: ChainReader, machine: Hypervisor, base: Tipset, *, validation: bool, transfers: bool
    ) -> None:
        self._chain, self._machine, self._rules = chain, machine, chain.rules
        self._validation, self._transfers = validation, transfers
        self._base, self._parent = base, base
        self._block: BlockExecution
        self._externs = _SimulatedExterns(machine.externs, base)
        machine.externs = self._externs
        self._settings = replace(base.next_settings, coinbase=base.settings.coinbase, gas_limit=base.settings.gas_limit)
        self._request_gas = chain.rules.limits.request_gas
        """Gas left of the request's limit, which is independent of the blocks' limits."""
        self._block_gas = Gas(0)
        """Gas left of the current block's limit."""
        self._blob_gas = 0
        """Blob gas left of the current block's limit."""

    # --- blocks -----------------------------------------------------------------------------------------------

    def complete(self, blocks: Sequence[BlockCalls]) -> Sequence[BlockCalls]:
        """Return the blocks, with an empty one at each missing height of rules without null rounds.

        As in geth, heights and times are checked before a block is executed. Raises SimulationRefused.
        """
        if self._rules.features.has_null_rounds:
            return blocks
        filled, height, time = list[BlockCalls](), self._base.height, self._base.timestamp
        for block in blocks:
            number = height + 1 if block.block.number is None else block.block.number
            self._require_near(number)
            missing = max(0, number - height - 1)
            filled += [*[BlockCalls()] * missing, block]
            height, time = ChainEpoch(height + missing), time + missing * self._rules.simulations.block_time
            height, time = self._height_and_time(height, time, block.block)
        return filled

    def _require_near(self, height: int) -> None:
        """Raise SimulationRefused for a height too far above the base."""
        if height > self._base.height + MAX_BLOCKS:
            limit = f"at most {MAX_BLOCKS} above {self._base.height}"
            raise SimulationRefused(-38026, f"too many blocks: {limit}, not {height}")

    def run(self, block: BlockCalls) -> SimulatedBlock:
        """Execute the next block. Raises SimulationRefused."""
        chain, machine, rules, override = self._chain, self._machine, self._rules, block.block
        height, time = self._height_and_time(self._parent.height, self._parent.timestamp, override)
        parent = self._parent_of(override)
        # The context still has the supply from before the last block, which `begin` would take for the parent's.
        machine.advance(circulating_supply=supply_of(machine.state_tree, chain.record.vested).circulating)
        self._block = chain.next_block(machine, parent, height, time)
        self._block.begin()
        rules.settings.override_block(machine, override, block.accounts or ())
        override_accounts(machine, block.accounts or {}, rules)
        gas_limit = self._block.settings.gas_limit
        self._block_gas = rules.limits.block_gas if gas_limit is None else gas_limit
        self._blob_gas = 0 if rules.blobs is None else rules.blobs.maximum * GAS_PER_BLOB
        results = tuple([self._execute(call, parent.next_base_fee) for call in block.calls])
        rules.blocks.withdraw(machine, override.withdrawals or ())
        self._block.end()
        self._parent = self._block.assemble(BufferedStore(MemoryStore()))
        self._externs.blocks.append(self._parent)
        return SimulatedBlock(parent, self._parent, results, override)

    def _height_and_time(self, parent: ChainEpoch, before: int, block: BlockOverride) -> tuple[ChainEpoch, int]:
        """Return height and time of a block, by default those after its parent's. Raises SimulationRefused."""
        height = ChainEpoch(parent + 1 if block.number is None else block.number)
        if height <= parent:
            raise SimulationRefused(-38020, f"block numbers must be in order: {height} <= {parent}")
        self._require_near(height)
        time = before + self._rules.simulations.block_time if block.time is None else block.time
        if time <= before:
            raise SimulationRefused(-38021, f"block timestamps must be in order: {time} <= {before}")
        return height, time

    def _parent_of(self, block: BlockOverride) -> Tipset:
        """Return the parent with the block's base fee and settings.

        As in geth, later blocks have the same fee recipient and gas limit unless they override them.
        """
        parent, before = self._parent, self._settings
        if self._rules.features.has_settings:
            self._settings = replace(
                before,
                coinbase=before.coinbase if block.coinbase is None else block.coinbase,
                gas_limit=before.gas_limit if block.gas_limit is None else block.gas_limit,
                randomness=_NO_RANDOMNESS if block.randomness is None else block.randomness,
                excess_blob_gas=parent.next_settings.excess_blob_gas,
            )
        else:
            self._settings = parent.next_settings
        base_fee = parent.next_base_fee if self._validation else _NO_FEE
        if block.base_fee is not None:
            base_fee = block.base_fee
        return replace(parent, next_base_fee=base_fee, next_settings=self._settings)

    # --- calls ------------------------------------------------------------------------------------------------

    def _execute(self, call: SimulatedCall, base_fee: TokenAmount) -> SimulatedResult:
        """Execute a call in the current block. Raises SimulationRefused, and the machine's fatal errors."""
        machine, rules = self._machine, self._rules
        candidate, is_paid = self._candidate(call, base_fee)
        trees = CallTrees() if self._transfers else None
        try:
            with traced(machine, trees):
                result = rules.messages.apply_simulated(machine, candidate, is_paid=is_paid)
        except TransactionRefused as refused:
            raise _as_refusal(refused) from None
        execution = self._block.add(candidate, result)
        self._block_gas = Gas(self._block_gas - result.gas_used)
        self._request_gas = Gas(max(0, self._request_gas - result.gas_used))
        self._blob_gas -= candidate.blob_gas
        logs = execution.indexed_logs() if trees is None else enumerate(_with_transfers(machine, trees))
        max_gas = result.gas_used if result.max_gas_used is None else result.max_gas_used
        return SimulatedResult(execution, self._output(execution), max_gas, tuple(logs))

    def _output(self, execution: Execution) -> bytes:
        """Return what a call returned: the data, or the code of a creation."""
        message, receipt = execution.candidate.bare, execution.receipt
        created = created_contract(message, receipt)
        return return_bytes(message, receipt) if created is None else code_of(self._machine, to_filecoin(created))

    def _candidate(self, call: SimulatedCall, base_fee: TokenAmount) -> tuple[Candidate, bool]:
        """Return the message of a call, and True if it pays for gas. Raises SimulationRefused."""
        machine, sender, original = self._machine, to_filecoin(call.sender), call.transaction
        chain_id = machine.context.chain_id
        if original.chain_id not in (None, chain_id):
            words = f"chainId does not match node's (have={original.chain_id}, want={chain_id})"
            raise SimulationRefused(-32000, words)
        if original.to is None and original.type in (BLOB, SET_CODE):
            raise SimulationRefused(-32000, f"a transaction of type {original.type} cannot create a contract: add to")
        gas = self._block_gas if call.gas is None else call.gas
        if gas > self._block_gas:
            raise SimulationRefused(-38015, f"block gas limit reached: remaining: {self._block_gas}, required: {gas}")
        if not self._request_gas:
            used = f"the calls have used up the {self._rules.limits.request_gas:,} gas of a request"
            raise SimulationRefused(-38013, f"intrinsic gas too low: have 0, {used}")
        if original.blob_gas > self._blob_gas:
            raise SimulationRefused(-38015, f"block blob gas limit reached: {original.blob_gas} > {self._blob_gas}")
        sender_of(machine, sender)
        expected = nonce_of(machine, sender)
        nonce = expected if call.nonce is None else call.nonce
        if original.type not in self._rules.features.transaction_types:  # of a fork before London
            kind = ACCESS_LIST if original.access_list else LEGACY
            original = replace(original, type=kind, max_priority_fee=original.max_fee)
        transaction = replace(original, chain_id=chain_id, nonce=nonce, gas_limit=min(gas, self._request_gas))
        candidate = from_unsigned(machine, transaction, call.sender)
        if sender.protocol is not Protocol.ID:  # hash and type as in geth, with zeros for the signature
            candidate = replace(candidate, hash=SignedTransaction(transaction, 0, 0, 0).hash(), kind=transaction.type)
        is_paid = self._validation or bool(transaction.max_fee or transaction.max_priority_fee)
        self._check(candidate, expected, base_fee if is_paid else None)
        return candidate, is_paid

    def _check(self, candidate: Candidate, expected: int, base_fee: TokenAmount | None) -> None:
        """Check nonce and funds, and the fees of a call with a base fee. Raises SimulationRefused."""
        message, nonce = candidate.bare, candidate.bare.nonce
        if self._validation and nonce != expected:
            code, which = (-38010, "low") if nonce < expected else (-38011, "high")
            raise SimulationRefused(code, f"nonce too {which}: next nonce {expected}, tx nonce {nonce}")
        if expected >= MAX_NONCE:
            raise SimulationRefused(_REJECTED, f"nonce has max value: nonce: {expected}")
        try:
            if base_fee is not None:
                self._rules.messages.check(self._machine, candidate, base_fee, is_capped=False)
            sender = self._rules.messages.sender(self._machine, message.from_)
            pays = sender is None or sender.sends or not self._rules.features.has_filecoin_blocks
            needed = candidate.required_funds if pays else message.value
            require_funds(self._rules, 0 if sender is None else sender.balance, candidate.sender, needed)
        except TransactionRefused as refused:
            raise _as_refusal(refused) from None


def _as_refusal(refused: TransactionRefused) -> SimulationRefused:
    return SimulationRefused(_REFUSALS.get(refused.reason, _REJECTED), str(refused))


def _with_transfers(machine: Hypervisor, trees: CallTrees) -> list[EmittedLog]:
    """Return the logs of a message in execution order, with one for each transfer, and none of failed calls."""
    logs: list[EmittedLog] = []
    failed: set[tuple[int, ...]] = set()
    for frame, entry in in_order(ethereum_frames(trees, ActorDirectory(machine), FrameOptions(precompiles=True))):
        if frame.exit_code or frame.position[:-1] in failed:
            failed.add(frame.position)
        elif entry is not None:
            logs.append(EmittedLog(entry.address, entry.log))
        elif frame.value and frame.to is not None and frame.kind not in _BORROWING:
            topics = (_TRANSFER, *(bytes(12) + address for address in (frame.sender, frame.to)))
            logs.append(EmittedLog(TRANSFERS, Log(topics, frame.value.to_bytes(32, "big"))))
    return logs
