"""CALL, STATICCALL and DELEGATECALL: a precompile, a send, or a send to the contract itself with another's code.

Rules and order of checks: builtin-actors actors/evm instructions/call.rs.
"""

from typing import Final

from bridge.ethereum.addresses import to_filecoin
from bridge.evm_steps import ParametersTooLarge, PrecompileRefusal
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import DelegateCallParams, unwrap_return
from hypervisor.errors import OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.kernel import SendResult
from hypervisor.kernel.blocks import MAX_BLOCK_SIZE
from hypervisor.messages.address import Address
from hypervisor.tracing import CallEnded, CallStarted, Tracer
from hypervisor.types import METHOD_SEND, NO_BLOCK, BlockId, MethodNumber, TokenAmount
from runtimes.evm.contracts.engine import CallInputs, CallKind, SubcallOutcome
from runtimes.evm.contracts.host import AccountKind, FilecoinHost
from runtimes.evm.contracts.precompiles import PrecompileFailure, run_precompile
from runtimes.evm.contracts.syscalls import gas_limit
from store.cid import DAG_CBOR, RAW

INVOKE_CONTRACT_DELEGATE: Final = MethodNumber(6)
_VALUE_LIMIT: Final = 1 << 128
_TRANSFER_STIPEND: Final = 2300


def execute_call(host: FilecoinHost, inputs: CallInputs) -> SubcallOutcome:
    """Execute a call opcode."""
    host.hold(len(inputs.data), copies=1)
    if inputs.value >= _VALUE_LIMIT:
        return SubcallOutcome(False)
    if host.rules.is_reserved(inputs.address):
        return _call_precompile(host, inputs)
    host.syscalls.charge("OnEvmCall", host.rules.call_price)
    if inputs.kind is CallKind.DELEGATECALL:
        return _delegate(host, inputs)
    return _call(host, inputs)


def return_data(host: FilecoinHost, result: SendResult) -> bytes:
    """Return a send's return data as seen by a contract."""
    if result.block_id == NO_BLOCK:
        return b""
    return unwrap_return(host.syscalls.read(result.block_id, result.size))


def _create_params(host: FilecoinHost, codec: int, params: bytes, inputs: CallInputs) -> BlockId:
    """Create the block of a call's parameters. If it is too large, record why the call fails. Raises SyscallError."""
    try:
        return host.syscalls.create(codec, params)
    except SyscallError as error:
        if error.number == ErrorNumber.LIMIT_EXCEEDED:
            calls = host.syscalls.kernel.calls
            reason = (
                f"calldata of {len(inputs.data):,} bytes exceeds the network's limit: the parameters of a call have at "
                f"most {MAX_BLOCK_SIZE:,} bytes (1 MiB); make several calls"
            )
            calls.backtrace.set_cause(reason)
            if calls.tracer is not None:
                calls.tracer.event(ParametersTooLarge(inputs.address, inputs.data, inputs.value, reason))
        raise


def _call(host: FilecoinHost, inputs: CallInputs) -> SubcallOutcome:
    static = inputs.kind is CallKind.STATICCALL
    gas = inputs.gas
    if (gas == 0 and inputs.value > 0) or (gas == _TRANSFER_STIPEND and inputs.value == 0):
        gas = host.rules.transfer_gas_limit  # Solidity's transfer() and send(): the network raises their limit
    try:
        params = _create_params(host, RAW, inputs.data, inputs) if inputs.data else NO_BLOCK
        result = host.contract.send(
            to_filecoin(inputs.address), INVOKE_EVM, params, TokenAmount(inputs.value), gas_limit(host, gas), static
        )
    except SyscallError as error:
        # No such actor: the call succeeds without a transfer, as in the official actor. A static call must not even
        # create the placeholder.
        read_only = static or host.syscalls.kernel.context.read_only
        missing = error.number == ErrorNumber.NOT_FOUND or (read_only and error.number == ErrorNumber.READ_ONLY)
        return SubcallOutcome(missing)
    return SubcallOutcome(result.exit_code == ExitCode.OK, return_data(host, result))


def _delegate(host: FilecoinHost, inputs: CallInputs) -> SubcallOutcome:
    found = host.inspector.find(inputs.address)
    if found.kind is AccountKind.DELEGATED:
        found = host.inspector.delegate(found)  # resolved once only
    if found.kind is AccountKind.NATIVE:
        return SubcallOutcome(False)
    code = None if found.address is None else host.inspector.bytecode_cid(found.address)
    if code is None:
        return SubcallOutcome(True)
    params = DelegateCallParams(code, inputs.data, host.caller, TokenAmount(host.value))
    myself = Address.id(host.syscalls.kernel.context.receiver)
    try:
        block = _create_params(host, DAG_CBOR, params.encode(), inputs)
        result = host.contract.send(myself, INVOKE_CONTRACT_DELEGATE, block, gas_limit=gas_limit(host, inputs.gas))
    except SyscallError:
        return SubcallOutcome(False)
    return SubcallOutcome(result.exit_code == ExitCode.OK, return_data(host, result))


def _call_precompile(host: FilecoinHost, inputs: CallInputs) -> SubcallOutcome:
    calls, registered = host.syscalls.kernel.calls, host.rules.registered
    is_own = bool(registered) and host.rules.precompiles.get(inputs.address) in registered
    try:
        if is_own and calls.tracer is not None:
            output = _run_traced(host, inputs, calls.tracer)
        else:
            output = run_precompile(host, inputs)
    except PrecompileFailure as error:
        calls.backtrace.set_cause(f"precompile 0x{inputs.address.hex()}: {error}")
        if calls.tracer is not None and not is_own:
            calls.tracer.event(PrecompileRefusal(inputs.address, host.rules.precompiles[inputs.address], str(error)))
        return SubcallOutcome(False)
    if inputs.value:
        try:
            host.syscalls.send(to_filecoin(inputs.address), METHOD_SEND, value=TokenAmount(inputs.value))
        except SyscallError:
            return SubcallOutcome(False)
    return SubcallOutcome(True, output)


def _run_traced(host: FilecoinHost, inputs: CallInputs, tracer: Tracer) -> bytes:
    """Run a user's precompile and trace it as a call, as under Ethereum's rules; the network's own are not traced."""
    kernel, gas = host.syscalls.kernel, host.syscalls.kernel.calls.gas
    host.syscalls.settle()
    before, me, to = gas.used, kernel.context.receiver, to_filecoin(inputs.address)
    read_only = kernel.context.read_only or inputs.kind is CallKind.STATICCALL
    value = TokenAmount(inputs.value if inputs.kind is CallKind.CALL else 0)
    tracer.event(CallStarted(me, to, INVOKE_EVM, value, inputs.data, RAW, read_only, gas.available))
    try:
        output = run_precompile(host, inputs)
    except PrecompileFailure as error:
        tracer.event(CallEnded(ExitCode.USR_ILLEGAL_ARGUMENT, b"", 0, gas.used - before, message=str(error)))
        raise
    except OutOfGas as error:
        tracer.event(CallEnded(ExitCode.SYS_OUT_OF_GAS, b"", 0, gas.used - before, "OUT_OF_GAS", str(error)))
        raise
    tracer.event(CallEnded(ExitCode.OK, output, RAW, gas.used - before))
    return output
