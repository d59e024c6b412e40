"""Forks under Filecoin's rules: states of tipsets, each with its actors, addresses and network version.

A persistent account that runs or sends retains its ID; any other gets the ID of its address on the other fork. A
contract is carried with all of its slots.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress, checksummed
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput, MessageError
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState, TreeImage
from hypervisor.types import EAM_NAMESPACE, INIT_ACTOR, ActorID, ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import network_version
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.fork.fork_states import active_fork, address_of, persistent_accounts
from hypervisor_tools.soltest.forks.origin import CHANGE, MARK, TipsetOrigin, fork_at
from hypervisor_tools.soltest.forks.records import NetworkFork, Pending, SavedForkState
from hypervisor_tools.soltest.forks.tipsets import PendingTipset
from localnet.chain.supply import supply_of
from localnet.fork.forking import ForkPoint
from localnet.ledger.headers import IncludedMessage
from localnet.replay.sources import PastTipset
from localnet.replay.tipset_execution import TipsetWork, apply_included, tipset_steps
from localnet.state.controls import set_nonce
from store.cid import Cid, show

_REFUSED: Final = (ExitCode.SYS_SENDER_INVALID, ExitCode.SYS_SENDER_STATE_INVALID)


class TipsetForks:
    """Operations on forks under Filecoin's rules (`forks.ForkRules`)."""

    @staticmethod
    def at_block(context: Context, url: str, number: int | None) -> NetworkFork:
        """Return a fork of a node's network after the tipset of an epoch. Raises NodeError, InvalidInput."""
        return _fork(context, context.cheats.remotes.tipsets.point(url, number))

    @classmethod
    def before(cls, context: Context, url: str, transaction: bytes) -> tuple[NetworkFork, Pending | None]:
        """Return a fork of the tipset before a transaction's, and that tipset. Raises NodeError, InvalidInput."""
        nodes = context.cheats.remotes.tipsets
        pending = nodes.pending(url, transaction)
        past = nodes.past(url, pending.tipset)
        point = nodes.point(url, past.parent.height)
        return _fork(context, replace(point, state=past.headers.state)), pending

    @staticmethod
    def replay(context: Context, pending: Pending) -> None:
        """Execute a tipset up to the pending message, in its block. Raises NodeError, InvalidInput."""
        assert isinstance(pending, PendingTipset), "made by `before`"
        nodes, machine = context.cheats.remotes.tipsets, context.machine
        past = nodes.past(pending.url, pending.tipset)

        def supply(_: Hypervisor, epoch: ChainEpoch) -> TokenAmount:
            return supply_of(machine.state_tree, nodes.vested_amount(pending.url, past, epoch)).circulating

        with context.cheats.outside_test():
            try:
                for _ in tipset_steps(machine, past.work, supply, before=pending.message):
                    pass
            except MessageError as error:
                raise InvalidInput(str(error)) from None
        context.cheats.renew(context.calls)

    @staticmethod
    def transact(context: Context, url: str, transaction: bytes) -> None:
        """Execute a network message on the active fork with any nonce, in its own block, which remains set.

        Raises NodeError, InvalidInput.
        """
        nodes, machine, calls = context.cheats.remotes.tipsets, context.machine, context.calls
        pending = nodes.pending(url, transaction)
        past = nodes.past(url, pending.tipset)
        wanted = executed_message(past.work, pending.message)
        before, mark = machine.context, calls.begin()
        try:
            _set_position(machine, past)
            set_nonce(machine, wanted.message.from_, wanted.message.nonce)
            with context.cheats.outside_test():
                result = apply_included(machine, wanted)
            if result.exit_code in _REFUSED and not result.gas_used:
                raise CheatcodeFailure(f"transaction 0x{transaction.hex()} cannot be executed here: {result.message}")
        except BaseException:
            machine.context = before
            calls.rollback(mark)
            raise
        calls.tree.commit()
        context.cheats.renew(calls)

    @staticmethod
    def leave(context: Context) -> None:
        """Save the state of the active fork; without one, what the message created, with which every fork begins."""
        calls, records, active = context.calls, context.state.forks, active_fork(context)
        actors = calls.tree.image().actors
        if active is not None:
            randomness = context.state.block.prevrandao
            records.left[active] = SavedForkState(actors, context.machine.context, randomness)
            return
        first = records.first_actor
        created = {} if first is None else {actor: state for actor, state in actors.items() if _is_own(actor, first)}
        records.first = SavedForkState(created)

    @staticmethod
    def enter(context: Context, number: int, fork: NetworkFork, left: SavedForkState | None) -> None:
        """Replace the state by the fork's saved state and the current state of persistent accounts."""
        origin, tree, machine = _origin_of(context), context.calls.tree, context.machine
        origin.remotes.tipsets.prefer(fork.url)
        rows, codes, next_id = list(_persistent_accounts(context)), machine.manifest, tree.init_state().next_id
        actors = {INIT_ACTOR: origin.tree_at(fork.base).existing(INIT_ACTOR)} if left is None else dict(left.actors)
        actors |= dict((origin.mark(number, fork.base), origin.change(origin.last_change)))
        tree.restore_image(TreeImage(tree.image().root, actors))
        init = tree.init_state()
        if next_id > init.next_id:
            tree.set_init_state(replace(init, next_id=next_id))
        machine.follow_manifest()
        if left is None:
            rows = [*_accounts_created_before_forks(context, {row.address for row in rows}), *rows]
        for row in rows:
            _put(context, row, codes.name_of(row.state.code))
        _set_block(context, fork, left)


