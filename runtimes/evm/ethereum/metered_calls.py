"""The calls of a transaction with state gas (`runtimes.evm.state_gas`)."""

from collections.abc import Callable
from functools import partial

from bridge.ethereum.addresses import EthAddress
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import Mark
from hypervisor.types import ActorID
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.state_gas import StateGasMeter


class MeteredCalls(EthereumCalls):
    """Calls whose frames use state gas.

    REVERT returns spilled execution gas to the caller; an exceptional halt burns it (EIP-8037).
    """

    _spilled_of_reverted_frame: int = 0
    """Execution gas spilled by the frame that was rolled back last."""

    @property
    def _meter(self) -> StateGasMeter:
        assert self.state_gas is not None, "the fork has state gas"
        return self.state_gas

    def with_transaction(self, call: Call) -> CallResult:
        result = self._within_frame(partial(super().with_transaction, call))
        assert result is not None
        return result

    def send_first_call(
        self, call: Call, actor: ActorID, address: EthAddress, run: Callable[[], CallResult | None]
    ) -> CallResult | None:
        return self._within_frame(partial(super().send_first_call, call, actor, address, run))

    def rollback(self, mark: Mark) -> None:
        before = self._meter.current.spilled
        super().rollback(mark)
        self._spilled_of_reverted_frame = before - self._meter.current.spilled

    def _within_frame(self, run: Callable[[], CallResult | None]) -> CallResult | None:
        outer = self._meter.enter()
        result = None
        try:
            result = run()
        finally:
            if result is None or result.exit_code != ExitCode.OK:
                self._meter.current = outer
        if result is not None and result.exit_code == ExitCode.OK:
            self.gas.used -= self._meter.absorb(outer)
        elif result is not None and result.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
            self.gas.used -= self._spilled_of_reverted_frame
        return result
