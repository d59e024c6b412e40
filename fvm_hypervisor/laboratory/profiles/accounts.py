"""The lab `accounts`: Ethereum accounts that run a contract's code in their own name, by transactions of type 4.

Terms, messages, gas and invariants: docs/labs/accounts.md. This module has the network's part: admission and display
of transactions. `fvm_hypervisor.laboratory.profiles.delegated_calls` executes calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.transactions import SET_CODE, SignedTransaction, Transaction, TransactionError
from bridge.filecoin.messages import set_code_message, set_code_message_from
from bridge.filecoin.receipts import apply_and_call_result
from fvm_hypervisor.laboratory.profiles.delegated_calls import (
    NONCES_CODE,
    DelegationVariant,
    count_refusal,
    delegation_nonce,
    variant_of,
)
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.labs import Lab
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, SignedMessage
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import Tracer
from hypervisor.types import Gas, TokenAmount
from localnet.ledger.candidates import Candidate, candidate_of
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.rules.call_request import CallRequest
from localnet.rules.filecoin import FilecoinStateCalls
from localnet.rules.parts import (
    CallOutcome,
    MessageRules,
    NetworkRules,
    SenderInfo,
    StateCallRules,
    ViewRules,
)
from localnet.state.contract_state import nonce_of

_CALLS: Final = "fvm_hypervisor.laboratory.profiles.delegated_calls"

LAB: Final = Lab(
    what="Ethereum accounts that run a contract's code in their own name, by transactions of type 4",
    network=f"{__name__}:with_accounts",
    genesis=f"{_CALLS}:install_nonces",
    calls="fvm_hypervisor.laboratory.profiles.account_actor:with_delegations",
    machine=f"{_CALLS}:register_nonces",
    option="variant of the rules: fip for FIP-0111 (the default), eip for EIP-7702, actor for the branches of "
    "builtin-actors and ref-fvm",
)


def with_accounts(rules: NetworkRules, option: str) -> NetworkRules:
    """Return rules that accept transactions of type 4. Raises InvalidInput for an unknown variant."""
    messages = AccountMessages(rules.messages, variant_of(option))
    return replace(
        rules,
        features=replace(
            rules.features,
            transaction_types=(*rules.features.transaction_types, SET_CODE),
            has_official_evm=False,
        ),
        messages=messages,
        calls=AccountStateCalls(rules.calls, messages),
        views=AccountViews(rules.views),
        code=(*rules.code, NONCES_CODE),
    )


class AccountMessages:
    """Message rules that add transactions of type 4 to those of another set (`localnet.rules.parts.MessageRules`)."""

    def __init__(self, inner: MessageRules, variant: DelegationVariant) -> None:
        self._inner = inner
        self._variant = variant

    def message_from(self, transaction: Transaction, sender: Address) -> Message:
        """Return the message of a transaction; for type 4 a call of the sender's ApplyAndCall."""
        if transaction.type == SET_CODE:
            return set_code_message_from(transaction, sender)
        return self._inner.message_from(transaction, sender)

    def carry(self, signed: SignedTransaction, sender: EthAddress) -> SignedMessage:
        """Accept type 4 without an access list, in addition to the wrapped rules' types."""
        if signed.transaction.type != SET_CODE:
            return self._inner.carry(signed, sender)
        refused = count_refusal(self._variant, len(signed.transaction.authorizations))
        if refused:
            raise TransactionError(refused)
        return set_code_message(signed, sender)

    def gas_limit(self, machine: Hypervisor) -> Gas:
        return self._inner.gas_limit(machine)

    def check(self, machine: Hypervisor, candidate: Candidate, base_fee: TokenAmount) -> None:
        self._inner.check(machine, candidate, base_fee)

    def sender_info(self, machine: Hypervisor, actor: ActorState) -> SenderInfo:
        return self._inner.sender_info(machine, actor)

    def authorization_nonce(self, machine: Hypervisor, authority: EthAddress) -> int | None:
        """Return the nonce of authorizations: the account's under EIP-7702, a separate one in the other variants."""
        if self._variant.nonce_source == "own":
            return nonce_of(machine, to_filecoin(authority))
        return delegation_nonce(machine, authority)

    def apply(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        return self._inner.apply(machine, candidate)

    def apply_unpaid(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        return self._inner.apply_unpaid(machine, candidate)

    def apply_simulated(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        return self._inner.apply_simulated(machine, candidate)


class AccountStateCalls:
    """State calls that wrap another set's. A call with authorizations has the outcome of the call that it carries."""

    def __init__(self, inner: StateCallRules, messages: MessageRules) -> None:
        self._inner = inner
        self._authorized = FilecoinStateCalls(messages)

    def call(self, machine: Hypervisor, request: CallRequest, limit: Gas | None = None) -> CallOutcome:
        """Delegate to the wrapped rules, or to Filecoin's for a call with authorizations."""
        if not request.authorizations:
            return self._inner.call(machine, request, limit)
        return _outer(self._authorized.call(machine, request, limit))

    def call_as_message(self, machine: Hypervisor, request: CallRequest, limit: Gas) -> CallOutcome:
        """Delegate to the wrapped rules; a request with authorizations uses Filecoin's."""
        if not request.authorizations:
            return self._inner.call_as_message(machine, request, limit)
        return _outer(self._authorized.call_as_message(machine, request, limit))

    def transaction_gas(self, machine: Hypervisor, request: CallRequest, result: ApplyResult) -> tuple[Gas, Gas]:
        return (self._authorized if request.authorizations else self._inner).transaction_gas(machine, request, result)

    def adapt_tracer(self, tracer: Tracer) -> Tracer:
        return self._inner.adapt_tracer(tracer)


class AccountViews:
    """View rules that add code delegations to those of another set (`localnet.rules.parts.ViewRules`)."""

    def __init__(self, inner: ViewRules) -> None:
        self._inner = inner

    def block_fields(self, tipset: Tipset) -> Mapping[str, Any]:
        return self._inner.block_fields(tipset)

    def receipt_fields(self, receipt: TransactionReceipt) -> Mapping[str, Any]:
        """Return the receipt fields, with `delegatedTo` (FIP-0111) for a transaction of type 4."""
        shown = self._inner.receipt_fields(receipt)
        signed = candidate_of(receipt).transaction if receipt.execution.kind == SET_CODE else None
        if signed is None:
            return shown
        return {**shown, "delegatedTo": [f"0x{item.address.hex()}" for item in signed.transaction.authorizations]}

    def receipt_contract(self, receipt: TransactionReceipt) -> EthAddress | None:
        return self._inner.receipt_contract(receipt)

    def exit_text(self, exit_code: int) -> str:
        return self._inner.exit_text(exit_code)

    def failure_text(
        self,
        exit_code: int,
        data: bytes,
        words: str,
        reason: str = "",
        revert: str | None = None,
        *,
        native: bool = False,
    ) -> str:
        return self._inner.failure_text(exit_code, data, words, reason, revert, native=native)

    def allowance_text(self, highest: Gas) -> str:
        return self._inner.allowance_text(highest)


def _outer(outcome: CallOutcome) -> CallOutcome:
    result = outcome.result
    if result.exit_code:
        return outcome
    exit_code, output = apply_and_call_result(result.receipt)
    return CallOutcome(replace(result, receipt=replace(result.receipt, exit_code=exit_code)), output)
