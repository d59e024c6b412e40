"""Forks under Ethereum's rules: accounts and slots of a node.

What is warm stays so on its fork, and transient words stay on it; persistent accounts are carried with what is warm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.evm_state import EvmState
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState, TreeImage
from hypervisor.types import EAM_NAMESPACE, INIT_ACTOR, ActorID
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.fork.fork_states import (
    active_fork,
    address_of,
    persistent_accounts,
    replay,
    replay_all,
)
from hypervisor_tools.soltest.forks.origin import ForkOrigin
from hypervisor_tools.soltest.forks.records import NetworkFork, Pending, SavedForkState
from hypervisor_tools.soltest.forks.tipsets import PendingTipset, block_context
from localnet.fork.remote_history import transactions_until
from runtimes.evm.revm import ObservedCall, delegated_address, split_warmth
from store.cid import EMPTY_ARRAY_CID, cid_of


class AccountForks:
    """Operations on forks under Ethereum's rules (`forks.ForkRules`)."""

    @staticmethod
    def at_block(context: Context, url: str, number: int | None) -> NetworkFork:
        """Return a fork of a node's network after a block. Raises NodeError."""
        chain = context.cheats.remotes.chain(url)
        state = chain.state(number)
        return NetworkFork(url, context.state.forks.base(url, state.block.number), chain.chain_id, state.block)

    @classmethod
    def before(cls, context: Context, url: str, transaction: bytes) -> tuple[NetworkFork, Pending | None]:
        """Return a fork of the block before a transaction's, and the earlier transactions. Raises NodeError."""
        block, earlier, _ = transactions_until(context.cheats.remotes.chain(url), transaction)
        return cls.at_block(context, url, block.number - 1)._replace(block=block), tuple(earlier) or None

    @staticmethod
    def replay(context: Context, pending: Pending) -> None:
        """Execute the pending transactions of a fork."""
        assert not isinstance(pending, PendingTipset), "made by `before`"
        replay_all(context, pending)

    @staticmethod
    def transact(context: Context, url: str, transaction: bytes) -> None:
        """Execute a network transaction on the active fork, in its own block, which remains set. Raises NodeError."""
        block, _, wanted = transactions_until(context.cheats.remotes.chain(url), transaction)
        replay(context, wanted, block)

    @staticmethod
    def leave(context: Context) -> None:
        """Save the state of the active fork. Without one, save what the message created: every fork begins with it."""
        _leave(context)

    @staticmethod
    def enter(context: Context, number: int, fork: NetworkFork, left: SavedForkState | None) -> None:
        """Replace the state by the fork's saved state and the current state of persistent accounts."""
        _enter(context, number, fork, left)


def _run_of(context: Context) -> ObservedCall:
    assert context.run is not None, "the rules are Ethereum's"
    return context.run


def _origin_of(context: Context) -> ForkOrigin:
    origin = context.cheats.require_origin()
    assert isinstance(origin, ForkOrigin), "the rules are Ethereum's"
    return origin


class _PersistentAccount(NamedTuple):
    """A persistent account."""

    address: EthAddress
    actor: ActorID
    state: ActorState


def _leave(context: Context) -> None:
    records, active, tree = context.state.forks, active_fork(context), context.machine.state_tree
    actors, run = tree.image().actors, _run_of(context)
    if active is not None:
        randomness = context.state.block.prevrandao
        records.left[active] = SavedForkState(actors, context.machine.context, randomness, run.warmth())
        return
    created = {tree.lookup_id(delegated_address(address)) for address in run.created}
    own = {actor: state for actor, state in actors.items() if actor in created}
    records.first = SavedForkState(own, warmth=run.warmth())


def _enter(context: Context, number: int, fork: NetworkFork, left: SavedForkState | None) -> None:
    origin, tree, run = _origin_of(context), context.machine.state_tree, _run_of(context)
    carried = list(_persistent_accounts(context))
    begun = left or context.state.forks.first or SavedForkState({})
    actors = dict(begun.actors)
    actors[INIT_ACTOR] = tree.get_actor(INIT_ACTOR)
    for address, actor, state in carried:
        other = tree.lookup_id(Address.delegated(EAM_NAMESPACE, address))
        for known in {*origin.actor_ids_of(address), *(() if other is None else (other,))} - {actor}:
            actors.pop(known, None)
        actors[actor] = _move(context, state, fork.base)
    marked, mark = origin.mark(number, fork.base)
    actors[marked] = mark
    changed, change = origin.change(origin.last_change)
    actors[changed] = change
    tree.restore_image(TreeImage(tree.image().root, actors))
    kept = {row.address for row in carried}
    (words, known), (_, own) = split_warmth(begun.warmth), split_warmth(run.warmth())
    known |= {address: part for address, part in own.items() if address in kept}
    run.set_warmth(b"".join((words, *known.values())))
    _set_block(context, fork, left)


def _persistent_accounts(context: Context) -> Iterator[_PersistentAccount]:
    tree = context.machine.state_tree
    for address in sorted(persistent_accounts(context)):
        actor = tree.lookup_id(delegated_address(address))
        state = None if actor is None else tree.get_actor(actor)
        if actor is not None and state is not None and address_of(state) == address:
            yield _PersistentAccount(address, actor, state)


def _move(context: Context, state: ActorState, fork: int) -> ActorState:
    """Return a persistent account's state for another fork, which supplies the slots that were not written."""
    machine, origin = context.machine, _origin_of(context)
    if not machine.traits(state.code).is_contract or state.head == EMPTY_ARRAY_CID:
        return state
    contract = EvmState.decode(machine.store.get(state.head))
    storage = origin.at_base(contract.storage, fork)
    if storage == contract.storage:
        return state
    data = replace(contract, storage=storage).encode()
    machine.store.put(cid_of(data), data)
    return state.with_head(cid_of(data))


def _set_block(context: Context, fork: NetworkFork, left: SavedForkState | None) -> None:
    machine = context.machine
    if left is None or left.context is None:
        machine.context = block_context(machine.context, fork.block, fork.chain_id)
        context.set_block(prevrandao=fork.block.randomness, hashes={})
    else:
        machine.context = left.context
        context.set_block(prevrandao=left.randomness, hashes={})
