"""Fork cheatcodes: several networks in one test, each with its own state. Semantics: forge's."""

from __future__ import annotations

from typing import Any, Protocol

from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.fork.fork_states import (
    active_fork,
    endpoint_of,
    fork_change,
    fork_of,
    node_errors,
)
from hypervisor_tools.soltest.cheatcodes.pranks import is_broadcasting
from hypervisor_tools.soltest.cheatcodes.table import cheatcode, overloads
from hypervisor_tools.soltest.forks.records import NetworkFork, Pending, SavedForkState


class ForkRules(Protocol):
    """Operations on forks under a set of rules."""

    @staticmethod
    def at_block(context: Context, url: str, number: int | None) -> NetworkFork:
        """Return a fork of a node's network after a block, by default the latest. Raises NodeError, InvalidInput."""

    @classmethod
    def before(cls, context: Context, url: str, transaction: bytes) -> tuple[NetworkFork, Pending | None]:
        """Return a fork of the block before a transaction's, and the earlier transactions of its block.

        Raises NodeError, InvalidInput.
        """

    @staticmethod
    def replay(context: Context, pending: Pending) -> None:
        """Execute the pending transactions of a fork. Raises NodeError, InvalidInput."""

    @staticmethod
    def transact(context: Context, url: str, transaction: bytes) -> None:
        """Execute a network transaction on the active fork, in its own block, which remains set. Raises NodeError."""

    @staticmethod
    def leave(context: Context) -> None:
        """Save the state of the active fork; without one, what the message created, with which every fork begins."""

    @staticmethod
    def enter(context: Context, number: int, fork: NetworkFork, left: SavedForkState | None) -> None:
        """Replace the state by the fork's saved state and the current state of persistent accounts."""


def _rules(context: Context) -> ForkRules:
    """Return the rules of the test; imported on use, since Filecoin's include all of block execution."""
    if context.fork is not None:
        from hypervisor_tools.soltest.cheatcodes.fork.account_forks import AccountForks

        return AccountForks()
    from hypervisor_tools.soltest.cheatcodes.fork.tipset_forks import TipsetForks

    return TipsetForks()


# --- creation --------------------------------------------------------------------------------------------------------


@cheatcode("createFork(string)", "createFork(string,uint256)", "createFork(string,bytes32)", returns="uint256")
def _create(context: Context, name: str, before: int | bytes | None = None) -> int:
    if isinstance(before, bytes):
        return _new_fork_before(context, name, before)
    return _new_fork(context, name, None if before is None else _block_number(before))


@cheatcode(*overloads("createSelectFork", ("string",), ("string", "uint256"), ("string", "bytes32")), returns="uint256")
def _create_select(context: Context, *values: Any) -> int:
    number = _create(context, *values)
    _select(context, number)
    return number


def _block_number(number: int) -> int:
    return min(number, (1 << 64) - 1)


def _new_fork(context: Context, name: str, number: int | None) -> int:
    rules, url = _rules(context), endpoint_of(context, name)
    context.cheats.require_origin()
    with node_errors():
        fork = rules.at_block(context, url, number)
    forks = context.state.forks.forks
    forks.append(fork)
    return len(forks) - 1


def _new_fork_before(context: Context, name: str, transaction: bytes) -> int:
    """Create a fork of the block before a transaction's, with the earlier transactions pending."""
    rules, url = _rules(context), endpoint_of(context, name)
    context.cheats.require_origin()
    with node_errors():
        fork, pending = rules.before(context, url, transaction)
    forks = context.state.forks.forks
    forks.append(fork)
    if pending is not None:
        context.state.forks.pending[len(forks) - 1] = pending
    return len(forks) - 1


# --- selection -------------------------------------------------------------------------------------------------------


@cheatcode("selectFork(uint256)")
def _select(context: Context, number: int) -> None:
    fork, rules, records = fork_of(context, number), _rules(context), context.state.forks
    if is_broadcasting(context):
        raise CheatcodeFailure("cannot select forks during a broadcast")
    if active_fork(context) == number:
        return
    with fork_change(context), node_errors():
        rules.leave(context)
        rules.enter(context, number, fork, records.left.get(number))
        pending = records.pending.pop(number, None)
        if pending is not None:
            rules.replay(context, pending)


@cheatcode("activeFork()", returns="uint256")
def _active_fork(context: Context) -> int:
    active = active_fork(context)
    if active is None:
        raise CheatcodeFailure("no active fork")
    return active


@cheatcode(*overloads("rollFork", ("uint256",), ("bytes32",), ("uint256", "uint256"), ("uint256", "bytes32")))
def _roll(context: Context, *values: Any) -> None:
    fork, to = values if len(values) == 2 else (_require_active_fork(context), *values)
    if isinstance(to, bytes):
        _roll_to_transaction(context, fork, to)
    else:
        _roll_to(context, fork, _block_number(to))


def _require_active_fork(context: Context) -> int:
    active = active_fork(context)
    if active is None:
        raise CheatcodeFailure("No fork active")
    return active


def _roll_to(context: Context, number: int, block: int) -> None:
    fork, records = fork_of(context, number), context.state.forks
    with node_errors():
        rolled = _rules(context).at_block(context, fork.url, block)
    with fork_change(context), node_errors():
        _move_fork(context, number, rolled)
        records.pending.pop(number, None)


def _roll_to_transaction(context: Context, number: int, transaction: bytes) -> None:
    fork, rules, records = fork_of(context, number), _rules(context), context.state.forks
    with node_errors():
        rolled, pending = rules.before(context, fork.url, transaction)
    with fork_change(context), node_errors():
        records.pending.pop(number, None)
        is_active = _move_fork(context, number, rolled)
        if pending is not None and is_active:
            rules.replay(context, pending)
        elif pending is not None:
            records.pending[number] = pending


def _move_fork(context: Context, number: int, fork: NetworkFork) -> bool:
    """Move a fork to another block; return True if it is the active one."""
    records = context.state.forks
    records.forks[number] = fork
    records.left.pop(number, None)
    if active_fork(context) != number:
        return False
    _rules(context).enter(context, number, fork, None)
    return True


# --- transactions ---------------------------------------------------------------------------------------------------


@cheatcode("transact(bytes32)")
def _transact(context: Context, transaction: bytes) -> None:
    _transact_on(context, _require_active_fork(context), transaction)


@cheatcode("transact(uint256,bytes32)")
def _transact_on(context: Context, number: int, transaction: bytes) -> None:
    fork, rules, active = fork_of(context, number), _rules(context), _require_active_fork(context)
    if active == number:
        with node_errors():
            rules.transact(context, fork.url, transaction)
        return
    with fork_change(context), node_errors():
        _select(context, number)
        rules.transact(context, fork.url, transaction)
        _select(context, active)
