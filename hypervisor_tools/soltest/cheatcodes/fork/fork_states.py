"""Forks of a test, independent of the rules: the active fork, atomic changes, and persistent accounts.

Persistent accounts are the test contract, the sender, the cheatcodes' own, and those of `makePersistent`. The rules
implement leaving and entering a fork (`account_forks`, `tipset_forks`). Network transactions are executed on a fork
between two instructions of the test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import Transaction
from hypervisor.context import ExternError
from hypervisor.errors import InvalidInput
from hypervisor.state.state_tree import ActorState
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.fork_access import undo_reverted
from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.forks.records import NetworkFork, endpoint_url
from hypervisor_tools.soltest.project.consent import ConsentNeeded
from localnet.errors import NodeError
from localnet.fork.urls import redacted_url
from runtimes.evm.forks import InvalidTransaction
from runtimes.evm.revm import KEEP, PAID, EthereumExecutor, TransactionResult, ethereum_address, session_of
from store.blockstore import StoreError

if TYPE_CHECKING:
    from localnet.fork.remote_chain import RemoteBlock
    from localnet.fork.remote_history import ReadTransaction


@contextmanager
def node_errors() -> Iterator[None]:
    """Convert node errors to cheatcode failures."""
    try:
        yield
    except ConsentNeeded:
        raise
    except (NodeError, InvalidInput, ExternError, StoreError) as error:
        raise CheatcodeFailure(str(error)) from None


def endpoint_of(context: Context, name: str) -> str:
    """Return the URL of a node, given as URL or alias. Raises CheatcodeFailure."""
    context.note_input("nodes")
    try:
        url = endpoint_url(name, context.settings.rpc_endpoints, context.settings.environment)
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None
    context.settings.consent.require_node(url, f"a test asks the node {redacted_url(name)}")
    return url


def fork_of(context: Context, number: int) -> NetworkFork:
    """Return a fork by its number. Raises CheatcodeFailure."""
    context.note_input("nodes")
    forks = context.state.forks.forks
    if number >= len(forks):
        raise CheatcodeFailure(f"No matching fork found for {number}")
    return forks[number]


def active_fork(context: Context) -> int | None:
    """Return the number of the active fork, or None."""
    return context.cheats.active_fork


@contextmanager
def fork_change(context: Context) -> Iterator[None]:
    """Make a change of forks atomic, and undo it if the enclosing call reverts.

    The state tree reverts by itself; `undo_reverted` reverts the block and the fork records.
    """
    records, block = context.state.forks, context.state.block
    origin = context.cheats.require_origin()
    number = records.record_change(context.machine.context, block.prevrandao, block.hashes)
    try:
        with context.exchanged_tree() as tree:
            tree.set_actor(*origin.change(number))
            yield
    except BaseException:
        undo_reverted(context.cheats, context.run or context.calls)
        raise


def persistent_accounts(context: Context) -> set[EthAddress]:
    """Return the persistent accounts; in a script without its sender, whose balance and nonce differ per network."""
    found = context.state.persistent | {context.caller, VM_ADDRESS}
    if context.state.broadcasts is None:
        found.add(context.origin)
    return found if context.test is None else found | {context.test}


def address_of(state: ActorState) -> EthAddress | None:
    """Return an actor's own Ethereum address, or None."""
    return None if state.delegated_address is None else ethereum_address(state.delegated_address)


def replay_all(context: Context, transactions: Iterable[ReadTransaction]) -> None:
    """Execute network transactions on the active fork. Raises CheatcodeFailure."""
    for transaction in transactions:
        replay(context, transaction, None)


def replay(context: Context, sent: ReadTransaction, block: RemoteBlock | None) -> None:
    """Execute a network transaction on the active fork; in its own block, which remains set, if `block` is given.

    Raises CheatcodeFailure.
    """
    if block is not None:
        from hypervisor_tools.soltest.forks.tipsets import block_context

        context.machine.context = block_context(context.machine.context, block, context.machine.context.chain_id)
        context.renew()
    try:
        execute_nested(context, sent.transaction, sent.sender, is_checked=False)
    except InvalidTransaction as error:
        raise CheatcodeFailure(f"transaction 0x{sent.hash.hex()} cannot be executed here: {error}") from None


def execute_nested(
    context: Context, transaction: Transaction, sender: EthAddress, is_checked: bool
) -> TransactionResult:
    """Execute a transaction with its fees within the current call, which sees its changes. Raises InvalidTransaction.

    Without `is_checked`, its nonce and its fee cap may be any.
    """
    run, machine = context.require_ethereum("transactions in the middle of a message"), context.machine
    with run.exchange(), context.cheats.outside_test():
        if is_checked:
            return EthereumExecutor(machine).apply_transaction(transaction, sender)
        return session_of(machine).transact(transaction, sender, KEEP | PAID)
