"""The EVM actor's methods under Ethereum's rules.

Contracts are called by InvokeEVM, run another contract's code by a call to themselves, and are created by a call of
method 1 with init code. Native actors call and query them as on the network.
"""

from collections.abc import Callable
from typing import cast

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import CodeDeployed, EvmFault, EvmFrame
from bridge.filecoin.call import (
    FIRST_CALLABLE_METHOD,
    AbiError,
    BlockTooLarge,
    decode_method_return,
    encode_method_calldata,
)
from bridge.filecoin.cbor import ParamsError, byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import ConstructorParams, DelegateCallParams, calldata_of, storage_key, storage_value
from hypervisor.errors import ActorExit, OutOfGas
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ExitCode
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.machine.registry import Outcome
from hypervisor.types import INIT_ACTOR, METHOD_CONSTRUCTOR, NO_BLOCK, SYSTEM_ACTOR, ActorID, BlockId
from runtimes.evm.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.code import Code, CodeCache, code_too_long
from runtimes.evm.engine import (
    Engine,
    EngineRules,
    Frame,
    FrameOutcome,
    FrameStopped,
    Status,
    SubcallInputs,
    SubcallOutcome,
)
from runtimes.evm.ethereum.accounts import EMPTY_CODE
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.forks import code_limits
from runtimes.evm.ethereum.host import EthereumHost
from runtimes.evm.ethereum.native import NativeCalls
from runtimes.evm.ethereum.subcalls import execute_subcall, return_block
from runtimes.evm.gas_table import words
from runtimes.evm.host import GET_BYTECODE, GET_BYTECODE_HASH
from store.cid import CBOR, DAG_CBOR, Cid
from store.codec import encode, link

_RESERVED_BYTE = 0xEF  # EIP-3541
_GET_STORAGE_AT = 5


def _execute_subcall(host: EthereumHost, inputs: SubcallInputs) -> SubcallOutcome:
    frames = host.frames
    try:
        return execute_subcall(host, inputs) if frames is None else frames.execute_subcall(host, inputs)
    except OutOfGas:
        if host.steps is not None:
            host.steps.step(EvmFault(OutOfGas.__name__))
        raise


def code_to_run(calls: EthereumCalls, codes: CodeCache, actor: ActorID) -> Code:
    """Return the code that a call of a contract runs: its own, or its delegate's."""
    return code_of(calls, codes, calls.accounts.code_cid(actor))


def code_of(calls: EthereumCalls, codes: CodeCache, cid: Cid) -> Code:
    """Return the code that a call of a contract with the code `cid` runs."""
    accounts = calls.accounts
    delegate = accounts.code_size_and_delegate(cid)[1] if calls.environment.fork.delegations else None
    if delegate is not None:
        cid = accounts.code_cid(accounts.find(delegate))
    return codes.cached(cid) or codes.get(cid, accounts.code_block(cid))


