"""The forks of a test, whatever the rules: which is active, changes that are whole or none, what is taken along.

Persistent accounts are carried: the test contract, the sender, the cheatcodes' own, and what `makePersistent` names.
What leaving and entering a fork means is the rules' (`account_forks`, `tipset_forks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.context import Cheats, Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.state import VM_ADDRESS
from fvm_hypervisor.soltest.consent import ConsentNeeded
from fvm_hypervisor.soltest.forks.book import NetworkFork
from fvm_hypervisor.soltest.forks.endpoints import endpoint_url
from hypervisor.call_manager import CallManager
from hypervisor.errors import InvalidInput
from hypervisor.externs import ExternError
from hypervisor.state_tree import ActorState
from localnet.fork.node_client import NodeError, shown_url
from runtimes.evm.ethereum.accounts import ethereum_address
from store.blockstore import StoreError


@contextmanager
def node_errors() -> Iterator[None]:
    """What a node refuses is the cheatcode's failure."""
    try:
        yield
    except ConsentNeeded:
        raise
    except (NodeError, InvalidInput, ExternError, StoreError) as error:
        raise CheatcodeFailure(str(error)) from None


def endpoint_of(context: Context, name: str) -> str:
    """The URL of a node by its name or itself. Raises CheatcodeFailure."""
    try:
        url = endpoint_url(name, context.settings.rpc_endpoints, context.settings.environment)
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None
    context.settings.consent.require_node(url, f"a test asks the node {shown_url(name)}")
    return url


def fork_of(context: Context, number: int) -> NetworkFork:
    """A fork by its number. Raises CheatcodeFailure."""
    forks = context.state.forks.forks
    if number >= len(forks):
        raise CheatcodeFailure(f"No matching fork found for {number}")
    return forks[number]


def active_fork(context: Context) -> int | None:
    """The number of the active fork, if there is one."""
    return context.cheats.active_fork


@contextmanager
def fork_change(context: Context) -> Iterator[None]:
    """A change of forks: whole, or, where it fails, none; and undone with the call that it is made in.

    The state tree is undone by itself, the block and the book are by `undo_reverted`.
    """
    calls, book, block = context.calls, context.state.forks, context.state.block
    origin = context.cheats.needed_origin()
    number = book.note_change(context.machine.context, block.prevrandao, block.hashes)
    mark = calls.begin()
    try:
        calls.tree.set_actor(*origin.change(number))
        yield
    except BaseException:
        calls.rollback(mark)
        undo_reverted(context.cheats, calls)
        raise
    calls.tree.commit()


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


def persistent_accounts(context: Context) -> set[EthAddress]:
    """What is taken along; of a script not its sender, which has on each network what it has there, and its nonce."""
    found = context.state.persistent | {context.caller, VM_ADDRESS}
    if context.state.broadcasts is None:
        found.add(context.origin)
    return found if context.test is None else found | {context.test}


def address_of(state: ActorState) -> EthAddress | None:
    """The Ethereum address that an actor has of its own."""
    return None if state.delegated_address is None else ethereum_address(state.delegated_address)