class _PersistentAccount(NamedTuple):
    """A persistent account; `runs` is True if unfinished messages or frames refer to it by ID."""

    address: EthAddress
    actor: ActorID
    state: ActorState
    runs: bool


def _origin_of(context: Context) -> TipsetOrigin:
    origin = context.cheats.require_origin()
    assert isinstance(origin, TipsetOrigin), "the rules are Filecoin's"
    return origin


def _is_own(actor: ActorID, first: int) -> bool:
    """Return True if the running message created an actor; the marks of forks do not count."""
    return first <= actor and actor not in (MARK, CHANGE)


def _fork(context: Context, point: ForkPoint) -> NetworkFork:
    rules = context.machine.context.rules
    if point.rules != rules:
        raise InvalidInput(
            f"the node's network has the rules '{point.rules}', but the tests run under '{rules}': run them with "
            f"--rules {point.rules}"
        )
    return fork_at(context.state.forks, point)


def _persistent_accounts(context: Context) -> Iterator[_PersistentAccount]:
    tree = context.calls.tree
    running = {context.caller, context.origin, context.test}
    for address in sorted(persistent_accounts(context)):
        actor = tree.lookup_id(Address.delegated(EAM_NAMESPACE, address))
        state = None if actor is None else tree.get_actor(actor)
        if actor is not None and state is not None:
            yield _PersistentAccount(address, actor, state, address in running)


def _accounts_created_before_forks(context: Context, others: Collection[EthAddress]) -> Iterator[_PersistentAccount]:
    """Yield the accounts that the message had created when it first selected a fork."""
    first = context.state.forks.first
    for actor, state in () if first is None else first.actors.items():
        address = None if state is None else address_of(state)
        if state is not None and address is not None and address not in others:
            yield _PersistentAccount(address, actor, state, True)


def _put(context: Context, row: _PersistentAccount, kind: str | None) -> None:
    """Put an account on the entered fork. Raises CheatcodeFailure."""
    tree, machine = context.calls.tree, context.machine
    address = Address.delegated(EAM_NAMESPACE, row.address)
    known, there = tree.lookup_id(address), tree.get_actor(row.actor)
    is_taken = there is not None and there.delegated_address != address
    if is_taken and row.runs:
        raise CheatcodeFailure(
            f"{checksummed(row.address)} is actor f0{row.actor}, an ID that another actor has on this fork: the "
            "test contract must call the fork cheatcodes itself, so that it gets an ID unused by networks"
        )
    actor = row.actor
    if not row.runs and known is not None:
        actor = known
    elif is_taken:
        actor = tree.register_address(address)
    if tree.lookup_id(address) != actor:
        tree.map_address(address, actor)
    state = row.state if kind is None else replace(row.state, code=machine.manifest.code(kind))
    tree.set_actor(actor, state)


def executed_message(work: TipsetWork, message: Cid) -> IncludedMessage:
    """Return the message that a tipset executes under a CID. Raises InvalidInput for a repeated message."""
    found = next((one for one in work.messages() if message in (one.cid, one.message.cid())), None)
    if found is None:
        raise InvalidInput(
            f"message {show(message)} is not executed at epoch {work.epoch}: its tipset contains it twice, with "
            "different signatures; use the CID of the other one"
        )
    return found


def _set_position(machine: Hypervisor, past: PastTipset) -> None:
    work = past.work
    machine.advance(epoch=work.epoch, timestamp=work.timestamp, base_fee=work.base_fee)


def _set_block(context: Context, fork: NetworkFork, left: SavedForkState | None) -> None:
    machine = context.machine
    if left is not None and left.context is not None:
        machine.context = left.context
        context.set_block(prevrandao=left.randomness, hashes={})
        return
    point = context.state.forks.bases[fork.base].point
    assert point is not None, "under Filecoin's rules bases are tipsets"
    machine.context = _context_at(machine.context, point)
    context.set_block(prevrandao=None, hashes={})


def _context_at(context: MachineContext, point: ForkPoint) -> MachineContext:
    return replace(
        context,
        network=network_version(point.network, context.network.overlay),
        epoch=point.height,
        timestamp=point.timestamp,
        base_fee=point.base_fee,
        chain_id=point.chain_id,
        circulating_supply=point.vested,
    )
