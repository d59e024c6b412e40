"""What Filecoin's precompiles need of the contract that calls them, whatever the rules."""

from typing import Protocol

from hypervisor.address import Address
from hypervisor.kernel import SendResult
from hypervisor.types import NO_BLOCK, BlockId, MethodNumber, TokenAmount
from runtimes.evm.syscalls import Syscalls


class SendingContract(Protocol):
    """What sends in the contract's name."""

    def send(
        self,
        to: Address,
        method: MethodNumber,
        params: BlockId = NO_BLOCK,
        value: TokenAmount = TokenAmount(0),
        gas_limit: int | None = None,
        read_only: bool = False,
    ) -> SendResult:
        """Call another actor. Gas limit in gas; errors as the kernel's."""


class PrecompileHost(Protocol):
    """A contract's frame, as a precompile sees it."""

    @property
    def syscalls(self) -> Syscalls:
        """The kernel, with gas as contracts count it."""

    @property
    def contract(self) -> SendingContract:
        """The contract."""

    def hold(self, size: int, copies: int) -> None:
        """Pay for `copies` copies of `size` bytes, as the official actor does, which has to keep them."""

    def get_gas_left(self) -> int:
        """Gas left, in the machine's own."""
