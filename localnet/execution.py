"""One epoch's work on a machine: cron for null rounds, messages, the block's reward, cron.

The same functions execute a new tipset and replay an old one. Rules: lotus chain/consensus/compute_state.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from bridge.addresses import EthAddress, to_ethereum
from hypervisor.address import Address
from hypervisor.bigint import encode_bigint
from hypervisor.errors import Fatal
from hypervisor.events import StampedEvent
from hypervisor.executor import ApplyResult
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine import Hypervisor
from hypervisor.message import Message, SignedMessage
from hypervisor.network_versions import network_version
from hypervisor.state_tree import ActorState
from hypervisor.types import (
    CRON_ACTOR,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    ActorID,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
)
from localnet.base_fee import BLOCK_GAS_LIMIT
from localnet.genesis import NetworkRecord
from localnet.records import IMPERSONATED, Emitted, Execution, Tipset
from localnet.supply import supply_of
from localnet.upgrades import upgrade_machine
from store.codec import encode

_AWARD_BLOCK_REWARD: Final = MethodNumber(2)
_EPOCH_TICK: Final = MethodNumber(2)
_REWARD_GAS: Final = Gas(1 << 30)
_CRON_GAS: Final = Gas(BLOCK_GAS_LIMIT * 10_000)
_WIN_COUNT: Final = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message that may go into a block, with the hash and the kind under which its sender knows it."""

    hash: bytes
    kind: int
    message: SignedMessage
    sender: EthAddress
    to: EthAddress | None

    @property
    def bare(self) -> Message:
        """The message without its signature."""
        return self.message.message

    @property
    def most(self) -> int:
        """attoFIL that the sender must have: value, and gas at the fee cap."""
        return self.bare.value + self.bare.gas_fee_cap * self.bare.gas_limit


def candidate_of(execution: Execution) -> Candidate:
    """The candidate that was executed, for executing it again."""
    return Candidate(execution.hash, execution.kind, execution.message, execution.sender, execution.to)


def begin_epoch(machine: Hypervisor, record: NetworkRecord, parent: Tipset, height: int, timestamp: int) -> None:
    """Enter the context of a tipset after `parent`; the null rounds between them get their cron, upgrades are done."""
    machine.advance(base_fee=parent.next_base_fee)
    for epoch in range(parent.height, height):
        if epoch > parent.height:
            _enter(machine, record, epoch, parent.timestamp)
            _cron(machine)
        upgrade = record.upgrades.at(epoch)
        if upgrade is not None:
            upgrade_machine(machine, upgrade)
    _enter(machine, record, height, timestamp)


def _enter(machine: Hypervisor, record: NetworkRecord, epoch: int, timestamp: int) -> None:
    machine.advance(
        epoch=ChainEpoch(epoch),
        timestamp=timestamp,
        circulating_supply=supply_of(machine, record.vested).circulating,
        network=network_version(record.upgrades.version_at(epoch)),
    )


def end_epoch(machine: Hypervisor, producer: Address, tips: int) -> None:
    """The block's reward, with `tips` attoFIL of gas money, and cron."""
    params = encode([producer.to_bytes(), encode_bigint(0), encode_bigint(tips), _WIN_COUNT])
    _implicit(machine, REWARD_ACTOR, _AWARD_BLOCK_REWARD, params, _REWARD_GAS)
    _cron(machine)


def execute(machine: Hypervisor, candidates: Iterable[Candidate]) -> Iterator[tuple[Execution, int]]:
    """Each candidate that nonce, funds and fee cap let execute, with its tip in attoFIL. Raises Fatal."""
    for candidate in candidates:
        if is_admissible(machine, candidate, machine.context.base_fee):
            yield execute_one(machine, candidate)


def execute_one(machine: Hypervisor, candidate: Candidate) -> tuple[Execution, int]:
    """The execution of a candidate, whether a block would take it or not, and its tip in attoFIL. Raises Fatal."""
    result = _apply(machine, candidate)
    if result.fatal is not None:
        raise result.fatal
    return _execution(machine, candidate, result), result.gas.miner_tip


def is_admissible(machine: Hypervisor, candidate: Candidate, base_fee: int) -> bool:
    """Whether the sender's nonce and funds, and the fee cap, let the message be executed now.

    So the producer of a block never owes a penalty. `base_fee` in attoFIL per gas.
    """
    sender, message = machine.actor(candidate.bare.from_), candidate.bare
    if sender is None or sender.nonce != message.nonce:
        return False
    if not may_send(machine, sender):
        return sender.balance >= message.value
    return message.gas_fee_cap >= base_fee and sender.balance >= candidate.most


def may_send(machine: Hypervisor, sender: ActorState) -> bool:
    """Whether an actor is of a kind that sends messages: an account, or a placeholder that will become one."""
    name = machine.manifest.name_of(sender.code)
    return name in ("account", "ethaccount") or (name == "placeholder" and sender.nonce == 0)


def inclusion_gas(machine: Hypervisor, length: int) -> int:
    """The gas that carrying a message of so many bytes on chain takes, which its limit must have room for."""
    return -(-machine.context.network.prices.message_inclusion(length) // MILLIGAS_PER_GAS)


def next_nonce(machine: Hypervisor, address: Address) -> int:
    """The nonce of the next message from an address."""
    actor = machine.actor(address)
    return 0 if actor is None else actor.nonce


def _apply(machine: Hypervisor, candidate: Candidate) -> ApplyResult:
    """Apply an admissible message. In the name of an actor that sends none, it is without fees."""
    message = candidate.bare
    sender = machine.actor(message.from_)
    if candidate.kind != IMPERSONATED or sender is None or may_send(machine, sender):
        return machine.apply(candidate.message)
    result = machine.apply_implicit(message)
    tree = machine.state_tree
    actor = tree.lookup_id(message.from_)
    state = None if actor is None else tree.get_actor(actor)
    if actor is not None and state is not None:  # so that no two of its messages are the same
        tree.set_actor(actor, replace(state, nonce=message.nonce + 1))
    return result


def _execution(machine: Hypervisor, candidate: Candidate, result: ApplyResult) -> Execution:
    gas = result.gas
    return Execution(
        hash=candidate.hash,
        kind=candidate.kind,
        message=candidate.message,
        sender=candidate.sender,
        to=candidate.to,
        receipt=result.receipt,
        paid=TokenAmount(gas.base_fee_burn + gas.over_estimation_burn + gas.miner_tip),
        events=tuple(_emitted(machine, event) for event in result.events),
        words=result.message,
    )


def _emitted(machine: Hypervisor, event: StampedEvent) -> Emitted:
    actor = machine.state_tree.get_actor(event.emitter)
    address = to_ethereum(event.emitter, None if actor is None else actor.delegated_address)
    return Emitted(event.emitter, address, event.entries)


def _cron(machine: Hypervisor) -> None:
    _implicit(machine, CRON_ACTOR, _EPOCH_TICK, b"", _CRON_GAS)


def _implicit(machine: Hypervisor, to: ActorID, method: MethodNumber, params: bytes, gas: Gas) -> None:
    system = Address.id(SYSTEM_ACTOR)
    message = Message(Address.id(to), system, nonce=machine.context.epoch, method=method, params=params, gas_limit=gas)
    result = machine.apply_implicit(message)
    if result.exit_code != ExitCode.OK:  # on the network the tipset would be invalid
        raise result.fatal or Fatal(f"f0{to} exited with {result.exit_code} in the epoch's work: {result.message}")
