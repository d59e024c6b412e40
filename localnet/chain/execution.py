"""Execution of one block: the null rounds before it, its messages, and the hooks of the rules.

The same class executes new blocks and repeats old ones. The set of rules supplies what differs between networks
(`localnet.rules.parts`). `localnet.replay.tipset_execution` executes tipsets of other chains, which have several blocks
with wins and penalties, and neither parents nor settings of this network.

Source: lotus chain/consensus/compute_state.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Protocol

from bridge.ethereum.blobs import BlobSidecar
from bridge.ethereum.block import emitter_address
from bridge.ethereum.transactions import BLOB
from bridge.filecoin.receipts import EMPTY_BLOOM, EmittedLog, bloom
from hypervisor.context import CirculatingSupply
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.types import ChainEpoch, Gas, TokenAmount
from hypervisor.versions.network_versions import Receipts
from localnet.addresses import display_address
from localnet.chain.admission import preflight
from localnet.chain.supply import supply_of
from localnet.errors import TransactionRefused
from localnet.ledger.blocks import BlockHeader, put_messages, put_receipts, tipset_key
from localnet.ledger.candidates import IMPERSONATED, IMPLICIT, NATIVE, UNTYPED, Candidate
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.records import (
    BlockSettings,
    EmittedEvent,
    Execution,
    Tipset,
    merge_receipts,
)
from localnet.ledger.upgrades import upgrade_machine
from localnet.rules.parts import ImplicitResult, NetworkRules, rules_of
from store.blockstore import Blockstore


class BlockExecution:
    """The execution of one block, from the null rounds before it to its tipset.

    Mining, the pending block and replays call `begin`, `run_all` and `end`; traces `run` one message after the other.
    Simulations apply messages themselves, without a preflight, and `add` the results. The caller decides the order of
    messages: new blocks have `block_order`, a repeated one has that of its record.
    """

    def __init__(
        self,
        machine: Hypervisor,
        record: NetworkRecord,
        parent: Tipset,
        height: ChainEpoch,
        timestamp: int,
        settings: BlockSettings,
        producer: Address,
    ) -> None:
        """Prepare a block after `parent`; the machine is in the parent's state and context."""
        self.machine, self.record, self.parent, self.producer = machine, record, parent, producer
        self.height, self.timestamp, self.settings = height, timestamp, settings
        self.executions: list[Execution] = []
        """Executed messages, in order. After `end`, their addresses are those in the final state."""
        self.implicit: list[Execution] = []
        """Implicit messages that have receipts, after `end`. No block lists them."""
        self.sidecars: list[BlobSidecar] = []
        """Blobs of the executed messages, which their records do not have."""
        self.refused: list[tuple[Candidate, TransactionRefused]] = []
        """Messages that no block may include any more, with the reasons: settings have changed since admission."""
        self.executing: Candidate | None = None
        """The message that `run` executes, or at which it failed."""
        self._work: list[ImplicitResult] = []
        self._tips = 0

    def begin(self) -> None:
        """Execute the null rounds and upgrades before the block, and enter its context. Raises Fatal."""
        machine, record, parent = self.machine, self.record, self.parent
        circulating: CirculatingSupply | None = machine.context.circulating_supply
        machine.advance(base_fee=parent.next_base_fee, chain_id=self.settings.chain_id)
        rules = rules_of(machine)
        rules.settings.apply_settings(machine, self.settings)
        for epoch in range(parent.height, self.height):
            if epoch > parent.height:
                self._enter(epoch, parent.timestamp, circulating)
                self._work += rules.blocks.null_round(machine)
                circulating = None
            upgrade = record.upgrades.at(epoch) if record.upgrades.planned else None
            if upgrade is not None:
                upgrade_machine(machine, upgrade, record.network_at(epoch))
                circulating = None
        self._enter(self.height, self.timestamp, circulating)
        rules.blocks.start_block(machine, parent.hash)

    def _enter(self, epoch: int, timestamp: int, circulating: CirculatingSupply | None) -> None:
        machine, record = self.machine, self.record
        if circulating is None:
            circulating = supply_of(machine.state_tree, record.vested).circulating
        machine.advance(
            epoch=ChainEpoch(epoch),
            timestamp=timestamp,
            circulating_supply=circulating,
            network=record.network_at(epoch),
        )

    def run(self, candidate: Candidate, started: StartedBlock | None = None) -> Execution | None:
        """Execute a message; return None if nonce, funds, fees or rules do not allow it now. Raises Fatal.

        `started` applies it in a block that was started.
        """
        # An executor that refuses such transactions without any effect is asked for the reason only after it has.
        self.executing, machine = candidate, self.machine
        rules = rules_of(machine)
        is_checked = started is None and candidate.kind not in UNTYPED and rules.features.executor_checks_senders
        base_fee = machine.context.base_fee
        if is_checked or preflight(machine, candidate, base_fee).is_executable:
            try:
                result = apply(rules, machine, candidate) if started is None else started.apply(machine, candidate)
                return self.add(candidate, result)
            except TransactionRefused as error:
                if not is_checked or preflight(machine, candidate, base_fee).is_executable:
                    self.refused.append((candidate, error))
        self.executing = None
        return None

    def run_all(self, candidates: Sequence[Candidate], start: BlockStarter | None = None) -> None:
        """Run the messages that the block can include, in order; `start` starts workers for them. Raises Fatal."""
        started = None
        if start is not None and rules_of(self.machine).access_list is None:  # workers do not record accesses
            started = start(self.machine, candidates)
        try:
            for candidate in candidates:
                self.run(candidate, started)
        finally:
            if started is not None:
                started.close()

    def add(self, candidate: Candidate, result: ApplyResult) -> Execution:
        """Add a message that was applied with this result, and return its record. Raises its fatal error."""
        if result.fatal is not None:
            raise result.fatal
        if candidate.sidecar is not None:
            self.sidecars.append(candidate.sidecar)
            candidate = replace(candidate, sidecar=None)
        execution = _execution_of(self.machine, candidate, result)
        self.executions.append(execution)
        self._tips += result.gas.miner_tip
        self.executing = None
        return execution

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Revert the messages that run inside."""
        before = len(self.executions), len(self.sidecars), len(self.refused), self._tips
        try:
            with self.machine.trial():
                yield
        finally:
            executions, sidecars, refused, self._tips = before
            del self.executions[executions:], self.sidecars[sidecars:], self.refused[refused:]
            self.executing = None

    def end(self) -> None:
        """Execute the rules' work after the messages: the block's reward and cron. Raises Fatal."""
        machine = self.machine
        self._work += rules_of(machine).blocks.end_block(machine, self.producer, self._tips)
        if self._work and machine.context.network.receipts is not Receipts.EXPLICIT:
            for each in self._work:
                self.implicit.append(_execution_of(machine, _implicit_candidate(machine, each.message), each.result))
        for place, execution in enumerate(self.executions):
            if execution.candidate.kind in (NATIVE, IMPERSONATED):
                self.executions[place] = _with_final_addresses(machine, execution)

    def assemble(self, blocks: Blockstore) -> Tipset:
        """Build the tipset of the executions and the machine's state.

        `blocks` stores its header, messages, receipts and events.
        """
        parent, executions, implicit = self.parent, self.executions, self.implicit
        signed, hashes = [], []
        for execution in executions:
            signed.append(execution.candidate.message)
            hashes.append(execution.hash)
        messages = put_messages(blocks, signed)
        for execution in implicit:
            blocks.put(execution.candidate.message.cid(), execution.candidate.bare.to_cbor())
        merged = merge_receipts(self.height - parent.height - 1, executions, implicit) if implicit else executions
        rules, base_fee, settings = rules_of(self.machine), parent.next_base_fee, self.settings
        header = BlockHeader(
            self.producer, self.height, (parent.block,), parent.state, parent.receipts, messages, self.timestamp,
            base_fee, settings.encode_for_header(rules.chain_id),
        )  # fmt: skip
        block = header.put(blocks)
        logs = list[EmittedLog]()
        execution_gas = state_gas = blob_gas = 0
        for execution in executions:
            if execution.events:
                logs += execution.logs()
            if execution.block_gas is None:
                execution_gas += execution.receipt.gas_used
            else:
                execution_gas += execution.block_gas.execution
                state_gas += execution.block_gas.state
            if execution.candidate.kind == BLOB:
                blob_gas += execution.candidate.blob_gas
        for execution in merged:
            if execution.event_blocks:
                blocks.put_many(execution.event_blocks)
        gas_used = Gas(max(execution_gas, state_gas))
        next_settings = parent.next_settings.next_defaults()
        if blob_gas or next_settings.excess_blob_gas:
            excess = rules.next_excess_blob_gas(next_settings.excess_blob_gas, blob_gas, base_fee)
            next_settings = replace(next_settings, excess_blob_gas=excess)
        version = self.record.network_at(self.height + 2)
        # The base fee rule of a new version already applies to the tipset of the upgrade epoch (FIP-0115).
        return Tipset(
            height=self.height,
            key=tipset_key([block]),
            block=block,
            parent=parent.height,
            timestamp=self.timestamp,
            base_fee=base_fee,
            next_base_fee=rules.blocks.next_base_fee(version, base_fee, gas_used, map(attrgetter("message"), signed)),
            before=parent.state,
            state=self.machine.root,
            receipts=put_receipts(blocks, [execution.receipt for execution in merged]),
            gas_used=gas_used,
            bloom=bloom(logs) if logs else EMPTY_BLOOM,
            transactions=tuple(hashes),
            settings=settings,
            next_settings=next_settings,
            blob_gas_used=blob_gas,
            access_list=b"" if rules.access_list is None else rules.access_list(self.machine),
            implicit=tuple([execution.hash for execution in implicit]) if implicit else (),
        )


def block_order(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Return a new block's messages in the order of their execution: those with BLS signatures come first.

    A block stores the two groups in two lists (`put_messages`), under Ethereum's rules too. Source: lotus
    chain/consensus/compute_state.go and chain/store/messages.go, BlockMsgsForTipset.
    """
    if len(candidates) < 2:
        return candidates
    return sorted(candidates, key=lambda each: each.message.signature.type is not SignatureType.BLS)


