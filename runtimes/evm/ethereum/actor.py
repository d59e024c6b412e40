"""The EVM actor's methods under Ethereum's rules.

A contract is called by InvokeEVM, runs another's code by a call to itself, and comes into being by a call of method 1
with init code.
"""

from collections.abc import Callable
from typing import cast

from bridge.addresses import EthAddress
from bridge.cbor import ParamsError
from bridge.evm_steps import EvmFault
from bridge.method_numbers import INVOKE_EVM
from bridge.params import DelegateCallParams, calldata_of
from hypervisor.blocks import Block
from hypervisor.errors import ActorExit, OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import Kernel
from hypervisor.runtime import Outcome
from hypervisor.types import METHOD_CONSTRUCTOR, BlockId
from runtimes.evm.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.code import Code, CodeCache, analyse
from runtimes.evm.engine import Answer, Ask, Engine, EngineRules, Frame, FrameOutcome, Status
from runtimes.evm.ethereum import prices
from runtimes.evm.ethereum.answers import answer, returned
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.host import EthereumHost
from store.cid import DAG_CBOR

_RESERVED_BYTE = 0xEF  # EIP-3541


def _answered(host: EthereumHost, ask: Ask) -> Answer:
    try:
        return answer(host, ask)
    except OutOfGas:
        if host.steps is not None:
            host.steps.step(EvmFault(OutOfGas.__name__))
        raise


class Invocation:
    """One invocation of a contract."""

    def __init__(self, kernel: Kernel, codes: CodeCache, new_engine: Callable[[EngineRules], Engine]) -> None:
        self._kernel = kernel
        self._calls = cast(EthereumCalls, kernel.calls)
        self._codes = codes
        self._new_engine = new_engine
        self._actor = kernel.context.receiver

    def run(self, params: BlockId) -> Outcome:
        """Run the method; a frame that fails without reverting has used up its gas."""
        try:
            return self._method(self._kernel.ipld.find(params))
        except OutOfGas as error:
            return self._failed(ExitCode.SYS_OUT_OF_GAS, str(error))
        except ParamsError as error:
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=str(error)) from None

    def _method(self, params: Block | None) -> Outcome:
        context = self._kernel.context
        match context.method:
            case number if number == INVOKE_EVM:
                return self._invoke(b"" if params is None else calldata_of(params.codec, params.data))
            case number if number == INVOKE_CONTRACT_DELEGATE:
                return self._delegate(params)
            case number if number == METHOD_CONSTRUCTOR:
                return self._construct(b"" if params is None else params.data)
            case number:
                raise ActorExit(ExitCode.USR_UNHANDLED_MESSAGE, message=f"the EVM actor has no method {number}")

    def _invoke(self, calldata: bytes) -> Outcome:
        accounts, context = self._calls.accounts, self._kernel.context
        cid = accounts.code_cid(self._actor)
        delegate = accounts.delegate_of(self._actor) if self._calls.surroundings.fork.delegations else None
        if delegate is not None:
            cid = accounts.code_cid(accounts.find(delegate))
        code = self._codes.get(cid, accounts.code_block(cid))
        return self._answer(self._frame(code, calldata, accounts.address_of(context.caller), context.value))

    def _delegate(self, params: Block | None) -> Outcome:
        context = self._kernel.context
        if params is None or params.codec != DAG_CBOR:
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message="the method takes parameters as DAG-CBOR")
        if context.caller != context.receiver:
            raise ActorExit(ExitCode.USR_FORBIDDEN, message="only the contract itself may call this method")
        asked = DelegateCallParams.decode(params.data)
        code = self._codes.get(asked.code, self._calls.accounts.code_block(asked.code))
        return self._answer(self._frame(code, asked.calldata, asked.caller, asked.value))

    def _construct(self, init_code: bytes) -> Outcome:
        """Run init code; what it returns becomes the contract's code, at a price for each byte."""
        accounts, context = self._calls.accounts, self._kernel.context
        caller = accounts.address_of(context.caller)
        ended = self._frame(analyse(init_code), b"", caller, context.value)
        if ended.status is not Status.SUCCESS:
            return self._answer(ended)
        code, gas = ended.data, self._kernel.gas
        if code[:1] == bytes([_RESERVED_BYTE]):
            return self._failed(ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION, "code begins with the reserved byte 0xef")
        gas.charge("OnCodeDeposit", prices.CODE_BYTE * len(code))
        if len(code) > prices.MAX_CODE_SIZE:
            raise OutOfGas(f"code of {len(code)} bytes is too long")
        if code:
            accounts.set_code(self._actor, code)
        return Outcome(ExitCode.OK)

    def _frame(self, code: Code, calldata: bytes, caller: EthAddress, value: int) -> FrameOutcome:
        context, calls = self._kernel.context, self._calls
        address = calls.accounts.address_of(self._actor)
        frame = Frame(calls.surroundings.fork, code, calldata, caller, address, value, context.read_only)
        host = EthereumHost(calls, self._actor, address, caller, value, context.read_only)
        engine = self._new_engine(calls.surroundings.fork)
        step = engine.start(frame, host)
        while not isinstance(step, FrameOutcome):
            step = engine.resume(_answered(host, step))
        host.gas.settle()
        return step

    def _answer(self, ended: FrameOutcome) -> Outcome:
        if ended.status in (Status.SUCCESS, Status.REVERT):
            block = self._kernel.ipld.accept(returned(ended.data)) if ended.data else BlockId(0)
            return Outcome(ended.status, block)
        return self._failed(ended.status, ended.status.name)

    def _failed(self, exit_code: int, message: str) -> Outcome:
        self._calls.exhaust()
        return Outcome(exit_code, message=message)
