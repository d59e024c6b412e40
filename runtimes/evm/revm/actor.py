"""The EVM actor's methods under Ethereum's rules.

Contracts are called by InvokeEVM, run another contract's code by a call to themselves, and are created by a call of
method 1 with init code. Native actors call and query them as on the network.
"""

from typing import cast

from bridge.filecoin.call import (
    FIRST_CALLABLE_METHOD,
    AbiError,
    BlockTooLarge,
    decode_method_return,
    encode_method_calldata,
)
from bridge.filecoin.cbor import ParamsError, byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import ConstructorParams, calldata_of, storage_key, storage_value
from hypervisor.errors import ActorExit, OutOfGas
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ExitCode
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.machine.registry import Outcome
from hypervisor.types import METHOD_CONSTRUCTOR, NO_BLOCK, SYSTEM_ACTOR, BlockId
from runtimes.evm.contracts.engine import (
    FrameOutcome,
    Status,
)
from runtimes.evm.contracts.host import GET_BYTECODE, GET_BYTECODE_HASH
from runtimes.evm.revm.accounts import EMPTY_CODE
from runtimes.evm.revm.kernel_calls import return_block
from runtimes.evm.revm.native import NativeCalls
from store.cid import CBOR, DAG_CBOR
from store.codec import encode, link

_GET_STORAGE_AT = 5


class EthereumInvocation:
    """One invocation of a contract."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._calls = cast(NativeCalls, kernel.calls)
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
        caller = calls.accounts.address_of(context.caller)
        return calls.enter(self._actor, caller, context.value, calldata, context.read_only)

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

    # --- construction -----------------------------------------------------------------------------------------

    def _construct(self, params: Block | None) -> Outcome:
        """Run the init code that the init actor, called by a native actor, passes."""
        call = ConstructorParams.decode(b"" if params is None else params.data)
        value = self._kernel.context.value
        ended = self._calls.enter(self._actor, call.creator, value, call.init_code, creates=True)
        return Outcome(ExitCode.OK) if ended.status is Status.SUCCESS else self._outcome_of(ended)

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
        return self._return_block(CBOR, storage_value(self._calls.accounts.word(self._actor, key)))

    def _return_block(self, codec: int, data: bytes) -> Outcome:
        return Outcome(ExitCode.OK, self._kernel.ipld.accept(Block(codec, data)))

    def _outcome_of(self, ended: FrameOutcome) -> Outcome:
        if ended.status in (Status.SUCCESS, Status.REVERT):
            return Outcome(ended.status, self._kernel.ipld.accept(return_block(ended.data)))
        return self._failure(ended.status, ended.status.name, is_plain=True)

    def _failure(self, exit_code: int, message: str, *, is_plain: bool = False) -> Outcome:
        self._calls.exhaust()
        return Outcome(exit_code, message=message, is_plain=is_plain)
