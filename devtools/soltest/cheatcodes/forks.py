"""Cheatcodes of forks: several networks in one test, each with a state of its own. Semantics: forge's."""

from __future__ import annotations

from dataclasses import replace

from devtools.soltest.cheatcodes.context import Context
from devtools.soltest.cheatcodes.failures import CheatcodeFailure
from devtools.soltest.cheatcodes.fork_states import (
    active_fork,
    calls_of,
    endpoint_of,
    enter,
    fork_change,
    fork_of,
    leave,
    node_errors,
)
from devtools.soltest.cheatcodes.fork_transactions import replay, replay_all
from devtools.soltest.cheatcodes.table import cheatcode
from devtools.soltest.forks.book import NetworkFork
from devtools.soltest.forks.transactions import transactions_until
from runtimes.evm.ethereum.calls import EthereumCalls

# --- making forks ---------------------------------------------------------------------------------------------------


@cheatcode("createFork(string)", returns="uint256")
def _create(context: Context, name: str) -> int:
    return _new_fork(context, name, None)


@cheatcode("createFork(string,uint256)", returns="uint256")
def _create_at(context: Context, name: str, number: int) -> int:
    return _new_fork(context, name, _block_number(number))


@cheatcode("createFork(string,bytes32)", returns="uint256")
def _create_before(context: Context, name: str, transaction: bytes) -> int:
    return _new_fork_before(context, name, transaction)


@cheatcode("createSelectFork(string)", returns="uint256")
def _create_select(context: Context, name: str) -> int:
    return _selected(context, _new_fork(context, name, None))


@cheatcode("createSelectFork(string,uint256)", returns="uint256")
def _create_select_at(context: Context, name: str, number: int) -> int:
    return _selected(context, _new_fork(context, name, _block_number(number)))


@cheatcode("createSelectFork(string,bytes32)", returns="uint256")
def _create_select_before(context: Context, name: str, transaction: bytes) -> int:
    return _selected(context, _new_fork_before(context, name, transaction))


def _selected(context: Context, number: int) -> int:
    _select(context, number)
    return number


def _block_number(number: int) -> int:
    return min(number, (1 << 64) - 1)


def _new_fork(context: Context, name: str, number: int | None) -> int:
    calls_of(context)
    url = endpoint_of(context, name)
    with node_errors():
        fork = _at_block(context, url, number)
    forks = context.state.forks.forks
    forks.append(fork)
    return len(forks) - 1


def _at_block(context: Context, url: str, number: int | None) -> NetworkFork:
    chain = context.cheats.remotes.chain(url)
    state = chain.state(number)
    return NetworkFork(url, context.state.forks.place(url, state.block.number), chain.chain_id, state.block)


def _new_fork_before(context: Context, name: str, transaction: bytes) -> int:
    """A fork of the block before a transaction's, after what came before that one in its block."""
    calls_of(context)
    url = endpoint_of(context, name)
    with node_errors():
        block, earlier, _ = transactions_until(context.cheats.remotes.chain(url), transaction)
        fork = _at_block(context, url, block.number - 1)
    forks = context.state.forks.forks
    forks.append(replace(fork, block=block))
    if earlier:
        context.state.forks.pending[len(forks) - 1] = tuple(earlier)
    return len(forks) - 1


# --- selecting ------------------------------------------------------------------------------------------------------


@cheatcode("selectFork(uint256)")
def _select(context: Context, number: int) -> None:
    calls, fork = calls_of(context), fork_of(context, number)
    if active_fork(context) == number:
        return
    book = context.state.forks
    with fork_change(context):
        leave(context)
        enter(context, calls, number, fork, book.left.get(number))
        replay_all(context, book.pending.pop(number, ()))


@cheatcode("activeFork()", returns="uint256")
def _active_fork(context: Context) -> int:
    active = active_fork(context)
    if active is None:
        raise CheatcodeFailure("no active fork")
    return active


@cheatcode("rollFork(uint256)")
def _roll(context: Context, number: int) -> None:
    _roll_to(context, _needed_active(context), _block_number(number))


@cheatcode("rollFork(uint256,uint256)")
def _roll_one(context: Context, fork: int, number: int) -> None:
    _roll_to(context, fork, _block_number(number))


@cheatcode("rollFork(bytes32)")
def _roll_before(context: Context, transaction: bytes) -> None:
    _roll_to_transaction(context, _needed_active(context), transaction)


@cheatcode("rollFork(uint256,bytes32)")
def _roll_one_before(context: Context, fork: int, transaction: bytes) -> None:
    _roll_to_transaction(context, fork, transaction)


def _needed_active(context: Context) -> int:
    calls_of(context)
    active = active_fork(context)
    if active is None:
        raise CheatcodeFailure("No fork active")
    return active


def _roll_to(context: Context, number: int, block: int) -> None:
    calls, fork, book = calls_of(context), fork_of(context, number), context.state.forks
    with node_errors():
        rolled = _at_block(context, fork.url, block)
    with fork_change(context):
        _rolled(context, calls, number, rolled)
        book.pending.pop(number, None)


def _roll_to_transaction(context: Context, number: int, transaction: bytes) -> None:
    calls, fork = calls_of(context), fork_of(context, number)
    with node_errors():
        block, earlier, _ = transactions_until(context.cheats.remotes.chain(fork.url), transaction)
        rolled = replace(_at_block(context, fork.url, block.number - 1), block=block)
    with fork_change(context):
        if _rolled(context, calls, number, rolled):
            replay_all(context, earlier)
        else:
            context.state.forks.pending[number] = tuple(earlier)


def _rolled(context: Context, calls: EthereumCalls, number: int, fork: NetworkFork) -> bool:
    """Let a fork begin at another place; whether it is the active one."""
    book = context.state.forks
    book.forks[number] = fork
    book.left.pop(number, None)
    if active_fork(context) != number:
        return False
    enter(context, calls, number, fork, None)
    return True


# --- transactions ---------------------------------------------------------------------------------------------------


@cheatcode("transact(bytes32)")
def _transact(context: Context, transaction: bytes) -> None:
    _transact_on(context, _needed_active(context), transaction)


@cheatcode("transact(uint256,bytes32)")
def _transact_on(context: Context, number: int, transaction: bytes) -> None:
    fork, active = fork_of(context, number), _needed_active(context)
    with node_errors():
        block, _, wanted = transactions_until(context.cheats.remotes.chain(fork.url), transaction)
    if active == number:
        replay(context, wanted, block)
        return
    with fork_change(context):
        _select(context, number)
        replay(context, wanted, block)
        _select(context, active)
