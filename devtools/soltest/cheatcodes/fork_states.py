"""The state of a test on its forks: what is left behind, what is entered, and what is carried from one to the other.

Persistent accounts are carried: the test contract, the sender, the cheatcodes' own, and what `makePersistent` names.
The running message is the same one on all forks; what its journal says of other accounts stays on their fork.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, NamedTuple

from bridge.addresses import EthAddress
from bridge.evm_state import EvmState
from devtools.soltest.cheatcodes.context import Cheats, Context
from devtools.soltest.cheatcodes.failures import CheatcodeFailure
from devtools.soltest.cheatcodes.state import VM_ADDRESS
from devtools.soltest.forks.book import LeftState, NetworkFork
from devtools.soltest.forks.endpoints import endpoint_url
from devtools.soltest.forks.environment import block_context
from hypervisor.address import Address
from hypervisor.call_manager import CallManager
from hypervisor.errors import InvalidInput
from hypervisor.state_tree import ActorState, TreeImage
from hypervisor.types import EAM_NAMESPACE, INIT_ACTOR, ActorID
from localnet.fork.node_client import NodeError
from runtimes.evm.ethereum.accounts import ethereum_address
from runtimes.evm.ethereum.calls import EthereumCalls
from store.cid import EMPTY_ARRAY_CID, cid_of

_OF_ACCOUNT: Final = ("nonce", "code", "created", "destroyed", "transient", "slots")
"""Kinds of journal entries whose second part is an actor."""


@contextmanager
def node_errors() -> Iterator[None]:
    """What a node refuses is the cheatcode's failure."""
    try:
        yield
    except (NodeError, InvalidInput) as error:
        raise CheatcodeFailure(str(error)) from None


def calls_of(context: Context) -> EthereumCalls:
    """The message's calls under Ethereum's rules, where there are forks. Raises CheatcodeFailure."""
    if not isinstance(context.calls, EthereumCalls):
        raise CheatcodeFailure(
            "under Filecoin's rules a run has one fork, block by block: name it with --fork-url and "
            "--fork-block-number, or run with --rules ethereum"
        )
    return context.calls


def endpoint_of(context: Context, name: str) -> str:
    """The URL of a node by its name or itself. Raises CheatcodeFailure."""
    try:
        return endpoint_url(name, context.settings.rpc_endpoints, context.settings.environment)
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None


def fork_of(context: Context, number: int) -> NetworkFork:
    """A fork by its number. Raises CheatcodeFailure."""
    forks = context.state.forks.forks
    if number >= len(forks):
        raise CheatcodeFailure(f"No matching fork found for {number}")
    return forks[number]


def active_fork(context: Context) -> int | None:
    """The number of the active fork, if there is one."""
    origin = context.cheats.origin
    return None if origin is None else origin.active


@contextmanager
def fork_change(context: Context) -> Iterator[None]:
    """A change of forks: whole, or, where it fails, none; and undone with the call that it is made in.

    The state tree is undone by itself, the block and the book are by `undo_reverted`.
    """
    calls, book, block = calls_of(context), context.state.forks, context.state.block
    origin = context.cheats.needed_origin()
    number = book.note_change(context.machine.context, block.prevrandao, block.hashes)
    try:
        with calls.atomically():
            calls.tree.set_actor(*origin.change(number))
            yield
    except BaseException:
        undo_reverted(context.cheats, calls)
        raise


def undo_reverted(cheats: Cheats, calls: CallManager) -> None:
    """Bring the block and the book back to where the state tree is, which a call that failed has taken back."""
    book = cheats.state.forks
    if not book.changes or cheats.origin is None:
        return
    undone = book.undo_after(cheats.origin.last_change)
    if undone is not None:
        cheats.machine.context = undone.context
        cheats.state.block = replace(cheats.state.block, prevrandao=undone.randomness, hashes=undone.hashes)
        cheats.renew(calls)


class _Carried(NamedTuple):
    """An account that is taken along."""

    address: EthAddress
    actor: ActorID
    state: ActorState


def leave(context: Context) -> None:
    """Keep the state of the active fork; of none, what the message has created, which every fork begins with."""
    calls, book, active = calls_of(context), context.state.forks, active_fork(context)
    actors, entries, block = calls.tree.image().actors, _entries(calls), context.state.block
    if active is not None:
        book.left[active] = LeftState(actors, entries, calls.journal, context.machine.context, block.prevrandao)
        return
    created = {key[1] for key in entries if _is_kind(key, "created")}
    kept = {actor: state for actor, state in actors.items() if actor in created}
    book.first = LeftState(kept, _of_actors(entries, created), calls.journal)


