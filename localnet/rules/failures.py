"""Conversion of failed calls and transactions to errors, with the texts of the set of rules."""

from __future__ import annotations

from functools import partial

from hypervisor.exit_codes import FIRST_ACTOR_EXIT_CODE
from hypervisor.machine.executor import ApplyResult
from localnet.errors import CallFailed, TransactionFailed
from localnet.ledger.records import TransactionReceipt
from localnet.rules.parts import CallOutcome, NetworkRules


def exit_text(rules: NetworkRules, exit_code: int, *, native: bool) -> str:
    """Return the rules' own text for an exit code; empty if they have none, and for a `native` actor's own codes."""
    return "" if native and exit_code >= FIRST_ACTOR_EXIT_CODE else rules.views.exit_text(exit_code)


def output_of(rules: NetworkRules, outcome: CallOutcome, *, native: bool = False) -> bytes:
    """Return the returned data of a call. Raises CallFailed, and the machine's own failure.

    `native` is true for a call of a native actor.
    """
    result = outcome.result
    if result.fatal is not None:
        raise result.fatal
    if result.exit_code:
        text = partial(
            rules.views.failure_text, result.exit_code, outcome.data, result.message, result.reason, native=native
        )
        raise CallFailed(result.exit_code, outcome.data, result.message, text)
    return outcome.data


def native_output_of(rules: NetworkRules, result: ApplyResult) -> bytes:
    """Return the return value of a native actor's method, in CBOR. Raises like `output_of`."""
    return output_of(rules, CallOutcome(result, result.return_data), native=True)


def transaction_failed(rules: NetworkRules, receipt: TransactionReceipt) -> TransactionFailed:
    """Return the error of a transaction in a block whose execution failed."""
    describe = partial(rules.views.failure_text, native=receipt.is_native)
    text = partial(describe, receipt.exit_code, receipt.return_data, receipt.error_message, "")
    return TransactionFailed(receipt, text)
