"""Network transactions executed on a fork, between two instructions of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from runtimes.evm.ethereum import Application, InvalidTransaction

if TYPE_CHECKING:
    from localnet.fork.remote_chain import RemoteBlock
    from localnet.fork.remote_history import ReadTransaction

T = TypeVar("T")


def replay_all(context: Context, transactions: Iterable[ReadTransaction]) -> None:
    """Execute network transactions on the active fork. Raises CheatcodeFailure."""
    for transaction in transactions:
        replay(context, transaction, None)


def replay(context: Context, sent: ReadTransaction, block: RemoteBlock | None) -> None:
    """Execute a network transaction on the active fork; in its own block, which remains set, if `block` is given.

    Raises CheatcodeFailure.
    """
    if block is not None:
        from fvm_hypervisor.soltest.forks.environment import block_context

        context.machine.context = block_context(context.machine.context, block, context.machine.context.chain_id)
        context.cheats.renew(context.calls)
    try:
        execute_nested(context, lambda: Application(context.machine, sent.transaction, sent.sender).simulate())
    except InvalidTransaction as error:
        raise CheatcodeFailure(f"transaction 0x{sent.hash.hex()} cannot be executed here: {error}") from None


def execute_nested(context: Context, execute: Callable[[], T]) -> T:
    """Execute a separate transaction within the current message, which sees its changes; return its result."""
    calls = context.ethereum("transactions in the middle of a message")
    calls.accounts.write_back()
    mark = calls.tree.begin()
    try:
        with context.cheats.outside_test():
            found = execute()
    except BaseException:
        calls.tree.rollback(mark)
        raise
    calls.tree.commit()
    entries = {
        key: value
        for key, value in calls.journal.items()
        if value is not None and (not isinstance(key, tuple) or key[0] in ("warm", "address", "transient"))
    }
    calls.journal.restore_image(entries)
    return found