class EthereumInvocation:
    """One invocation of a contract."""

    def __init__(self, kernel: Kernel, codes: CodeCache, new_engine: Callable[[EngineRules], Engine]) -> None:
        self._kernel = kernel
        self._calls = cast(EthereumCalls, kernel.calls)
        self._codes = codes
        self._new_engine = new_engine
        self._actor = kernel.context.receiver

    def run(self, params: BlockId) -> Outcome:
        """Run the method; a frame that fails without reverting consumes all its gas."""
        try:
            return self._method(self._kernel.ipld.find(params))
        except OutOfGas as error:
            return self._failure(ExitCode.SYS_OUT_OF_GAS, str(error))
        except ParamsError as error:
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=str(error)) from None

    def _method(self, params: Block | None) -> Outcome:
        number = self._kernel.context.method
        if number == INVOKE_EVM:
            ended = self._invoke(b"" if params is None else calldata_of(params.codec, params.data))
            is_empty = self._calls.accounts.code_cid(self._actor) == EMPTY_CODE  # slots alone make it a contract
            return Outcome(ExitCode.OK) if is_empty else self._outcome_of(ended)
        if number == INVOKE_CONTRACT_DELEGATE:
            return self._delegate(params)
        if number == METHOD_CONSTRUCTOR:
            return self._construct(params)
        if number in (GET_BYTECODE, GET_BYTECODE_HASH):
            return self._query_code(number)
        if number == _GET_STORAGE_AT:
            return self._storage_at(params)
        if number >= FIRST_CALLABLE_METHOD:
            return self._filecoin_method(params)
        raise ActorExit(ExitCode.USR_UNHANDLED_MESSAGE, message=f"the EVM actor has no method {number}")

    # --- calls ------------------------------------------------------------------------------------------------

    def _invoke(self, calldata: bytes) -> FrameOutcome:
        calls, context = self._calls, self._kernel.context
        if isinstance(calls, NativeCalls):
            caller = calls.accounts.address_of(context.caller)
            return calls.enter(self._actor, caller, context.value, calldata, context.read_only)
        code = code_to_run(calls, self._codes, self._actor)
        return self._frame(code, calldata, calls.accounts.address_of(context.caller), context.value)

    def _filecoin_method(self, params: Block | None) -> Outcome:
        """Forward a method number of 1024 or more, called by a native actor, to handle_filecoin_method."""
        codec, data = (0, b"") if params is None else (params.codec, params.data)
        ended = self._invoke(encode_method_calldata(self._kernel.context.method, codec, data))
        if ended.status is not Status.SUCCESS:
            return self._outcome_of(ended)
        try:
            exit_code, returned_data = decode_method_return(ended.data)
        except (AbiError, BlockTooLarge) as error:
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=f"the contract's return data: {error}") from None
        block = NO_BLOCK if returned_data is None else self._kernel.ipld.create(CBOR, returned_data)
        if 0 < exit_code < FIRST_USER_EXIT_CODE:
            exit_code = ExitCode.SYS_ILLEGAL_EXIT_CODE  # lower codes are reserved for the system
        return Outcome(exit_code, block)

    def _delegate(self, params: Block | None) -> Outcome:
        context = self._kernel.context
        if params is None or params.codec != DAG_CBOR:
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message="the method needs parameters in DAG-CBOR")
        if context.caller != context.receiver:
            raise ActorExit(ExitCode.USR_FORBIDDEN, message="only the contract itself may call this method")
        call = DelegateCallParams.decode(params.data)
        code = self._codes.get(call.code, self._calls.accounts.code_block(call.code))
        return self._outcome_of(self._frame(code, call.calldata, call.caller, call.value))

    # --- construction -----------------------------------------------------------------------------------------

    def _construct(self, params: Block | None) -> Outcome:
        """Run init code; its return value becomes the contract's code, at a price per byte.

        A creating contract passes the plain init code; the init actor, called by a native actor, passes the network's
        parameters.
        """
        accounts, context = self._calls.accounts, self._kernel.context
        if context.caller == INIT_ACTOR:
            call = ConstructorParams.decode(b"" if params is None else params.data)
            if isinstance(self._calls, NativeCalls):
                ended = self._calls.enter(self._actor, call.creator, context.value, call.init_code, creates=True)
                return Outcome(ExitCode.OK) if ended.status is Status.SUCCESS else self._outcome_of(ended)
            accounts.create(self._actor)
            caller, init_code = call.creator, call.init_code
        else:
            caller, init_code = accounts.address_of(context.caller), b"" if params is None else params.data
        ended = self._frame(Code(init_code), b"", caller, context.value)
        if ended.status is not Status.SUCCESS:
            return self._outcome_of(ended)
        code, gas = ended.data, self._kernel.gas
        fork = self._calls.environment.fork
        if fork.reserves_0xef and code[:1] == bytes([_RESERVED_BYTE]):
            return self._failure(ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION, "code begins with the reserved byte 0xef")
        price = fork.gas.code_byte * len(code) + fork.gas.code_word * words(len(code))
        if not fork.pays_for_creation and price > gas.available:
            return Outcome(ExitCode.OK)  # the contract exists without code
        gas.charge("OnCodeDeposit", price)
        if self._calls.state_gas is not None:
            gas.charge("OnStateGas", self._calls.state_gas.charge(fork.gas.state_byte * len(code)))
        block = self._calls.environment.block
        longest = None if block.exempt == accounts.address_of(self._actor) else code_limits(block, fork)[0]
        if longest is not None and len(code) > longest:
            reason = code_too_long(len(code), longest)
            self._calls.backtrace.set_cause(reason)
            raise OutOfGas(reason)
        if code:
            accounts.set_code(self._actor, code)
        if self._calls.tracer is not None:
            self._calls.tracer.event(CodeDeployed(code))
        return Outcome(ExitCode.OK)

    # --- queries of native actors -----------------------------------------------------------------------------

    def _query_code(self, method: int) -> Outcome:
        accounts = self._calls.accounts
        if method == GET_BYTECODE_HASH:
            return self._return_block(CBOR, byte_string(accounts.code_hash(self._actor)))
        return self._return_block(DAG_CBOR, encode(link(accounts.code_cid(self._actor))))

    def _storage_at(self, params: Block | None) -> Outcome:
        key = storage_key(b"" if params is None else params.data)
        if self._kernel.context.caller != SYSTEM_ACTOR:
            raise ActorExit(ExitCode.USR_FORBIDDEN, message=f"only f0{SYSTEM_ACTOR} may call this method")
        return self._return_block(CBOR, storage_value(self._calls.accounts.load(self._actor, key)[0]))

    def _return_block(self, codec: int, data: bytes) -> Outcome:
        return Outcome(ExitCode.OK, self._kernel.ipld.accept(Block(codec, data)))

    # --- a frame ----------------------------------------------------------------------------------------------

    def _frame(self, code: Code, calldata: bytes, caller: EthAddress, value: int) -> FrameOutcome:
        context, calls = self._kernel.context, self._calls
        address = calls.accounts.address_of(self._actor)
        frame = Frame(calls.environment.fork, code, calldata, caller, address, value, context.read_only)
        if calls.tracer is not None:
            calls.tracer.event(EvmFrame(address, code.data))
        host = EthereumHost(self._kernel, calls, address, caller, value)
        engine = self._new_engine(calls.environment.fork)
        try:
            step = engine.start(frame, host)
            while not isinstance(step, FrameOutcome):
                step = engine.resume(_execute_subcall(host, step))
        except FrameStopped as stopped:
            step = FrameOutcome(Status.REVERT, stopped.output)
        host.gas.settle()
        return step

    def _outcome_of(self, ended: FrameOutcome) -> Outcome:
        if ended.status in (Status.SUCCESS, Status.REVERT):
            return Outcome(ended.status, self._kernel.ipld.accept(return_block(ended.data)))
        return self._failure(ended.status, ended.status.name, is_plain=True)

    def _failure(self, exit_code: int, message: str, *, is_plain: bool = False) -> Outcome:
        self._calls.exhaust()
        return Outcome(exit_code, message=message, is_plain=is_plain)
