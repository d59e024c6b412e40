"""Calls and gas estimates: messages that are executed and then reverted.

The sender of a call may be any address, such as a contract or an account that does not exist yet. An estimate
executes the message as a block would. It tries the gas used plus the headroom of the rules, and searches for a higher
limit if that is not enough.

The set of rules determines how a message is executed (`localnet.rules.parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from bridge.ethereum.addresses import to_filecoin
from bridge.ethereum.transactions import GAS_PER_BLOB
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import CallTrees, Tracer, walk
from hypervisor.types import Gas, TokenAmount
from localnet.calls.overrides import NONE, Overrides, overridden
from localnet.calls.pace import traced
from localnet.chain.admission import require_funds
from localnet.chain.execution import apply_pending
from localnet.errors import AllowanceExceeded, BelowInclusionCost, TransactionRefused
from localnet.ledger.candidates import Candidate
from localnet.rules.facts import CallRequest
from localnet.rules.parts import CallOutcome, NetworkRules, output_of, rules_of

T = TypeVar("T")

_MIN_GAS: Final = 21_000
"""Gas of a transfer: under Ethereum's rules an estimate ignores a lower limit (go-ethereum eth/gasestimator)."""


def call(machine: Hypervisor, request: CallRequest, overrides: Overrides = NONE) -> bytes:
    """Return the returned data of a call without effect. Raises CallFailed and the errors of `overridden`."""
    rules = rules_of(machine)  # an overridden block gas limit does not limit calls
    run = partial(rules.calls.call, machine, request)
    if overrides.is_empty:  # the call's effects are reverted
        return output_of(rules, _trial(machine, run))
    with overridden(machine, overrides):
        return output_of(rules, _trial(machine, run))


def traced_call(
    machine: Hypervisor,
    request: CallRequest,
    tracer: Tracer,
    read: Callable[[ApplyResult], T],
    overrides: Overrides = NONE,
    rules: NetworkRules | None = None,
) -> T:
    """Return what `read` makes of the result of a traced call, before its effects are discarded.

    `rules` are those of a machine with overrides before them. The call may fail. Raises the errors of the tracer and of
    `overridden`; effects are discarded in any case.
    """
    rules = rules or rules_of(machine)  # an overridden block gas limit does not limit calls
    with overridden(machine, overrides):
        with traced(machine, tracer):
            result = rules.calls.call(machine, request).result
        if result.fatal is not None:
            raise result.fatal
        return read(result)


def trial_result(machine: Hypervisor, request: CallRequest) -> tuple[ApplyResult, Gas]:
    """Return the result of a call, also if it fails, and its gas in a block."""
    calls = rules_of(machine).calls
    with machine.quiet():
        result = _trial(machine, partial(calls.call, machine, request)).result
    if result.fatal is not None:
        raise result.fatal
    return result, calls.transaction_gas(machine, request, result)[1]


def gas_limit(machine: Hypervisor, request: CallRequest, overrides: Overrides = NONE) -> Gas:
    """Return the default gas limit of a transaction. Raises TransactionRefused for funds, and as `estimate`."""
    require_funds(rules_of(machine), machine.balance(to_filecoin(request.sender)), request.sender, request.value)
    return estimate(machine, request, overrides=overrides)


def estimate(
    machine: Hypervisor, request: CallRequest, pending: Sequence[Candidate] = (), overrides: Overrides = NONE
) -> Gas:
    """Return a sufficient gas limit for the message after the sender's `pending` ones.

    It is at most the request's gas and, if the request has a price, the gas that the sender can pay for. Raises
    CallFailed, AllowanceExceeded if no gas limit suffices, TransactionRefused for a priced request whose sender has
    less than its value, and the errors of `overridden`.
    """
    with overridden(machine, overrides), machine.quiet():
        rules = rules_of(machine)
        apply_pending(machine, pending)
        highest = min(_highest(machine, request), _affordable(machine, request))
        first = _trial(machine, partial(rules.calls.call_as_message, machine, request, highest))
        _check_allowance(rules, first, highest)
        output_of(rules, first)
        limit = _with_margin(rules, first.result.gas_used, highest)
        if limit == highest or _suffices(machine, request, limit):
            return limit
        if not rules.hardfork:
            _require_out_of_gas(machine, request, limit)
        return _with_margin(rules, _search(machine, request, limit, highest), highest)


