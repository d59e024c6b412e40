"""Runs a frame to its end; engine and machine alternate, so that neither is on the other's stack."""

from bridge.cbor import ParamsError
from bridge.params import CREATE2_METHOD, CREATE_METHOD, Create2Params, CreateParams, CreateReturn
from hypervisor.address import Address
from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import ExitCode
from hypervisor.types import EAM_ACTOR, MethodNumber, TokenAmount
from runtimes.evm.calls import execute_call, returned
from runtimes.evm.engine import CallInputs, CreateInputs, Engine, Frame, FrameOutcome, SubcallOutcome
from runtimes.evm.gas_limits import gas_limit
from runtimes.evm.host import FilecoinHost
from store.cid import CBOR


def execute_create(host: FilecoinHost, inputs: CreateInputs) -> SubcallOutcome:
    """Create a contract. Both opcodes increment the nonce, even if the creation fails."""
    size = len(inputs.init_code)
    host.hold(size, copies=1)
    host.hold(size, copies=3, failure=ExitCode.USR_SERIALIZATION)  # encoding the parameters
    nonce = host.contract.next_nonce()
    if inputs.salt is None:
        method, params = CREATE_METHOD, CreateParams(inputs.init_code, nonce).encode()
    else:
        method, params = CREATE2_METHOD, Create2Params(inputs.init_code, inputs.salt.to_bytes(32, "big")).encode()
    limit = gas_limit(host, (1 << 64) - 1)
    try:
        block = host.syscalls.create(CBOR, params)
        result = host.contract.send(
            Address.id(EAM_ACTOR), MethodNumber(method), block, TokenAmount(inputs.value), limit
        )
    except SyscallError:
        return SubcallOutcome(False)
    if result.exit_code != ExitCode.OK:
        return SubcallOutcome(False, returned(host, result))
    try:
        created = CreateReturn.decode(host.syscalls.read(result.block_id, result.size))
    except ParamsError as error:
        raise ActorExit(ExitCode.USR_SERIALIZATION, message=f"the address manager's return data: {error}") from None
    return SubcallOutcome(True, created=created.eth_address)


def execute(engine: Engine, frame: Frame, host: FilecoinHost) -> FrameOutcome:
    """Start the frame and execute its calls until it ends."""
    step = engine.start(frame, host)
    while not isinstance(step, FrameOutcome):
        outcome = execute_call(host, step) if isinstance(step, CallInputs) else execute_create(host, step)
        step = engine.resume(outcome)
    return step
