"""Cheatcodes of forks: several networks in one test, each with a state of its own. Semantics: forge's."""

from __future__ import annotations

from typing import Final, Protocol

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.fork_states import active_fork, endpoint_of, fork_change, fork_of, node_errors
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode, overloads, selector
from fvm_hypervisor.soltest.forks.book import LeftState, NetworkFork, Pending
from runtimes.evm.ethereum.calls import EthereumCalls


class ForkRules(Protocol):
    """What forks are under a set of rules."""

    @staticmethod
    def at_block(context: Context, url: str, number: int | None) -> NetworkFork:
        """A fork of a node's network after a block, the newest one by default. Raises NodeError, InvalidInput."""

    @classmethod
    def before(cls, context: Context, url: str, transaction: bytes) -> tuple[NetworkFork, Pending | None]:
        """A fork of the block before a transaction's, and what comes before that one in its block.

        Raises NodeError, InvalidInput.
        """

    @staticmethod
    def replay(context: Context, pending: Pending) -> None:
        """Execute what a fork begins with. Raises NodeError, InvalidInput."""

    @staticmethod
    def transact(context: Context, url: str, transaction: bytes) -> None:
        """Execute a transaction of the network on the active fork, in its own block, which stays. Raises NodeError."""

    @staticmethod
    def leave(context: Context) -> None:
        """Keep the state of the active fork; of none, what the message has created, which every fork begins with."""

    @staticmethod
    def enter(context: Context, number: int, fork: NetworkFork, left: LeftState | None) -> None:
        """Exchange the state: that of the fork as it was left, and what persistent accounts hold now."""


def _rules(context: Context) -> ForkRules:
    """Those of the test, loaded once it has a fork: under Filecoin's rules with all that executes blocks."""
    if isinstance(context.calls, EthereumCalls):
        from fvm_hypervisor.soltest.cheatcodes.account_forks import AccountForks

        return AccountForks()
    from fvm_hypervisor.soltest.cheatcodes.tipset_forks import TipsetForks

    return TipsetForks()


_ASKING: Final = tuple(
    selector(signature).hex()
    for signature in (
        *overloads("createFork", ("string",), ("string", "uint256"), ("string", "bytes32")),
        *overloads("createSelectFork", ("string",), ("string", "uint256"), ("string", "bytes32")),
        *overloads("rollFork", ("uint256",), ("uint256", "uint256"), ("bytes32",), ("uint256", "bytes32")),
    )
)


def asks_for_forks(code: str) -> bool:
    """Whether code, in hex, mentions a cheatcode after which the state may be another network's."""
    return any(found in code for found in _ASKING)


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
    url = endpoint_of(context, name)
    context.cheats.needed_origin()
    with node_errors():
        fork = _rules(context).at_block(context, url, number)
    forks = context.state.forks.forks
    forks.append(fork)
    return len(forks) - 1


def _new_fork_before(context: Context, name: str, transaction: bytes) -> int:
    """A fork of the block before a transaction's, after what came before that one in its block."""
    url = endpoint_of(context, name)
    context.cheats.needed_origin()
    with node_errors():
        fork, pending = _rules(context).before(context, url, transaction)
    forks = context.state.forks.forks
    forks.append(fork)
    if pending is not None:
        context.state.forks.pending[len(forks) - 1] = pending
    return len(forks) - 1


# --- selecting ------------------------------------------------------------------------------------------------------


@cheatcode("selectFork(uint256)")
def _select(context: Context, number: int) -> None:
    fork, rules, book = fork_of(context, number), _rules(context), context.state.forks
    if any(prank.broadcast for prank in context.state.pranks.values()):
        raise CheatcodeFailure("cannot select forks during a broadcast")
    if active_fork(context) == number:
        return
    with fork_change(context), node_errors():
        rules.leave(context)
        rules.enter(context, number, fork, book.left.get(number))
        pending = book.pending.pop(number, None)
        if pending is not None:
            rules.replay(context, pending)


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
    active = active_fork(context)
    if active is None:
        raise CheatcodeFailure("No fork active")
    return active


def _roll_to(context: Context, number: int, block: int) -> None:
    fork, book = fork_of(context, number), context.state.forks
    with node_errors():
        rolled = _rules(context).at_block(context, fork.url, block)
    with fork_change(context), node_errors():
        _rolled(context, number, rolled)
        book.pending.pop(number, None)


def _roll_to_transaction(context: Context, number: int, transaction: bytes) -> None:
    fork, rules, book = fork_of(context, number), _rules(context), context.state.forks
    with node_errors():
        rolled, pending = rules.before(context, fork.url, transaction)
    with fork_change(context), node_errors():
        book.pending.pop(number, None)
        is_active = _rolled(context, number, rolled)
        if pending is not None and is_active:
            rules.replay(context, pending)
        elif pending is not None:
            book.pending[number] = pending


def _rolled(context: Context, number: int, fork: NetworkFork) -> bool:
    """Let a fork begin at another place; whether it is the active one."""
    book = context.state.forks
    book.forks[number] = fork
    book.left.pop(number, None)
    if active_fork(context) != number:
        return False
    _rules(context).enter(context, number, fork, None)
    return True


# --- transactions ---------------------------------------------------------------------------------------------------


@cheatcode("transact(bytes32)")
def _transact(context: Context, transaction: bytes) -> None:
    _transact_on(context, _needed_active(context), transaction)


@cheatcode("transact(uint256,bytes32)")
def _transact_on(context: Context, number: int, transaction: bytes) -> None:
    fork, rules, active = fork_of(context, number), _rules(context), _needed_active(context)
    if active == number:
        with node_errors():
            rules.transact(context, fork.url, transaction)
        return
    with fork_change(context), node_errors():
        _select(context, number)
        rules.transact(context, fork.url, transaction)
        _select(context, active)
