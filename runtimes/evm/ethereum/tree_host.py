"""What a tree of calls may look at under Ethereum's rules: `runtimes.evm.tree_engine.TreeHost` over one transaction."""

from collections.abc import Iterable

from bridge.addresses import EthAddress, unmask_id
from hypervisor.errors import OutOfGas
from hypervisor.events import StampedEvent
from hypervisor.gas import GasTracker
from hypervisor.types import ActorID
from runtimes.evm.engine import TxContext
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.precompiles import run_precompile
from runtimes.evm.precompiles.failure import PrecompileFailure


class EthereumTreeHost:
    """The world of a transaction's first frame, which has no kernel; `runtimes.evm.ethereum.host` is that of any."""

    def __init__(self, calls: EthereumCalls, actor: ActorID, address: EthAddress) -> None:
        self.calls = calls
        self.frames = calls.frames
        self.listens = calls.frames is not None
        """Whether an interceptor between frames does."""
        self.accounts = calls.accounts
        self.fork = calls.environment.fork
        self.actor = actor
        self.address = address
        self.message = calls.identity
        self.depth_left = calls.max_depth - calls.depth
        self.code_limit = calls.environment.block.code_limit

    @property
    def memory_used(self) -> int:
        """Bytes of memory that the frames below hold."""
        return self.calls.memory.used

    @property
    def is_stopped(self) -> bool:
        """Whether an interrupt has taken the gas away."""
        return self.calls.gas.available == 0

    def leaves_tree(self, address: EthAddress) -> bool:
        """Filecoin's actors and precompiles, users' precompiles, and what an interceptor answers for: there is no frame
        to ask it.
        """
        interceptor = self.calls.interceptor
        return (interceptor is not None and address in interceptor.watched) or self.is_beyond_guest(address)

    def is_watched(self, address: EthAddress) -> bool:
        """None is."""
        return False

    def is_beyond_guest(self, address: EthAddress) -> bool:
        """Whether an address is a native actor's, or a precompile's of Filecoin or of a user."""
        calls, fork = self.calls, self.fork
        if fork.registered and fork.precompiles.get(address) in fork.registered:
            return True
        if not calls.environment.block.filecoin_addresses:
            return False
        return address in calls.filecoin_precompiles or unmask_id(address) is not None

    def run_precompile(self, address: EthAddress, data: bytes, limit: int) -> tuple[bytes, int] | None:
        """The fork's function at an address, and the gas that it uses."""
        gas = GasTracker(limit)
        try:
            return run_precompile(self.fork, self.fork.precompiles[address], data, gas), gas.used
        except (PrecompileFailure, OutOfGas):
            return None

    def get_tx_context(self) -> TxContext:
        """Block and transaction."""
        return self.calls.environment.context

    def emit(self, events: Iterable[StampedEvent]) -> None:
        """Emit logs."""
        self.calls.emit(events)

    def report_log(self, event: StampedEvent) -> None:
        """Tell those who listen of a log that will not be kept."""
        self.calls.report_log(event)
