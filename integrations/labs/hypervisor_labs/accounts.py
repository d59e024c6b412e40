"""The lab `accounts`: Ethereum accounts that run a contract's code in their own name, by transactions of type 4.

Such an account has the state of a contract. Its code field is a designator of the contract that provides the code,
and the storage is its own. So the code runs like a delegate call of the EVM actor, in the account's name.

Terms, messages, gas and invariants: docs/labs/accounts.md. Rules: FIP-0111, and EIP-7702 where it is silent. The
differences between the variants are rows of `VARIANTS`, their costs rows of `GAS`. `AccountMessages` and `AccountViews`
are the network's part: admission and display of transactions.

In the variant `accounts=actor`, delegations are stored in the account actor, as in the draft pull requests. An
account's state is `[delegate, nonce, storage root]`. The machine intercepts a contract's call of such an account, and
runs the delegate's code inside the calling contract, over the account's storage. Sources: builtin-actors pull request
1705 (head ec66c5ef), ref-fvm pull request 2227 (head d13136b9). Where they conflict, docs/labs/accounts.md lists the
choice made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, from_delegated, masked_id, to_filecoin
from bridge.ethereum.transactions import (
    DELEGATION_PREFIX,
    SET_CODE,
    Authorization,
    DelegatingAccount,
    SignedTransaction,
    Transaction,
    TransactionError,
    authority_of,
    delegating_account_at,
    delegation_of,
)
from bridge.filecoin.call import FIRST_CALLABLE_METHOD, AbiError, decode_method_return, encode_method_calldata
from bridge.filecoin.cbor import ParamsError, byte_string, read_byte_string
from bridge.filecoin.evm_state import EMPTY_CODE_HASH, EvmState, Lifespan, evm_state_at
from bridge.filecoin.messages import (
    APPLY_AND_CALL,
    ApplyAndCallParams,
    encode_outcome,
    set_code_message,
    set_code_message_from,
)
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import DelegateCallParams, calldata_of, unwrap_return
from bridge.filecoin.receipts import Log, apply_and_call_result, log_to_entries
from hypervisor.errors import InvalidInput, SyscallError
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ExitCode
from hypervisor.gas import to_milligas
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block, scan_links
from hypervisor.kernel.call import Call, CallResult, LentCode
from hypervisor.machine.call_manager import CallManager, CallRules
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.registry import Outcome
from hypervisor.machine.rules import Lab
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message, SignedMessage
from hypervisor.state.state_tree import ARCHIVED_CODE, ActorState
from hypervisor.types import METHOD_SEND, ActorID, BlockId, Gas, MethodNumber, TokenAmount
from hypervisor_labs.lab_runtimes import LabRuntime, named_code, put_cbor
from hypervisor_labs.rules import ExtendedRules
from localnet.ledger.records import TransactionReceipt
from localnet.rules.facts import CallRequest
from localnet.rules.filecoin import FilecoinStateCalls
from localnet.rules.parts import CallOutcome, MessageRules, NetworkRules, StateCallRules, ViewRules
from localnet.state.controls import nonce_of
from store.blockstore import Blockstore, get_object
from store.cid import CBOR, DAG_CBOR, EMPTY_ARRAY_CID, RAW, Cid, cid_of
from store.codec import encode, link, unlink
from store.keccak import keccak
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt


@dataclass(frozen=True, slots=True)
class DelegationVariant:
    """A variant of the rules for accounts with delegated code."""

    nonce_source: str
    """Place of the nonce of an account's authorizations: `map` of the actor f022 or `state` of the account, both from
    0; or the account's `own`."""
    max_authorizations: int | None
    """Maximum number of authorizations per transaction; None for no limit."""
    repeats: bool
    """True if an account may sign several authorizations in one transaction; the last valid one applies."""
    nests: bool
    """True if code running in an account's name may call another delegated account and run its code."""
    emits: bool
    """True if each execution in an account's name emits the event `Delegated(address)`."""
    selfdestruct_pays: bool
    """True if SELFDESTRUCT in an account's name pays out its balance; otherwise it has no effect."""
    reserve: int = 1_000_000
    """Gas withheld from the call, so that authorizations persist if it runs out of gas."""


