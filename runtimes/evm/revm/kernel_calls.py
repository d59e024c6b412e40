"""Calls that the kernel makes for contracts under Ethereum's rules: Filecoin's precompiles, and outcomes."""

from dataclasses import replace
from typing import Final

from bridge.evm_steps import PrecompileRefusal
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import unwrap_return
from bridge.gas import DEFAULT_RATE
from hypervisor.context import InvocationContext
from hypervisor.errors import ActorExit, OutOfGas, SyscallError
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, CallResult
from hypervisor.types import (
    METHOD_SEND,
    Gas,
    TokenAmount,
)
from runtimes.evm.contracts.engine import CallInputs, SubcallOutcome
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.contracts.precompiles.filecoin import FILECOIN
from runtimes.evm.contracts.rules import filecoin_evm_rules
from runtimes.evm.contracts.syscalls import Syscalls, hold
from runtimes.evm.revm.calls import EthereumCalls
from store.cid import CBOR, RAW

_ALL_GAS: Final = (1 << 64) - 1


class PrecompileContext:
    """The host interface for precompiles: a kernel at the network's prices.

    It sends for the contract, whose state is in the journal, so nothing has to be written first.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.syscalls = self.contract = Syscalls(kernel, DEFAULT_RATE)
        self.rules = filecoin_evm_rules(kernel.machine.context.network)

    def hold(self, size: int, copies: int) -> None:
        """Charge for `copies` copies of `size` bytes, which the official actor keeps in memory."""
        hold(self.syscalls, self.rules, size, copies)

    def get_gas_left(self) -> Gas:
        """Return the remaining gas in the network's unit."""
        return self.syscalls.gas_left()


def call_filecoin_precompile(
    calls: EthereumCalls, context: InvocationContext, name: str, inputs: CallInputs, limit: int
) -> SubcallOutcome:
    """Execute a call of one of Filecoin's precompiles with at most `limit` gas, in the context of the calling contract.

    Its gas in milligas is converted like that of a native call and charged in whole Ethereum gas, rounded up. A failure
    costs only the gas used so far, as on Filecoin.
    """
    try:
        with calls.atomically():  # rolled back if the result cannot be paid for
            with calls.ethereum_rules.in_milligas(calls, limit):
                precompile = PrecompileContext(Kernel(calls, context))
                output = FILECOIN[name](precompile, replace(inputs, gas=_ALL_GAS))
                precompile.syscalls.gas.settle()
            if inputs.value:
                to = calls.accounts.filecoin_address(inputs.address)
                calls.send(Call(context.receiver, to, METHOD_SEND, None, TokenAmount(inputs.value)))
        return SubcallOutcome(True, output)
    except (PrecompileFailure, OutOfGas, SyscallError, ActorExit) as error:
        calls.backtrace.set_cause(f"precompile 0x{inputs.address.hex()}: {error}")
        if calls.tracer is not None:
            calls.tracer.event(PrecompileRefusal(inputs.address, name, str(error)))
        return SubcallOutcome(False)


def contract_outcome(result: CallResult) -> SubcallOutcome:
    """Return a call's result as seen by a contract: only success and revert carry data."""
    block = result.block
    if block is None:
        return SubcallOutcome(result.exit_code == ExitCode.OK, exit_code=result.exit_code)
    data = block.data if block.codec == RAW else unwrap_return(block.data)
    return SubcallOutcome(result.exit_code == ExitCode.OK, data, exit_code=result.exit_code)


def return_block(data: bytes) -> Block:
    """Return a frame's data as the actor's return value: one byte string."""
    return Block(CBOR, byte_string(data))
