"""Forks under Ethereum's rules: accounts and slots of a node, and a message journal shared by all forks.

Journal entries about accounts that are not persistent stay on their fork.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.evm_state import EvmState
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.fork.fork_states import (
    active_fork,
    address_of,
    persistent_accounts,
    replay,
    replay_all,
)
from fvm_hypervisor.soltest.forks.origin import ForkOrigin
from fvm_hypervisor.soltest.forks.records import NetworkFork, Pending, SavedForkState
from fvm_hypervisor.soltest.forks.tipsets import PendingTipset, block_context
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState, TreeImage
from hypervisor.types import EAM_NAMESPACE, INIT_ACTOR, ActorID
from localnet.fork.remote_history import transactions_until
from runtimes.evm.ethereum import EthereumCalls, delegated_address, split_warmth
from store.cid import EMPTY_ARRAY_CID, cid_of

_OF_ACCOUNT: Final = ("nonce", "code", "created", "destroyed", "transient", "slots", "earlier")
"""Kinds of journal entries whose second element is an actor."""


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


def _calls_of(context: Context) -> EthereumCalls:
    assert isinstance(context.calls, EthereumCalls), "the rules are Ethereum's"
    return context.calls


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
    actors, block = tree.image().actors, context.state.block
    calls = _calls_of(context) if context.run is None else None
    entries, journal = ({}, None) if calls is None else (_entries(calls), calls.journal)
    if active is not None:
        warmth = b"" if context.run is None else context.run.warmth()
        records.left[active] = SavedForkState(
            actors, entries, journal, context.machine.context, block.prevrandao, warmth
        )  # fmt: skip
        return
    if context.run is not None:
        found = (tree.lookup_id(delegated_address(address)) for address in context.run.created)
        created = {actor for actor in found if actor is not None}
    else:
        created = {key[1] for key in entries if _is_kind(key, "created")}
    retained = {actor: state for actor, state in actors.items() if actor in created}
    records.first = SavedForkState(retained, _of_actors(entries, created), journal)


def _entries(calls: EthereumCalls) -> dict[Any, Any]:
    return {key: value for key, value in calls.journal.items() if value is not None}


def _is_kind(key: Any, kind: str) -> bool:
    return isinstance(key, tuple) and bool(key) and key[0] == kind


def _enter(context: Context, number: int, fork: NetworkFork, left: SavedForkState | None) -> None:
    origin, tree = _origin_of(context), context.machine.state_tree
    carried = list(_persistent_accounts(context))
    begun = left or context.state.forks.first or SavedForkState({})
    actors, dropped = dict(begun.actors), {row.actor for row in carried}
    actors[INIT_ACTOR] = tree.get_actor(INIT_ACTOR)
    for address, actor, state in carried:
        other = tree.lookup_id(Address.delegated(EAM_NAMESPACE, address))
        others = {*origin.actor_ids_of(address), *(() if other is None else (other,))} - {actor}
        dropped |= others
        for known in others:
            actors.pop(known, None)
        actors[actor] = _move(context, state, fork.base)
    marked, mark = origin.mark(number, fork.base)
    actors[marked] = mark
    changed, change = origin.change(origin.last_change)
    actors[changed] = change
    if context.run is not None:
        tree.restore_image(TreeImage(tree.image().root, actors))
        kept, known = {row.address for row in carried}, split_warmth(begun.warmth)
        known |= {address: part for address, part in split_warmth(context.run.warmth()).items() if address in kept}
        context.run.set_warmth(b"".join(known.values()))
    else:
        _enter_with_journal(_calls_of(context), carried, begun, dropped, actors)
    _set_block(context, fork, left)


def _enter_with_journal(
    calls: EthereumCalls, carried: Collection[_PersistentAccount], begun: SavedForkState, dropped: Collection[ActorID],
    actors: Mapping[ActorID, ActorState | None],
) -> None:  # fmt: skip
    """Replace the state, and the entries of the message's journal."""
    tree = calls.tree
    retained = _persistent_entries(calls, {row.actor for row in carried}, {row.address for row in carried})
    own = {key: value for key, value in begun.entries.items() if not _is_of(key, dropped) and key not in retained}
    tree.restore_image(TreeImage(tree.image().root, actors))
    if begun.message not in (None, calls.journal):
        calls.journal.restore_image(own)
        calls.accounts.write_back()
        own = {}
    calls.journal.restore_image({**own, **retained})


def _persistent_accounts(context: Context) -> Iterator[_PersistentAccount]:
    tree = context.machine.state_tree
    for address in sorted(persistent_accounts(context)):
        actor = tree.lookup_id(delegated_address(address)) if context.run else _calls_of(context).accounts.find(address)
        state = None if actor is None else tree.get_actor(actor)
        if actor is not None and state is not None and address_of(state) == address:
            yield _PersistentAccount(address, actor, state)


def _move(context: Context, state: ActorState, fork: int) -> ActorState:
    """Return a persistent account's state for another fork, which supplies the slots that were not written."""
    machine, origin = context.machine, _origin_of(context)
    if state.code != machine.manifest.code("evm") or state.head == EMPTY_ARRAY_CID:
        return state
    contract = EvmState.decode(machine.store.get(state.head))
    storage = origin.at_base(contract.storage, fork)
    if storage == contract.storage:
        return state
    data = replace(contract, storage=storage).encode()
    machine.store.put(cid_of(data), data)
    return state.with_head(cid_of(data))


def _is_of(key: Any, actors: Collection[ActorID]) -> bool:
    """Return True if a journal entry is about one of these actors."""
    match key:
        case (int() as actor, bytes()):
            return actor in actors
        case (str() as kind, int() as actor, *_) if kind in _OF_ACCOUNT:
            return actor in actors
    return False


def _of_actors(entries: Mapping[Any, Any], actors: Collection[ActorID]) -> dict[Any, Any]:
    return {key: value for key, value in entries.items() if _is_of(key, actors)}


def _persistent_entries(
    calls: EthereumCalls, actors: Collection[ActorID], addresses: Collection[EthAddress]
) -> dict[Any, Any]:
    """Return the journal entries valid on every fork: those of persistent accounts, and of no account."""
    warm = {*addresses, *calls.environment.fork.precompiles, *calls.filecoin_precompiles}
    entries = _entries(calls)
    retained = _of_actors(entries, actors)
    for key, value in entries.items():
        match key:
            case ("warm", bytes() as address, *_):
                if address in warm:
                    retained[key] = value
            case ("address", *_) | "refund":
                retained[key] = value
    return retained


def _set_block(context: Context, fork: NetworkFork, left: SavedForkState | None) -> None:
    machine = context.machine
    if left is None or left.context is None:
        machine.context = block_context(machine.context, fork.block, fork.chain_id)
        context.set_block(prevrandao=fork.block.randomness, hashes={})
    else:
        machine.context = left.context
        context.set_block(prevrandao=left.randomness, hashes={})