VARIANTS: Final[Mapping[str, DelegationVariant]] = MappingProxyType({
    "fip": DelegationVariant(
        nonce_source="map", max_authorizations=64, repeats=False, nests=False, emits=True, selfdestruct_pays=False
    ),
    "eip": DelegationVariant(
        nonce_source="own", max_authorizations=None, repeats=True, nests=True, emits=False, selfdestruct_pays=True
    ),
    "actor": DelegationVariant(
        nonce_source="state", max_authorizations=64, repeats=False, nests=False, emits=True, selfdestruct_pays=False,
        reserve=0,
    ),
})  # fmt: skip
"""Variants of the rules: FIP-0111, EIP-7702 where they differ, and the branches that implement it."""

GAS: Final[Mapping[str, int]] = MappingProxyType({
    "authorization": 1_700_000,  # recovering a key is 1,637,292 by the network's list; a hash, and reading the tuple
    "delegation": 1_600_000,  # two blocks written, of 23 and 150 bytes: 506,000 each and 3,350 a byte
    "nonce": 2_000_000,  # a node of the HAMT read and written, and its root
    "run": 700_000,  # reads the states of account and contract, and the code designator
    "event": 100_000,
})  # fmt: skip
"""Gas prices of authorizations; actor lookups, changes and creations have the network's prices in addition."""

NONCES: Final = ActorID(22)
"""The actor that stores the nonces of authorizations: `[HAMT of nonces by address]`."""
RUNTIME: Final = "delegation-nonces"
CODE_BLOCK: Final = (
    b"The nonces of authorizations of the lab accounts, version 1. The runtime `delegation-nonces` has it."
)
CODE: Final = cid_of(CODE_BLOCK, RAW)
NONCES_CODE: Final = named_code(CODE, "nonces")

_DELEGATED: Final = keccak(b"Delegated(address)")
GET_BYTECODE, GET_BYTECODE_HASH, _GET_STORAGE_AT, DELEGATE_CALL = map(MethodNumber, (3, 4, 5, 6))
_LOOKS: Final = (GET_BYTECODE, GET_BYTECODE_HASH, _GET_STORAGE_AT)


def variant_of(option: str) -> DelegationVariant:
    """Return the variant for the lab's option, `fip` if it is empty. Raises InvalidInput."""
    found = VARIANTS.get(option or "fip")
    if found is None:
        raise InvalidInput(f"accounts={option}: choose one of {', '.join(VARIANTS)} (docs/labs/accounts.md)")
    return found


def install_nonces(machine: MachineState, option: str) -> None:
    """Add the actor of nonces to a state, for variants with separate nonces of authorizations."""
    if variant_of(option).nonce_source == "map":
        store = machine.store
        store.put(CODE, CODE_BLOCK)
        head = put_cbor(store, encode([link(Hamt(store).flush())]))
        machine.state_tree.set_actor(NONCES, ActorState(CODE, head))


def register_nonces(machine: MachineState) -> None:
    """Register the runtime of the actor of nonces with a machine."""
    machine.registry.override(CODE, RUNTIME, NoncesRuntime)


def delegation_nonce(machine: MachineState, authority: EthAddress) -> int:
    """Return the next nonce of an account's authorizations, from its state or the nonces actor; 0 without both."""
    found = machine.state_tree.lookup_id(to_filecoin(authority))
    state = None if found is None else machine.state_tree.get_actor(found)
    if state is not None and state.code == machine.manifest.code("ethaccount"):
        account = delegating_account_at(machine.store, state.head)
        if account is not None:
            return account.nonce
    actor = machine.state_tree.get_actor(NONCES)
    return 0 if actor is None else _nonces(machine.store, actor).get(authority) or 0


