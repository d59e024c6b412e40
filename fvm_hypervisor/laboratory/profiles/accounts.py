"""The lab `accounts`: Ethereum accounts that run a contract's code in their own name, by transactions of type 4.

Terms, messages, gas and invariants: docs/labs/accounts.md. `AccountMessages` and `AccountViews` are the network's part:
admission and display of transactions. `fvm_hypervisor.laboratory.profiles.delegated_calls` executes calls.

In the variant `accounts=actor`, delegations are stored in the account actor, as in the draft pull requests. An
account's state is `[delegate, nonce, storage root]`. The machine intercepts a contract's call of such an account, and
runs the delegate's code inside the calling contract, over the account's storage. Sources: builtin-actors pull request
1705 (head ec66c5ef), ref-fvm pull request 2227 (head d13136b9). Where they conflict, docs/labs/accounts.md lists the
choice made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.delegations import DelegatingAccount, authority_of, delegating_account_at
from bridge.ethereum.transactions import SET_CODE, SignedTransaction, Transaction, TransactionError
from bridge.filecoin.cbor import ParamsError, byte_string
from bridge.filecoin.evm_state import EvmState, evm_state_at
from bridge.filecoin.messages import ApplyAndCallParams, set_code_message, set_code_message_from
from bridge.filecoin.parameters import INVOKE_EVM
from bridge.filecoin.receipts import apply_and_call_result
from fvm_hypervisor.laboratory.profiles.delegated_calls import (
    GAS,
    GET_BYTECODE,
    GET_BYTECODE_HASH,
    NONCES_CODE,
    AccountCalls,
    DelegationVariant,
    calldata_for,
    count_refusal,
    delegation_nonce,
    ethereum_address,
    live_code,
    variant_of,
)
from fvm_hypervisor.laboratory.profiles.lab_runtimes import put_cbor
from fvm_hypervisor.laboratory.profiles.rules import ExtendedRules
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import to_milligas
from hypervisor.kernel.blocks import Block, scan_links
from hypervisor.kernel.call import Call, CallResult, LentCode
from hypervisor.machine.call_manager import CallManager, CallRules
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.labs import Lab
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, SignedMessage
from hypervisor.state.state_tree import ActorState
from hypervisor.types import METHOD_SEND, ActorID, Gas, MethodNumber
from localnet.ledger.candidates import candidate_of
from localnet.ledger.records import TransactionReceipt
from localnet.rules.call_request import CallRequest
from localnet.rules.filecoin import FilecoinStateCalls
from localnet.rules.parts import CallOutcome, MessageRules, NetworkRules, StateCallRules, ViewRules
from localnet.state.contract_state import nonce_of
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of
from store.codec import encode, link
from store.keccak import keccak
from store.trees.kamt import Kamt

_CALLS: Final = "fvm_hypervisor.laboratory.profiles.delegated_calls"

LAB: Final = Lab(
    what="Ethereum accounts that run a contract's code in their own name, by transactions of type 4",
    network=f"{__name__}:with_accounts",
    genesis=f"{_CALLS}:install_nonces",
    calls="fvm_hypervisor.laboratory.profiles.accounts:with_delegations",
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


class AccountMessages(ExtendedRules[MessageRules]):
    """Message rules that add transactions of type 4 to those of another set (`localnet.rules.parts.MessageRules`)."""

    def __init__(self, inner: MessageRules, variant: DelegationVariant) -> None:
        super().__init__(inner)
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

    def authorization_nonce(self, machine: Hypervisor, authority: EthAddress) -> int | None:
        """Return the nonce of authorizations: the account's under EIP-7702, a separate one in the other variants."""
        if self._variant.nonce_source == "own":
            return nonce_of(machine, to_filecoin(authority))
        return delegation_nonce(machine, authority)


class AccountStateCalls(ExtendedRules[StateCallRules]):
    """State calls that wrap another set's. A call with authorizations has the outcome of the call that it carries."""

    def __init__(self, inner: StateCallRules, messages: MessageRules) -> None:
        super().__init__(inner)
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


