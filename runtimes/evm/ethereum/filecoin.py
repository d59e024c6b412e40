"""Filecoin's precompiles under Ethereum's rules: the same functions, in the network's milligas.

Contracts call native actors through them as on Filecoin. Their gas is converted like that of a native call
(`runtimes.evm.ethereum.calls`) and charged in whole Ethereum gas, rounded up. A failure costs only the gas used so far,
as on Filecoin.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bridge.evm_steps import PrecompileRefusal
from bridge.gas import DEFAULT_RATE
from hypervisor.address import Address
from hypervisor.call import Call
from hypervisor.errors import OutOfGas, SyscallError
from hypervisor.kernel import Kernel, SendResult
from hypervisor.types import METHOD_SEND, NO_BLOCK, BlockId, Gas, MethodNumber, TokenAmount
from runtimes.evm.engine import CallInputs, SubcallOutcome
from runtimes.evm.filecoin_rules import filecoin_evm_rules
from runtimes.evm.memory import hold
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.evm.precompiles.filecoin import FILECOIN
from runtimes.evm.syscalls import Syscalls

if TYPE_CHECKING:
    from runtimes.evm.ethereum.host import EthereumHost

_ALL_GAS: Final = (1 << 64) - 1


class PrecompileContext:
    """The host interface for precompiles: a kernel at the network's prices, and sends from the contract."""

    def __init__(self, kernel: Kernel) -> None:
        self.syscalls = Syscalls(kernel, DEFAULT_RATE)
        self.rules = filecoin_evm_rules(kernel.machine.context.network)

    @property
    def contract(self) -> "PrecompileContext":
        return self

    def send(
        self,
        to: Address,
        method: MethodNumber,
        params: BlockId = NO_BLOCK,
        value: TokenAmount = TokenAmount(0),
        gas_limit: int | None = None,
        read_only: bool = False,
    ) -> SendResult:
        """Call another actor. The contract's state is in the journal, so nothing has to be written first."""
        return self.syscalls.send(to, method, params, value, gas_limit, read_only)

    def hold(self, size: int, copies: int) -> None:
        """Charge for `copies` copies of `size` bytes, which the official actor keeps in memory."""
        hold(self.syscalls, self.rules, size, copies)

    def get_gas_left(self) -> Gas:
        """Return the remaining gas in the network's unit."""
        return self.syscalls.gas_left()


def call_filecoin_precompile(host: "EthereumHost", name: str, inputs: CallInputs, limit: int) -> SubcallOutcome:
    """Execute a call of one of the precompiles with at most `limit` gas."""
    calls, kernel = host.calls, host.kernel
    host.gas.settle()
    try:
        with calls.atomically():  # rolled back if the result cannot be paid for
            with calls.ethereum_rules.in_milligas(calls, limit):
                context = PrecompileContext(Kernel(calls, kernel.context))
                output = FILECOIN[name](context, replace(inputs, gas=_ALL_GAS))
                context.syscalls.gas.settle()
            if inputs.value:
                to = host.accounts.filecoin_address(inputs.address)
                calls.send(Call(host.actor, to, METHOD_SEND, None, TokenAmount(inputs.value)))
        return SubcallOutcome(True, output)
    except (PrecompileFailure, OutOfGas, SyscallError) as error:
        calls.backtrace.set_cause(f"precompile 0x{inputs.address.hex()}: {error}")
        if calls.tracer is not None:
            calls.tracer.event(PrecompileRefusal(inputs.address, name, str(error)))
        return SubcallOutcome(False)
    finally:
        host.gas.refill()