class NoncesRuntime(LabRuntime):
    """Runs the actor of nonces, which has no methods."""

    what = "the actor of nonces"

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        return Outcome(ExitCode.USR_UNHANDLED_MESSAGE, message="the actor of authorizations' nonces has no methods")


class AccountCalls:
    """Call rules (`call_manager.CallRules`) that extend another set by accounts with delegated code."""

    def __init__(self, inner: CallRules, variant: DelegationVariant) -> None:
        self._inner = inner
        self._variant = variant
        self._outer: Call | None = None
        """The call that ApplyAndCall is making; its caller is not code that runs in the account's name."""
        self.lent_code: LentCode | None = LentCode(variant.selfdestruct_pays)

    def resolve(self, calls: CallManager, call: Call) -> ActorID | CallResult:
        return self._inner.resolve(calls, call)

    def invoke(self, calls: CallManager, call: Call, actor: ActorID, state: ActorState) -> CallResult:
        """Apply authorizations or run delegated code for an account; other calls are unchanged."""
        if state.code != calls.machine.manifest.code("ethaccount"):
            return self._inner.invoke(calls, call, actor, state)
        if call.method == APPLY_AND_CALL:
            # a separate engine stack, as for the first contract of a message
            apply = partial(self._apply_and_call, calls, call, actor)
            return calls.machine.stacks.run(apply, calls.gas.exhaust) if calls.depth == 1 else apply()
        return self._invoke_account(calls, call, actor, state)

    def _invoke_account(self, calls: CallManager, call: Call, actor: ActorID, state: ActorState) -> CallResult:
        """Run an account's code, or respond to a query about it."""
        store = calls.machine.store
        contract = evm_state_at(store, state.head)
        if contract is None:
            return self._invoke_bare(calls, call, actor, state)
        as_contract = replace(state, code=calls.machine.manifest.code("evm"))
        if call.method in _LOOKS or (call.method == DELEGATE_CALL and call.from_ == actor):
            return calls.invoke(call, actor, as_contract)
        delegate = delegation_of(store.get(contract.bytecode))
        if delegate is None or not (call.method == INVOKE_EVM or call.method >= FIRST_CALLABLE_METHOD):
            return self._inner.invoke(calls, call, actor, state)
        if not self._variant.nests and self._is_delegated_code(calls, call):
            return self._inner.invoke(calls, call, actor, state)
        return self._run(calls, call, actor, as_contract, delegate)

    def _invoke_bare(self, calls: CallManager, call: Call, actor: ActorID, state: ActorState) -> CallResult:
        """Invoke an account without delegated code, which responds to queries about its code."""
        if call.method == GET_BYTECODE:
            return CallResult(ExitCode.OK, Block(DAG_CBOR, encode(None)))
        if call.method == GET_BYTECODE_HASH:
            return CallResult(ExitCode.OK, Block(CBOR, byte_string(EMPTY_CODE_HASH)))
        return self._inner.invoke(calls, call, actor, state)

    def _is_delegated_code(self, calls: CallManager, call: Call) -> bool:
        """Return True if the caller is code that runs in an account's name."""
        if call is self._outer or calls.depth == 1:
            return False
        caller = calls.tree.get_actor(call.from_)
        return caller is not None and caller.code == calls.machine.manifest.code("ethaccount")

    def _run(
        self, calls: CallManager, call: Call, actor: ActorID, state: ActorState, delegate: EthAddress
    ) -> CallResult:
        """Run the delegate's code in the account's name: its storage, its balance, its address."""
        calls.gas.charge("OnDelegatedCall", to_milligas(GAS["run"]))
        try:
            calldata = calldata_for(call)
        except ParamsError as error:
            return CallResult(ExitCode.USR_SERIALIZATION, message=str(error))
        code = self._code_to_run(calls, delegate)
        if isinstance(code, CallResult):
            return code
        if self._variant.emits and not call.read_only:
            self._emit(calls, actor, actor)
        result = calls.invoke(self._run_call(calls, call, actor, code, calldata), actor, state)
        return result if call.method == INVOKE_EVM or result.exit_code else _method_answer(result)

    def _run_call(self, calls: CallManager, call: Call, runner: ActorID, code: Cid, calldata: bytes) -> Call:
        """Return the call of an actor to itself that runs code with the caller and the value of another call."""
        caller = ethereum_address(calls, call.from_)
        encoded = DelegateCallParams(code, calldata, caller, TokenAmount(call.value)).encode()
        block = Block(DAG_CBOR, encoded, scan_links(DAG_CBOR, encoded))
        return Call(runner, Address.id(runner), DELEGATE_CALL, block, read_only=call.read_only)

    def _code_to_run(self, calls: CallManager, delegate: EthAddress) -> Cid | CallResult:
        """Return the CID of the contract code at an address, or the result of the call if there is none.

        If the delegate has delegated code itself, its designator is executed, which fails as the instruction 0xef does.
        """
        found = calls.tree.lookup_id(to_filecoin(delegate))
        state = None if found is None else calls.get_actor(found)
        manifest = calls.machine.manifest
        kind = None if state is None else manifest.name_of(state.code)
        if (
            state is None
            or kind in ("account", "placeholder")
            or (kind == "ethaccount" and state.head == EMPTY_ARRAY_CID)
        ):
            return CallResult(ExitCode.OK)
        if kind not in ("evm", "ethaccount"):
            kind = "an archived contract" if state.code == ARCHIVED_CODE else "a native actor"
            text = f"0x{delegate.hex()} is {kind}, whose code cannot run in an account's name"
            return CallResult(ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION, message=text)
        return live_code(calls, state) or CallResult(ExitCode.OK)

    def _emit(self, calls: CallManager, emitter: ActorID, account: ActorID) -> None:
        calls.gas.charge("OnDelegatedEvent", to_milligas(GAS["event"]))
        log = Log((_DELEGATED,), bytes(12) + ethereum_address(calls, account))
        calls.add_event(StampedEvent(emitter, tuple(log_to_entries(log))))

    def _apply_and_call(self, calls: CallManager, call: Call, actor: ActorID) -> CallResult:
        """Apply the authorizations, then make the call as the receiver; exit with 0 even if the call fails."""
        refused = self._refusal(calls, call, actor)
        if refused is not None:
            return refused
        try:
            params = ApplyAndCallParams.decode(b"" if call.params is None else call.params.data)
        except ParamsError as error:
            return CallResult(ExitCode.USR_SERIALIZATION, message=str(error))
        count = len(params.authorizations)
        text = count_refusal(self._variant, count) or self._value_refusal(call, params)
        if not text:
            calls.gas.charge("OnAuthorizations", to_milligas(GAS["authorization"] * count))
            text = self._apply(calls, actor, params)
        return CallResult(ExitCode.USR_ILLEGAL_ARGUMENT, message=text) if text else self._call(calls, actor, params)

    def _refusal(self, calls: CallManager, call: Call, actor: ActorID) -> CallResult | None:
        """Return the result for a caller that may not use ApplyAndCall."""
        if calls.depth == 1 and call.from_ == actor:
            return None
        return CallResult(
            ExitCode.USR_FORBIDDEN, message="ApplyAndCall must be called by a message from the account to itself"
        )

    def _value_refusal(self, call: Call, params: ApplyAndCallParams) -> str:
        if params.value == call.value:
            return ""
        return f"the call's value is {params.value} attoFIL, the message's {call.value}: they must be equal"

    def _apply(self, calls: CallManager, actor: ActorID, params: ApplyAndCallParams) -> str:
        """Apply the valid authorizations. Return an error if none may be applied, otherwise an empty text."""
        chain_id = calls.machine.context.chain_id
        signed = [(authority_of(item, chain_id), item) for item in params.authorizations]
        authorities = [authority for authority, _ in signed if authority is not None]
        if not self._variant.repeats and len(set(authorities)) < len(authorities):
            return "an account has signed several authorizations, at most one per transaction is allowed"
        for authority, item in signed:
            if authority is not None:
                self._authorize(calls, authority, item)
        return ""

    def _authorize(self, calls: CallManager, authority: EthAddress, item: Authorization) -> None:
        """Set or clear the delegated code of an account; skipped unless it is an account with the given nonce."""
        address = to_filecoin(authority)
        actor = calls.tree.lookup_id(address)
        state = None if actor is None else calls.get_actor(actor)
        manifest = calls.machine.manifest
        if state is not None and manifest.name_of(state.code) not in ("placeholder", "ethaccount"):
            return
        if item.nonce != self._nonce(calls, authority, state):
            return
        if actor is None or state is None:
            prices = calls.prices
            cost = prices.actor_create + prices.address_assignment + prices.address_lookup
            calls.gas.charge("OnCreateActor", cost, cost)
            actor = calls.tree.register_address(address) if actor is None else actor
            state = ActorState(manifest.code("ethaccount"), delegated_address=address)
        calls.gas.charge("OnDelegation", to_milligas(GAS["delegation"]))
        transient = "TRANSIENT" in calls.machine.context.network.evm
        head = _delegated_head(calls.machine.store, state.head, item.address, transient)
        own_map = self._variant.nonce_source == "map"
        nonce = state.nonce if own_map else item.nonce + 1
        calls.set_actor(actor, replace(state, code=manifest.code("ethaccount"), head=head, nonce=nonce))
        if own_map:
            self._count(calls, authority, item.nonce + 1)

    def _nonce(self, calls: CallManager, authority: EthAddress, state: ActorState | None) -> int:
        if self._variant.nonce_source == "own":
            return 0 if state is None else state.nonce
        calls.gas.charge("OnDelegationNonce", to_milligas(GAS["nonce"]))
        actor = calls.get_actor(NONCES)
        return 0 if actor is None else _nonces(calls.machine.store, actor).get(authority) or 0

    def _count(self, calls: CallManager, authority: EthAddress, nonce: int) -> None:
        store, actor = calls.machine.store, calls.get_actor(NONCES)
        if actor is None:  # the state was created without the lab
            store.put(CODE, CODE_BLOCK)
            actor = ActorState(CODE, put_cbor(store, encode([link(Hamt(store).flush())])))
        nonces = _nonces(store, actor)
        nonces.set(authority, nonce)
        calls.set_actor(NONCES, replace(actor, head=put_cbor(store, encode([link(nonces.flush())]))))

    def _call(self, calls: CallManager, actor: ActorID, params: ApplyAndCallParams) -> CallResult:
        reserve = to_milligas(self._variant.reserve)
        if calls.gas.available <= reserve:
            calls.gas.charge("OnKeptAuthorizations", reserve + 1)
        block = Block(CBOR, byte_string(params.data)) if params.data else None
        method, limit = self._outer_method(calls, params.to), calls.gas.available - reserve if reserve else None
        call = Call(
            actor, to_filecoin(params.to), method, block if method else None, TokenAmount(params.value), limit
        )  # fmt: skip
        outer, self._outer = self._outer, call
        try:
            result = calls.send(call)
        except SyscallError as error:
            result = CallResult(ExitCode.SYS_ASSERTION_FAILED, message=error.message)
        finally:
            self._outer = outer
        output = b"" if result.block is None else unwrap_return(result.block.data)
        return self._charge_result(calls, result, output)

    def _outer_method(self, calls: CallManager, to: EthAddress) -> MethodNumber:
        """Return the method of the call that follows the authorizations."""
        return INVOKE_EVM

    def _charge_result(self, calls: CallManager, result: CallResult, output: bytes) -> CallResult:
        """Return the result `[status, output]` and charge for it; the output is dropped if there is not enough gas."""
        succeeded = result.exit_code == ExitCode.OK
        answer = encode_outcome(succeeded, output)
        price = calls.prices.storage_per_byte if calls.depth == 1 else 0
        if price * len(answer) > calls.gas.available:
            answer = encode_outcome(succeeded, b"")
        storage = min(price * len(answer), calls.gas.available)
        calls.gas.charge("OnChainReturnValue", storage, storage)
        text = "" if succeeded else result.message or f"the call exited with {result.exit_code}"
        return CallResult(ExitCode.OK, Block(CBOR, answer), text)