class AccountViews(ExtendedRules[ViewRules]):
    """View rules that add code delegations to those of another set (`localnet.rules.parts.ViewRules`)."""

    def receipt_fields(self, receipt: TransactionReceipt) -> Mapping[str, Any]:
        """Return the receipt fields, with `delegatedTo` (FIP-0111) for a transaction of type 4."""
        shown = self._inner.receipt_fields(receipt)
        signed = candidate_of(receipt).transaction if receipt.execution.kind == SET_CODE else None
        if signed is None:
            return shown
        return {**shown, "delegatedTo": [f"0x{item.address.hex()}" for item in signed.transaction.authorizations]}


def _outer(outcome: CallOutcome) -> CallOutcome:
    result = outcome.result
    if result.exit_code:
        return outcome
    exit_code, output = apply_and_call_result(result.receipt)
    return CallOutcome(replace(result, receipt=replace(result.receipt, exit_code=exit_code)), output)


def with_delegations(rules: CallRules, option: str) -> CallRules:
    """Return call rules that execute delegated code."""
    variant = variant_of(option)
    return ActorCalls(rules, variant) if variant.nonce_source == "state" else AccountCalls(rules, variant)


class ActorCalls(AccountCalls):
    """Call rules for accounts whose own state names their delegate."""

    def __init__(self, inner: CallRules, variant: DelegationVariant) -> None:
        super().__init__(inner, variant)
        self._lent = LentCode(variant.selfdestruct_pays, delegate_calls=False)
        self.lent_code = self._lent

    def _invoke_account(self, calls: CallManager, call: Call, actor: ActorID, state: ActorState) -> CallResult:
        """Intercept a contract's call of an account with a delegate; code that runs for an account is not intercepted.

        Calls of EXTCODE* for the account's code are answered with the designator.
        """
        account = delegating_account_at(calls.machine.store, state.head)
        if account is None or account.delegate is None:
            return self._invoke_bare(calls, call, actor, state)
        if call.method in (GET_BYTECODE, GET_BYTECODE_HASH) and calls.depth > 1:
            return _designator(calls, call, account.code)
        host = calls.get_actor(call.from_)
        is_contract = host is not None and host.code == calls.machine.manifest.code("evm")
        is_nested = calls.lent_code is not None and calls.lent_code.account_frame is not None
        code = _contract_code(calls, account.delegate)
        if host is None or not is_contract or is_nested or call.method != INVOKE_EVM or code is None:
            return self._inner.invoke(calls, call, actor, state)
        return self._run_inside(calls, call, actor, host, code)

    def _run_inside(
        self, calls: CallManager, call: Call, actor: ActorID, host: ActorState, code: Cid
    ) -> CallResult:  # fmt: skip
        """Run code inside the calling contract, over the account's storage; save the storage if the code succeeds."""
        calls.gas.charge("OnDelegatedCall", to_milligas(GAS["run"]))
        try:
            calldata = calldata_for(call)
        except ParamsError as error:
            return CallResult(ExitCode.USR_SERIALIZATION, message=str(error))
        account, own = _account(calls, actor), evm_state_at(calls.machine.store, host.head)
        if own is None:
            return CallResult(ExitCode.USR_ILLEGAL_STATE, message=f"the calling contract f0{call.from_} has no state")
        before = account.stored_slots or Kamt(calls.machine.store, None).flush()
        _set_storage(calls, call.from_, own, before)
        former = calls.lent_code
        calls.lent_code = replace(self._lent, account_frame=(calls.depth, ethereum_address(calls, actor)))
        try:
            result = calls.invoke(self._run_call(calls, call, call.from_, code, calldata), call.from_, host)
        finally:
            calls.lent_code = former
        if result.exit_code:
            return result
        after = evm_state_at(calls.machine.store, _actor(calls, call.from_).head)
        assert after is not None, "the contract had a state before it ran the code"
        _set_storage(calls, call.from_, after, own.storage)
        if after.storage != before:
            _set_account(calls, actor, replace(_account(calls, actor), storage=after.storage))
        self._emit(calls, call.from_, actor)
        return result

    def _refusal(self, calls: CallManager, call: Call, actor: ActorID) -> CallResult | None:
        """Accept every caller; a read-only call cannot change the state."""
        if call.read_only:
            return CallResult(ExitCode.USR_READ_ONLY, message="a read-only call cannot apply authorizations")
        return None

    def _value_refusal(self, call: Call, params: ApplyAndCallParams) -> str:
        """Accept every value: the call is paid from the receiver's balance."""
        return ""

    def _apply(self, calls: CallManager, actor: ActorID, params: ApplyAndCallParams) -> str:
        """Apply the receiver's authorizations, or none if one of them is invalid. Return the error text, or ""."""
        account, own, chain_id = _account(calls, actor), ethereum_address(calls, actor), calls.machine.context.chain_id
        for place, item in enumerate(params.authorizations):
            authority = authority_of(item, chain_id)
            if authority is None:
                return f"authorization {place} is for another chain, or its signature is invalid"
            if authority != own:
                return f"authorization {place} is signed by 0x{authority.hex()}: only the receiver 0x{own.hex()} may"
            if place:
                return f"authorization {place} repeats an account: a transaction contains at most one for each"
            if item.nonce != account.nonce:
                return f"authorization {place} has the nonce {item.nonce}: expected {account.nonce}"
            delegate = item.address if any(item.address) else None
            account = DelegatingAccount(delegate, account.nonce + 1, account.storage)
        calls.gas.charge("OnDelegation", to_milligas(GAS["delegation"]))
        _set_account(calls, actor, account)
        return ""

    def _outer_method(self, calls: CallManager, to: EthAddress) -> MethodNumber:
        """Return InvokeEVM for a contract; any other receiver only gets the value."""
        found = calls.tree.lookup_id(to_filecoin(to))
        state = None if found is None else calls.get_actor(found)
        is_contract = state is not None and state.code == calls.machine.manifest.code("evm")
        return INVOKE_EVM if is_contract else METHOD_SEND


