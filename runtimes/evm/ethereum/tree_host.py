"""The host of a call tree under Ethereum's rules: `runtimes.evm.tree_engine.TreeHost` over one transaction."""

from collections.abc import Iterable

from bridge.ethereum.addresses import EthAddress, unmask_id
from hypervisor.errors import OutOfGas
from hypervisor.gas import GasTracker
from hypervisor.messages.events import StampedEvent
from hypervisor.types import ActorID
from runtimes.evm.engine import TxContext
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.forks import code_limits
from runtimes.evm.ethereum.precompiles import run_precompile
from runtimes.evm.precompiles.failure import PrecompileFailure


class EthereumTreeHost:
    """The host of a transaction's first frame without a kernel; `runtimes.evm.ethereum.host` is that of any frame."""

    def __init__(self, calls: EthereumCalls, actor: ActorID, address: EthAddress) -> None:
        self.calls = calls
        self.frames = calls.frames
        self.listens = calls.frames is not None
        """True if an interceptor between frames is active."""
        self.accounts = calls.accounts
        self.fork = calls.environment.fork
        self.actor = actor
        self.address = address
        self.message = calls.identity
        self.short = calls.machine.short
        self.meter = calls.state_gas
        self.keeps_changes = calls.keeps_changes
        self.depth_left = calls.max_depth - calls.depth
        self.code_limits = code_limits(calls.environment.block, self.fork)

    @property
    def memory_used(self) -> int:
        """Bytes of memory held by the frames of this call stack."""
        return self.calls.memory.used

    @property
    def is_stopped(self) -> bool:
        """True if an interrupt has taken the gas away."""
        return self.calls.gas.available == 0

    def leaves_tree(self, address: EthAddress) -> bool:
        """Return True for Filecoin's actors and precompiles, users' precompiles, and intercepted addresses."""
        interceptor = self.calls.interceptor
        return (interceptor is not None and address in interceptor.watched) or self.is_unsupported_address(address)

    def is_watched(self, address: EthAddress) -> bool:
        """Return False: no address is handled between frames."""
        return False

    def is_unsupported_address(self, address: EthAddress) -> bool:
        """Return True if an address belongs to a native actor, or to a precompile of Filecoin or of a user."""
        calls, fork = self.calls, self.fork
        if fork.registered and fork.precompiles.get(address) in fork.registered:
            return True
        if not calls.environment.block.filecoin_addresses:
            return False
        return address in calls.filecoin_precompiles or unmask_id(address) is not None

    def run_precompile(self, address: EthAddress, data: bytes, limit: int) -> tuple[bytes, int] | None:
        """Run the fork's precompile at an address; return its output and gas, or None if it fails."""
        gas = GasTracker(limit)
        try:
            return run_precompile(self.fork, self.fork.precompiles[address], data, gas), gas.used
        except (PrecompileFailure, OutOfGas):
            return None

    def get_tx_context(self) -> TxContext:
        """Return the constants of block and transaction."""
        return self.calls.environment.context

    def emit(self, events: Iterable[StampedEvent]) -> None:
        self.calls.emit(events)

    def report_log(self, event: StampedEvent) -> None:
        """Report a log that will be rolled back to interceptor and tracer."""
        self.calls.report_log(event)