def count_refusal(variant: DelegationVariant, count: int) -> str:
    """Return an error for an invalid number of authorizations, otherwise an empty text."""
    if not count:
        return "a transaction of type 4 needs at least one authorization"
    if variant.max_authorizations is not None and count > variant.max_authorizations:
        return f"{count} authorizations: at most {variant.max_authorizations} in a transaction"
    return ""


def _method_answer(result: CallResult) -> CallResult:
    """Return the result of `handle_filecoin_method` as the method's exit code and block."""
    try:
        output = b"" if result.block is None else read_byte_string(result.block.data)
        exit_code, answer = decode_method_return(output)
    except (ParamsError, AbiError) as error:
        return CallResult(ExitCode.USR_SERIALIZATION, message=f"the contract's return value is malformed: {error}")
    block = None if answer is None else Block(CBOR, answer)
    if 0 < exit_code < FIRST_USER_EXIT_CODE:
        exit_code = ExitCode.SYS_ILLEGAL_EXIT_CODE
    return CallResult(exit_code, block, "exit of handle_filecoin_method" if exit_code else "")


def calldata_for(call: Call) -> bytes:
    """Return the calldata for a call of an account's code. Raises ParamsError."""
    codec, data = (0, b"") if call.params is None else (call.params.codec, call.params.data)
    if call.method != INVOKE_EVM:
        return encode_method_calldata(call.method, codec, data)
    return b"" if call.params is None else calldata_of(codec, data)