def _designator(calls: CallManager, call: Call, code: bytes) -> CallResult:
    if call.method == GET_BYTECODE_HASH:
        return CallResult(ExitCode.OK, Block(CBOR, byte_string(bytes(keccak(code)))))
    cid = cid_of(code, RAW)
    calls.machine.store.put(cid, code)
    answer = encode(link(cid))
    return CallResult(ExitCode.OK, Block(DAG_CBOR, answer, scan_links(DAG_CBOR, answer)))


def _contract_code(calls: CallManager, delegate: EthAddress) -> Cid | None:
    """Return the bytecode of a delegate; None unless it is a contract."""
    found = calls.tree.lookup_id(to_filecoin(delegate))
    state = None if found is None else calls.get_actor(found)
    if state is None or state.code != calls.machine.manifest.code("evm"):
        return None
    return live_code(calls, state)


def _actor(calls: CallManager, actor: ActorID) -> ActorState:
    state = calls.tree.get_actor(actor)
    assert state is not None, "the actor takes part in a call"
    return state


def _account(calls: CallManager, actor: ActorID) -> DelegatingAccount:
    return delegating_account_at(calls.machine.store, _actor(calls, actor).head) or DelegatingAccount()


def _set_account(calls: CallManager, actor: ActorID, account: DelegatingAccount) -> None:
    calls.set_actor(actor, replace(_actor(calls, actor), head=put_cbor(calls.machine.store, account.encode())))


def _set_storage(calls: CallManager, contract: ActorID, state: EvmState, storage: Cid) -> None:
    """Write a contract's state with another storage root."""
    changed = EvmState(
        state.bytecode, state.bytecode_hash, storage, state.transient, state.nonce, state.tombstone
    )  # fmt: skip
    block = changed.encode("TRANSIENT" in calls.machine.context.network.evm)
    calls.tree.set_actor(contract, replace(_actor(calls, contract), head=put_cbor(calls.machine.store, block)))