def _entries(calls: EthereumCalls) -> dict[Any, Any]:
    return {key: value for key, value in calls.journal.items() if value is not None}


def _is_kind(key: Any, kind: str) -> bool:
    return isinstance(key, tuple) and bool(key) and key[0] == kind


def _persistent(context: Context) -> set[EthAddress]:
    found = context.state.persistent | {context.caller, context.origin, VM_ADDRESS}
    return found if context.test is None else found | {context.test}


def enter(context: Context, calls: EthereumCalls, number: int, fork: NetworkFork, left: LeftState | None) -> None:
    """Exchange the state: that of the fork as it was left, and what persistent accounts hold now."""
    origin, tree = context.cheats.needed_origin(), calls.tree
    carried = list(_carried(context, calls))
    begun = left or context.state.forks.first or LeftState({}, {}, calls.journal)
    actors, dropped = dict(begun.actors), {row.actor for row in carried}
    actors[INIT_ACTOR] = tree.get_actor(INIT_ACTOR)
    for address, actor, state in carried:
        other = tree.lookup_id(Address.delegated(EAM_NAMESPACE, address))
        others = {*origin.others_of(address), *(() if other is None else (other,))} - {actor}
        dropped |= others
        for known in others:
            actors.pop(known, None)
        actors[actor] = _moved(context, state, fork.place)
    marked, mark = origin.mark(number, fork.place)
    actors[marked] = mark
    changed, change = origin.change(origin.last_change)
    actors[changed] = change
    kept = _kept_entries(calls, {row.actor for row in carried}, {row.address for row in carried})
    own = {key: value for key, value in begun.entries.items() if not _is_of(key, dropped) and key not in kept}
    tree.go_back_to(TreeImage(tree.image().root, actors))
    if begun.message is not calls.journal:
        calls.journal.go_back_to(own)
        calls.accounts.write_back()
        own = {}
    calls.journal.go_back_to({**own, **kept})
    _set_block(context, fork, left)


def _carried(context: Context, calls: EthereumCalls) -> Iterator[_Carried]:
    for address in sorted(_persistent(context)):
        actor = calls.accounts.find(address)
        state = None if actor is None else calls.tree.get_actor(actor)
        if actor is not None and state is not None and _address_of(state) == address:
            yield _Carried(address, actor, state)


def _address_of(state: ActorState) -> EthAddress | None:
    return None if state.delegated_address is None else ethereum_address(state.delegated_address)


def _moved(context: Context, state: ActorState, place: int) -> ActorState:
    """A persistent account on another fork: what it has not written is read there."""
    machine, origin = context.machine, context.cheats.needed_origin()
    if state.code != machine.manifest.code("evm") or state.head == EMPTY_ARRAY_CID:
        return state
    contract = EvmState.decode(machine.store.get(state.head))
    storage = origin.at_place(contract.storage, place)
    if storage == contract.storage:
        return state
    data = replace(contract, storage=storage).encode()
    machine.store.put(cid_of(data), data)
    return state.with_head(cid_of(data))


def _is_of(key: Any, actors: Collection[ActorID]) -> bool:
    """Whether a journal's entry says something of one of these actors."""
    match key:
        case (int() as actor, bytes()):
            return actor in actors
        case (str() as kind, int() as actor, *_) if kind in _OF_ACCOUNT:
            return actor in actors
    return False


def _of_actors(entries: Mapping[Any, Any], actors: Collection[ActorID]) -> dict[Any, Any]:
    return {key: value for key, value in entries.items() if _is_of(key, actors)}


def _kept_entries(
    calls: EthereumCalls, actors: Collection[ActorID], addresses: Collection[EthAddress]
) -> dict[Any, Any]:
    """What the message's journal says on every fork: of accounts that are taken along, and of none."""
    warm = {*addresses, *calls.environment.fork.precompiles, *calls.filecoin_precompiles}
    entries = _entries(calls)
    kept = _of_actors(entries, actors)
    for key, value in entries.items():
        match key:
            case ("warm", bytes() as address, *_):
                if address in warm:
                    kept[key] = value
            case ("address", *_) | "refund":
                kept[key] = value
    return kept


def _set_block(context: Context, fork: NetworkFork, left: LeftState | None) -> None:
    machine = context.machine
    if left is None or left.context is None:
        machine.context = block_context(machine.context, fork.block, fork.chain_id)
        context.set_block(prevrandao=fork.block.randomness, hashes={})
    else:
        machine.context = left.context
        context.set_block(prevrandao=left.randomness, hashes={})
