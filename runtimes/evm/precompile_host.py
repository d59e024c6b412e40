"""The interface of the calling contract for Filecoin's precompiles, under any rules, and its calls' gas limits."""

from typing import Final, Protocol

from hypervisor.kernel import SendResult
from hypervisor.messages.address import Address
from hypervisor.types import NO_BLOCK, BlockId, MethodNumber, TokenAmount
from runtimes.evm.syscalls import Syscalls


class SendingContract(Protocol):
    """Sends on behalf of the contract."""

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
    """A contract's frame, as seen by a precompile."""

    @property
    def syscalls(self) -> Syscalls:
        """The kernel, with gas in the contract's unit."""

    @property
    def contract(self) -> SendingContract:
        """The contract."""

    def hold(self, size: int, copies: int) -> None:
        """Charge for `copies` copies of `size` bytes, which the official actor keeps in memory."""

    def get_gas_left(self) -> int:
        """Return the remaining gas in the machine's unit."""


_U64_MAX: Final = (1 << 64) - 1


def gas_limit(host: PrecompileHost, wanted: int) -> int:
    """Return a call's gas limit: the requested one, at most 63/64 of the remaining gas."""
    return min(wanted, _U64_MAX, 63 * host.get_gas_left() // 64)