def _implicit_candidate(machine: Hypervisor, message: Message) -> Candidate:
    """Return an implicit message as it is recorded. Its CID is that of a message without a signature, like BLS ones."""
    signed = SignedMessage(message, Signature(SignatureType.BLS, b""))
    sender, receiver = display_address(machine, message.from_), display_address(machine, message.to)
    return Candidate(bytes(signed.cid()[-32:]), IMPLICIT, signed, sender, receiver)


class StartedBlock(Protocol):
    """A block whose candidates are applied in order, after workers may have executed some of them."""

    def apply(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply a message; see the function `apply`."""

    def close(self) -> None:
        """Release the workers."""


BlockStarter = Callable[[Hypervisor, Sequence[Candidate]], StartedBlock]
"""Starts a block of candidates on the state that the first one finds (`localnet.replay.parallel_candidates`)."""


def apply(rules: NetworkRules, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
    """Apply an admissible message; without fees if its sender cannot send messages.

    Raises TransactionRefused.
    """
    if candidate.kind == IMPERSONATED:
        sender = rules.messages.sender(machine, candidate.bare.from_)
        if sender is not None and not sender.sends:
            return rules.messages.apply_unpaid(machine, candidate)
    return rules.messages.apply(machine, candidate)


def apply_pending(machine: Hypervisor, candidates: Iterable[Candidate]) -> None:
    """Apply pending messages before a query; messages that fit no block are skipped. Raises Fatal."""
    rules = rules_of(machine)
    for candidate in candidates:
        with suppress(TransactionRefused):
            result = apply(rules, machine, candidate)
            if result.fatal is not None:
                raise result.fatal


def _with_final_addresses(machine: Hypervisor, execution: Execution) -> Execution:
    """Return the execution of a message that is no transaction, with its addresses in the machine's state.

    The state is that after the tipset: the message may create its receiver. Source: lotus node/impl/eth/utils.go,
    ethTxFromNativeMessage.
    """
    sent = execution.candidate
    receiver = None if sent.to is None else display_address(machine, sent.bare.to)
    return replace(execution, candidate=replace(sent, sender=display_address(machine, sent.bare.from_), to=receiver))


def _execution_of(machine: Hypervisor, candidate: Candidate, result: ApplyResult) -> Execution:
    """Return the record of a candidate that was applied with this result."""
    gas, emitted = result.gas, list[EmittedEvent]()
    if result.events:
        address_of = partial(rules_of(machine).messages.address_of, machine)
        for event in result.events:
            emitted.append(EmittedEvent(event.emitter, emitter_address(event.emitter, address_of), event.entries))
    is_linked = machine.context.network.receipts is Receipts.ALL
    return Execution(
        candidate,
        receipt=result.receipt_with_message(candidate.message.cid()) if is_linked else result.receipt,
        paid=TokenAmount(gas.base_fee_burn + gas.over_estimation_burn + gas.miner_tip),
        events=tuple(emitted),
        error_message=result.reason or result.message,
        block_gas=result.block_gas,
        event_blocks=result.event_blocks,
    )
