"""Execution of one epoch: the null rounds before it, the messages of its block, and the hooks of the rules.

The same functions execute a new tipset and replay an old one. The set of rules supplies what differs between networks
(`localnet.rules.parts`).

Source: lotus chain/consensus/compute_state.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from bridge.ethereum.block import EthereumBlock, emitter_address
from bridge.ethereum.transactions import BLOB
from hypervisor.context import CirculatingSupply
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import Receipts
from localnet.addresses import display_address
from localnet.chain.supply import supply_of
from localnet.errors import TransactionRefused
from localnet.ledger.candidates import Candidate
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.records import IMPERSONATED, IMPLICIT, UNTYPED, BlockSettings, EmittedEvent, Execution, Tipset
from localnet.ledger.upgrades import upgrade_machine
from localnet.rules.parts import ImplicitResult, NetworkRules, SenderInfo, rules_of


def begin_epoch(
    machine: Hypervisor,
    record: NetworkRecord,
    parent: Tipset,
    height: int,
    timestamp: int,
    settings: BlockSettings,
    circulating: CirculatingSupply | None = None,
) -> list[ImplicitResult]:
    """Enter the context of a tipset after `parent`, with its block's settings.

    Null rounds and upgrades between them are executed first; returns the implicit messages of the null rounds.
    `circulating` is the circulating supply of the machine's state, if known.
    """
    done: list[ImplicitResult] = []
    machine.advance(base_fee=parent.next_base_fee, chain_id=settings.chain_id)
    rules = rules_of(machine)
    rules.settings.apply_settings(machine, settings)
    for epoch in range(parent.height, height):
        if epoch > parent.height:
            _enter(machine, record, epoch, parent.timestamp, circulating)
            done += rules.blocks.null_round(machine)
            circulating = None
        upgrade = record.upgrades.at(epoch) if record.upgrades.planned else None
        if upgrade is not None:
            upgrade_machine(machine, upgrade, record.network_at(epoch))
            circulating = None
    _enter(machine, record, height, timestamp, circulating)
    rules.blocks.start_block(machine, parent.hash)
    return done


def _enter(
    machine: Hypervisor, record: NetworkRecord, epoch: int, timestamp: int, circulating: CirculatingSupply | None
) -> None:
    if circulating is None:
        circulating = supply_of(machine.state_tree, record.vested).circulating
    machine.advance(
        epoch=ChainEpoch(epoch),
        timestamp=timestamp,
        circulating_supply=circulating,
        network=record.network_at(epoch),
    )


def implicit_executions(machine: Hypervisor, done: Iterable[ImplicitResult]) -> list[Execution]:
    """Return the executions of a tipset's implicit messages, in its context.

    Empty if the network version gives them no receipts.
    """
    if machine.context.network.receipts is Receipts.EXPLICIT:
        return []
    return [execution_of(machine, _implicit_candidate(machine, each.message), each.result) for each in done]


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


def execute(
    machine: Hypervisor,
    candidates: Iterable[Candidate],
    refuse: Callable[[Candidate, TransactionRefused], None] = lambda _, __: None,
    started: StartedBlock | None = None,
) -> Iterator[tuple[Execution, int]]:
    """Execute the admissible candidates (nonce, funds, fees, rules); yield each with its tip in attoFIL. Raises Fatal.

    `refuse` is called with one that no block may hold any more: the settings have changed since it was taken. `started`
    applies them where their block was started.
    """
    rules = rules_of(machine)
    for candidate in candidates:
        executed = execute_admissible(rules, machine, candidate, refuse, started)
        if executed is not None:
            yield executed


def execute_admissible(
    rules: NetworkRules,
    machine: Hypervisor,
    candidate: Candidate,
    refuse: Callable[[Candidate, TransactionRefused], None],
    started: StartedBlock | None = None,
) -> tuple[Execution, int] | None:
    """Execute one candidate like `execute`; return None if it cannot be executed now. Raises Fatal."""
    # An executor that refuses such transactions without any effect is asked for the reason only after it has.
    base_fee = machine.context.base_fee
    is_checked = started is None and candidate.kind not in UNTYPED and rules.features.executor_checks_senders
    if not is_checked and not is_admissible(rules, machine, candidate, base_fee):
        return None
    try:
        return execute_one(rules, machine, candidate, started=started)
    except TransactionRefused as error:
        if not is_checked or is_admissible(rules, machine, candidate, base_fee):
            refuse(candidate, error)
        return None


def execute_one(
    rules: NetworkRules,
    machine: Hypervisor,
    candidate: Candidate,
    *,
    started: StartedBlock | None = None,
) -> tuple[Execution, int]:
    """Execute a candidate, even if a block would not include it; return it with its tip in attoFIL. Raises Fatal."""
    result = apply(rules, machine, candidate) if started is None else started.apply(machine, candidate)
    if result.fatal is not None:
        raise result.fatal
    return execution_of(machine, candidate, result), result.gas.miner_tip


def is_admissible(rules: NetworkRules, machine: Hypervisor, candidate: Candidate, base_fee: int) -> bool:
    """Return True if nonce, funds and fee cap allow the message's execution now.

    So the producer of a block never owes a penalty. `base_fee` in attoFIL per gas.
    """
    sender = rules.messages.sender(machine, candidate.bare.from_)
    return is_executable(sender, candidate, base_fee) and (
        candidate.kind != BLOB or covers_blob_fee(machine, candidate)
    )


def covers_blob_fee(machine: Hypervisor, candidate: Candidate) -> bool:
    """Return False if the message's blob fee cap is below the blob base fee of the machine's block."""
    block = machine.context.block
    if not candidate.blob_gas or not isinstance(block, EthereumBlock):
        return True
    return candidate.blob_fee_cap >= rules_of(machine).blob_base_fee(block.excess_blob_gas)


def is_executable(sender: SenderInfo | None, candidate: Candidate, base_fee: int) -> bool:
    """Return True if the sender can execute the message now (`is_admissible`)."""
    message = candidate.bare
    if sender is None or sender.nonce != message.nonce:
        return False
    if not sender.sends:
        return candidate.kind == IMPERSONATED and sender.balance >= message.value
    return message.gas_fee_cap >= base_fee and sender.balance >= candidate.required_funds


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


def with_final_addresses(machine: Hypervisor, execution: Execution) -> Execution:
    """Return the execution of a message that is no transaction, with its addresses in the machine's state.

    The state is that after the tipset: the message may create its receiver. Source: lotus node/impl/eth/utils.go,
    ethTxFromNativeMessage.
    """
    message = execution.message.message
    receiver = None if execution.to is None else display_address(machine, message.to)
    return replace(execution, sender=display_address(machine, message.from_), to=receiver)


def execution_of(machine: Hypervisor, candidate: Candidate, result: ApplyResult) -> Execution:
    """Return the record of a candidate that was applied with this result."""
    gas, emitted = result.gas, list[EmittedEvent]()
    if result.events:
        address_of = partial(rules_of(machine).messages.address_of, machine)
        for event in result.events:
            emitted.append(EmittedEvent(event.emitter, emitter_address(event.emitter, address_of), event.entries))
    is_linked = machine.context.network.receipts is Receipts.ALL
    return Execution(
        hash=candidate.hash,
        kind=candidate.kind,
        message=candidate.message,
        sender=candidate.sender,
        to=candidate.to,
        receipt=result.receipt_with_message(candidate.message.cid()) if is_linked else result.receipt,
        paid=TokenAmount(gas.base_fee_burn + gas.over_estimation_burn + gas.miner_tip),
        events=tuple(emitted),
        error_message=result.reason or result.message,
        block_gas=result.block_gas,
        event_blocks=result.event_blocks,
    )
