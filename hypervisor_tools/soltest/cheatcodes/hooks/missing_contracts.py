"""Interception of calls under Filecoin's rules, and diagnosis of calls to contracts missing on the active fork.

The call manager passes contract calls between actors here. A frame's state is written before a call and read again
afterwards, so cheatcodes change actors directly. Unsupported: pranked delegate calls, and recording of slots. The
diagnosis has forge's words.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from bridge.ethereum.addresses import (
    EthAddress,
    address_of_actor,
    checksummed,
    create2_address,
    create_address,
    unmask_id,
)
from bridge.filecoin.cbor import ParamsError, byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import (
    CREATE2_METHOD,
    CREATE_METHOD,
    Create2Params,
    CreateParams,
    CreateReturn,
    DelegateCallParams,
    calldata_of,
    unwrap_return,
)
from hypervisor.errors import OutOfGas, SyscallError
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.types import EAM_ACTOR, ActorID, MethodNumber, TokenAmount
from hypervisor_tools.soltest.cheatcodes.context import CallOperations, Cheats, Context
from hypervisor_tools.soltest.cheatcodes.failures import ERROR, CheatcodeFailure, failure_data
from hypervisor_tools.soltest.cheatcodes.fork_access import is_denied
from hypervisor_tools.soltest.cheatcodes.interception import begin_call, end_call, make_call
from hypervisor_tools.soltest.cheatcodes.ledger import FilecoinLedger, Ledger
from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, VM_ADDRESS
from runtimes.evm import INVOKE_CONTRACT_DELEGATE, CallKind, SubcallOutcome
from runtimes.evm.revm import InterceptedCall
from store.cid import CBOR

_SELECTOR: Final = 4
"""Size of a function selector in bytes."""


def note_missing(
    cheats: Cheats,
    ledger: Ledger,
    request: InterceptedCall,
    outcome: SubcallOutcome,
    precompiles: Collection[EthAddress],
) -> None:
    """Note a successful call of a contract that the active fork lacks, and a contract that may not use cheatcodes."""
    state, target = cheats.state, request.target
    if not outcome.success:
        return
    if request.kind is not None:
        known = target in precompiles or unmask_id(target) is not None
        if len(request.data) >= _SELECTOR and not known and not ledger.code(target):
            state.missing = missing_contract(cheats, target) or state.missing
    elif outcome.created is not None and is_denied(cheats, request.caller):
        state.denied.add(outcome.created)


def missing_contract(cheats: Cheats, address: EthAddress) -> str | None:
    """Return the diagnosis of a call to an address without code; None without an active fork."""
    origin = cheats.origin
    active = None if origin is None else origin.active
    if origin is None or active is None:
        return None
    left, name = cheats.state.forks.left, checksummed(address)
    others = [number for number in sorted(left) if number != active and origin.holds(left[number], address)]
    if others:
        listed = ", ".join(map(str, others))
        return (
            f"Contract {name} does not exist on active fork with id `{active}`\n"
            f"        But exists on non active forks: `[{listed}]`"
        )
    if address in cheats.state.persistent:
        return f"Contract {name} does not exist"
    return f"Contract {name} does not exist and is not marked as persistent, see `vm.makePersistent()`"


def send(cheats: Cheats, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
    """Handle a call between actors below the test itself."""
    actor = calls.tree.lookup_id(call.to)
    target = _target(calls, call, actor)
    if target is None:
        return proceed(call)
    data = b"" if call.params is None else _calldata(call)
    if target == VM_ADDRESS:
        context = Context(
            cheats, calls, address_of_actor(calls.tree, call.from_), calls.depth, FilecoinLedger(cheats.machine)
        )
        return calls.trace_intercepted(call, _result(cheats.run_cheatcode(context, data)))
    if target == CONSOLE_ADDRESS:
        refusal = cheats.console.call(data)
        if refusal is None and call.value:
            return proceed(call)
        outcome = SubcallOutcome(True) if refusal is None else SubcallOutcome(False, failure_data(refusal, ERROR))
        return calls.trace_intercepted(call, _result(outcome))
    if not cheats.is_armed:
        return proceed(call)
    if not cheats.state.forks.forks:
        return _intercept_call(cheats, calls, call, target, data, proceed)
    missing, is_denied_caller = _missing_on_fork(cheats, call, target, data), _is_denied_creation(cheats, calls, call)
    try:
        result = _intercept_call(cheats, calls, call, target, data, proceed)
    finally:
        cheats.state.missing = missing or cheats.state.missing
    if is_denied_caller and result.exit_code == ExitCode.OK and result.block is not None:
        cheats.state.denied.add(CreateReturn.decode(result.block.data).eth_address)
    return result


def _missing_on_fork(cheats: Cheats, call: Call, target: EthAddress, data: bytes) -> str | None:
    """Return the diagnosis of a call to a contract missing on the fork, or None."""
    if call.method != INVOKE_EVM or len(data) < _SELECTOR or unmask_id(target) is not None:
        return None
    return None if FilecoinLedger(cheats.machine).code(target) else missing_contract(cheats, target)


def _is_denied_creation(cheats: Cheats, calls: CallManager, call: Call) -> bool:
    """Return True if the created contract may not use cheatcodes, because its creator may not."""
    return _kind_of(call) is None and is_denied(cheats, address_of_actor(calls.tree, call.from_))


def _target(calls: CallManager, call: Call, actor: ActorID | None) -> EthAddress | None:
    """Return the contract that is called; None if the call is not a contract call."""
    if call.method == INVOKE_EVM:
        if actor is not None:
            return address_of_actor(calls.tree, actor)
        payload = call.to.payload
        return EthAddress(payload[1:]) if payload[:1] == b"\x0a" else None
    if call.method == INVOKE_CONTRACT_DELEGATE and actor == call.from_:
        return address_of_actor(calls.tree, call.from_)
    if actor == EAM_ACTOR:
        return address_of_actor(calls.tree, call.from_)
    return None


def _calldata(call: Call) -> bytes:
    assert call.params is not None
    try:
        if call.method == INVOKE_CONTRACT_DELEGATE:
            return DelegateCallParams.decode(call.params.data).calldata
        if call.method == INVOKE_EVM:
            return calldata_of(call.params.codec, call.params.data)
    except ParamsError:
        return call.params.data
    return call.params.data


def _intercept_call(
    cheats: Cheats, calls: CallManager, call: Call, target: EthAddress, data: bytes,
    proceed: Callable[[Call], CallResult],
) -> CallResult:  # fmt: skip
    ledger = FilecoinLedger(cheats.machine)
    kind, caller = _kind_of(call), address_of_actor(calls.tree, call.from_)
    salt: bytes | None = None
    if kind is None:
        try:
            target, data, salt = _creation(caller, call.method, data)
        except ParamsError:
            return proceed(call)
    made: list[tuple[SubcallOutcome, CallResult]] = []

    def make(sender: EthAddress | None, code: EthAddress | None) -> SubcallOutcome:
        assert code is None, "functions are mocked under Ethereum's rules only"
        result = proceed(call if sender is None else replace(call, from_=ledger.touch(sender)))
        made.append((_answer_of(result, kind), result))
        return made[0][0]

    gas = (calls.gas.available if call.gas_limit is None else call.gas_limit) // MILLIGAS_PER_GAS
    request = InterceptedCall(
        kind, caller, target, target, call.value, data, gas, call.read_only, calls.depth, salt is not None, salt or b""
    )
    operations = CallOperations(
        ledger=ledger,
        proceed=make,
        pay=lambda payer, amount: _pay(calls, ledger, payer, target, amount),
        set_origin=lambda origin: cheats.set_origin(calls, origin),
        origin=address_of_actor(calls.tree, calls.origin),
        chain_id=calls.machine.context.chain_id,
        fork_url=lambda: cheats.fork_url,
        uses_deployer=cheats.settings.uses_deployer,
    )
    decision = begin_call(cheats, request, ledger, operations)
    outcome, sender = make_call(cheats, request, decision, operations)
    outcome = end_call(cheats, request, sender, outcome, operations)
    if made and outcome is made[0][0]:
        return made[0][1]
    if kind is None and outcome.success:
        made_up = CreateReturn(ActorID(0), None, outcome.created or EthAddress(bytes(20)))
        return CallResult(ExitCode.OK, Block(CBOR, made_up.encode()))
    return _result(outcome)


def create(
    machine: Hypervisor, calls: CallManager, caller: EthAddress, code: bytes, value: int, salt: bytes | None
) -> SubcallOutcome:
    """Create a contract as CREATE or CREATE2 of the caller, through the address manager. Raises CheatcodeFailure."""
    ledger = FilecoinLedger(machine)
    method, nonce = CREATE_METHOD if salt is None else CREATE2_METHOD, ledger.nonce(caller)
    params = CreateParams(code, nonce) if salt is None else Create2Params(code, salt)
    ledger.set_nonce(caller, nonce + 1)
    block = Block(CBOR, params.encode())
    call = Call(ledger.touch(caller), Address.id(EAM_ACTOR), MethodNumber(method), block, TokenAmount(value))
    try:
        return _answer_of(calls.send(call), None)
    except SyscallError:
        return SubcallOutcome(False)
    except OutOfGas as error:
        raise CheatcodeFailure(str(error)) from None


def _creation(caller: EthAddress, method: int, params: bytes) -> tuple[EthAddress, bytes, bytes | None]:
    """Return the address of a new contract, its init code, and the salt of CREATE2. Raises ParamsError."""
    if method == CREATE2_METHOD:
        second = Create2Params.decode(params)
        return create2_address(caller, second.salt, second.init_code), second.init_code, second.salt
    first = CreateParams.decode(params)
    return create_address(caller, first.nonce), first.init_code, None


def _kind_of(call: Call) -> CallKind | None:
    if call.method == INVOKE_CONTRACT_DELEGATE:
        return CallKind.DELEGATECALL
    if call.method != INVOKE_EVM:
        return None
    return CallKind.STATICCALL if call.read_only else CallKind.CALL


def _answer_of(result: CallResult, kind: CallKind | None) -> SubcallOutcome:
    """Return a call's result in the form that contracts see."""
    ok, data = result.exit_code == ExitCode.OK, b"" if result.block is None else result.block.data
    if kind is None and ok:
        return SubcallOutcome(True, created=CreateReturn.decode(data).eth_address)
    return SubcallOutcome(ok, unwrap_return(data) if data else b"")


def _pay(calls: CallManager, ledger: FilecoinLedger, payer: EthAddress, payee: EthAddress, amount: int) -> bool:
    try:
        calls.transfer(ledger.touch(payer), ledger.touch(payee), TokenAmount(amount))
    except SyscallError:
        return False
    return True


def _result(outcome: SubcallOutcome) -> CallResult:
    code = ExitCode.OK if outcome.success else ExitCode.EVM_CONTRACT_REVERTED
    return CallResult(code, Block(CBOR, byte_string(outcome.output)) if outcome.output or outcome.success else None)