def live_code(calls: CallManager, state: ActorState) -> Cid | None:
    """Return the bytecode of a contract, None if it has no state or an earlier message destroyed it."""
    contract = evm_state_at(calls.machine.store, state.head)
    if contract is None or (
        contract.tombstone is not None and contract.tombstone != Lifespan(calls.origin, calls.nonce)
    ):
        return None
    return contract.bytecode


def ethereum_address(calls: CallManager, actor: ActorID) -> EthAddress:
    """Return an actor's Ethereum address, which contains the ID if it has no f410 address."""
    state = calls.get_actor(actor)
    address = None if state is None else from_delegated(state.delegated_address)
    return masked_id(actor) if address is None else address


def _delegated_head(store: Blockstore, head: Cid, delegate: EthAddress, transient: bool) -> Cid:
    """Write an account's state with the delegate's code (none for the zero address); its storage stays."""
    empty = Kamt(store, None).flush()
    contract = evm_state_at(store, head)
    storage = empty if contract is None else contract.storage
    code = DELEGATION_PREFIX + delegate if any(delegate) else b""
    if not code and storage == empty:
        return EMPTY_ARRAY_CID
    bytecode = cid_of(code, RAW)
    store.put(bytecode, code)
    return put_cbor(store, EvmState(bytecode, bytes(keccak(code)), storage, None, 1, None).encode(transient))


def _nonces(store: Blockstore, actor: ActorState) -> Hamt:
    (root,) = get_object(store, actor.head)
    return Hamt(store, unlink(root))


LAB: Final = Lab(
    what="Ethereum accounts that run a contract's code in their own name, by transactions of type 4",
    network=f"{__name__}:with_accounts",
    genesis=f"{__name__}:install_nonces",
    calls=f"{__name__}:with_delegations",
    machine=f"{__name__}:register_nonces",
    option="variant of the rules: fip for FIP-0111 (the default), eip for EIP-7702, actor for the branches of "
    "builtin-actors and ref-fvm",
)


def with_accounts(rules: NetworkRules, option: str) -> NetworkRules:
    """Return rules that accept transactions of type 4. Raises InvalidInput for an unknown variant."""
    messages = AccountMessages(rules.messages, variant_of(option))
    return replace(
        rules,
        features=rules.features._replace(
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
        signed = receipt.candidate.transaction if receipt.candidate.kind == SET_CODE else None
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