def _search(machine: Hypervisor, request: CallRequest, low: Gas, highest: Gas) -> Gas:
    """Return the smallest sufficient limit, as exact as the rules require; `low` fails, `highest` suffices."""
    accuracy = rules_of(machine).simulations.estimate_precision
    high = Gas(min(2 * low, highest))
    while high < highest and not _suffices(machine, request, high):
        low, high = high, Gas(min(2 * high, highest))
    middle = high
    while high - low > max(1, middle // accuracy):
        middle = Gas((low + high) // 2)
        low, high = (low, middle) if _suffices(machine, request, middle) else (middle, high)
    return high


def _require_out_of_gas(machine: Hypervisor, request: CallRequest, limit: Gas) -> None:
    """Raise CallFailed for a message that fails with a gas limit although no call has run out of gas, as in Lotus."""
    trees = CallTrees()
    with traced(machine, trees):
        failed = _trial_run(machine, request, limit)
    ends = (node.end for node in walk(trees.roots))
    if all(end is None or end.exit_code != ExitCode.SYS_OUT_OF_GAS for end in ends):
        output_of(rules_of(machine), failed)


def _suffices(machine: Hypervisor, request: CallRequest, limit: Gas) -> bool:
    try:
        return _trial_run(machine, request, limit).result.exit_code == ExitCode.OK
    except TransactionRefused as refused:  # the gas used after a refund may be below a transaction's minimum
        if refused.reason != "gas":
            raise
        return False


def _highest(machine: Hypervisor, request: CallRequest) -> Gas:
    rules = rules_of(machine)
    limit = min(rules.messages.gas_limit(machine), rules.limits.request_gas)
    lowest = _MIN_GAS if rules.hardfork else 0
    return limit if request.gas is None or not lowest <= request.gas <= limit else request.gas


def _affordable(machine: Hypervisor, request: CallRequest) -> Gas:
    """Return the gas that the sender can pay for after value and blobs; without a price the maximum of a request.

    Raises BelowInclusionCost if that is none, TransactionRefused for a balance below value and blobs.
    """
    limit = rules_of(machine).limits.request_gas
    if not request.max_fee:
        return limit
    balance = machine.balance(to_filecoin(request.sender))
    needed = TokenAmount(request.value + GAS_PER_BLOB * len(request.blob_hashes) * request.max_fee_per_blob_gas)
    require_funds(rules_of(machine), balance, request.sender, needed)
    gas = min(limit, (balance - needed) // request.max_fee)
    if not gas:
        raise BelowInclusionCost(ExitCode.SYS_OUT_OF_GAS, b"", "", lambda _: _exceeds_allowance(0))
    return Gas(gas)


def _exceeds_allowance(gas: int) -> str:
    return f"gas required exceeds allowance ({gas})"


def _trial_run(machine: Hypervisor, request: CallRequest, limit: Gas) -> CallOutcome:
    """Execute the message as a block would, without fees, and revert its effects."""
    if machine.short is not None:
        machine.short.check()
    return _trial(machine, partial(rules_of(machine).calls.call_as_message, machine, request, limit))


def _trial(machine: Hypervisor, run: Callable[[], T]) -> T:
    """Return the result of an execution without effect."""
    with machine.trial():
        return run()


def _check_allowance(rules: NetworkRules, answered: CallOutcome, highest: Gas) -> None:
    """Raise AllowanceExceeded if the call lacks gas."""
    result = answered.result
    if result.fatal is not None or result.reason or result.exit_code != ExitCode.SYS_OUT_OF_GAS:
        return
    if result.gas_used == 0:  # the message was not executed
        raise BelowInclusionCost(result.exit_code, answered.data, result.message, lambda _: _exceeds_allowance(highest))
    text = rules.views.allowance_text(highest)
    raise AllowanceExceeded(result.exit_code, answered.data, result.message, lambda _: text)


def _with_margin(rules: NetworkRules, gas: int, highest: int) -> Gas:
    numerator, denominator = rules.simulations.estimate_margin
    return Gas(min(gas * numerator // denominator, highest))
