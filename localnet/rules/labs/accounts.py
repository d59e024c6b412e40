"""The lab `accounts`: Ethereum accounts that run a contract's code in their own name, by transactions of type 4.

Terms, messages, gas, invariants: docs/labs/accounts.md. What calls do is `localnet.rules.labs.delegated_calls`; here
is what a network takes and shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bridge.addresses import EthAddress
from bridge.receipts import applied_answer
from bridge.transaction_messages import set_code_message, set_code_message_from
from bridge.transactions import SET_CODE, SignedTransaction, TransactionError
from hypervisor.labs import Lab
from hypervisor.machine import Hypervisor
from hypervisor.message import SignedMessage
from hypervisor.types import Gas
from localnet.ledger.candidates import candidate_of
from localnet.ledger.records import TransactionReceipt
from localnet.rules.call_request import CallRequest
from localnet.rules.filecoin import FilecoinMessages, FilecoinQuestions, FilecoinViews
from localnet.rules.labs.delegated_calls import Variant, count_refusal, variant_of
from localnet.rules.parts import CallAnswer, NetworkRules

_CALLS: Final = "localnet.rules.labs.delegated_calls"

LAB: Final = Lab(
    what="Ethereum accounts that run a contract's code in their own name, by transactions of type 4",
    network=f"{__name__}:with_accounts",
    genesis=f"{_CALLS}:install_nonces",
    calls=f"{_CALLS}:with_delegations",
    machine=f"{_CALLS}:know_nonces",
    option="whose rules where the two differ: fip for FIP-0111 (the default), eip for EIP-7702",
)


def with_accounts(rules: NetworkRules, option: str) -> NetworkRules:
    """Rules that take transactions of type 4. Raises InvalidInput for a variant that there is not."""
    messages = AccountMessages(variant_of(option))
    return replace(
        rules,
        features=replace(rules.features, has_authorizations=True, has_official_evm=False),
        messages=messages,
        questions=AccountQuestions(messages),
        views=AccountViews(),
    )


class AccountMessages(FilecoinMessages):
    """See `localnet.rules.parts.MessageRules`."""

    message_from = staticmethod(set_code_message_from)

    def __init__(self, variant: Variant) -> None:
        self._variant = variant

    def carry(self, signed: SignedTransaction, sender: EthAddress) -> SignedMessage:
        """Types 0, 1, 2 and 4 without access lists."""
        if signed.transaction.type == SET_CODE:
            refused = count_refusal(self._variant, len(signed.transaction.authorizations))
            if refused:
                raise TransactionError(refused)
        return set_code_message(signed, sender)


class AccountQuestions(FilecoinQuestions):
    """See `localnet.rules.parts.QuestionRules`: a call with authorizations ends as its own call does."""

    def ask(self, machine: Hypervisor, request: CallRequest, limit: Gas | None = None) -> CallAnswer:
        """As Filecoin's."""
        return _outer(request, super().ask(machine, request, limit))

    def attempt(self, machine: Hypervisor, request: CallRequest, limit: Gas) -> CallAnswer:
        """As Filecoin's."""
        return _outer(request, super().attempt(machine, request, limit))


class AccountViews(FilecoinViews):
    """See `localnet.rules.parts.ViewRules`."""

    def receipt_fields(self, receipt: TransactionReceipt) -> Mapping[str, Any]:
        """Of a transaction of type 4, whose code its authorizations name, besides (`delegatedTo` of FIP-0111)."""
        shown = super().receipt_fields(receipt)
        signed = candidate_of(receipt).transaction if receipt.execution.kind == SET_CODE else None
        if signed is None:
            return shown
        return {**shown, "delegatedTo": [f"0x{item.address.hex()}" for item in signed.transaction.authorizations]}


def _outer(request: CallRequest, answer: CallAnswer) -> CallAnswer:
    result = answer.result
    if not request.authorizations or result.exit_code:
        return answer
    exit_code, output = applied_answer(result.receipt)
    return CallAnswer(replace(result, receipt=replace(result.receipt, exit_code=exit_code)), output)
