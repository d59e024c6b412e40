"""Memory and gas derived by this project's EVM runtime, compared with those metered for the official EVM actor.

`tests/differential` compares the results of contracts.
"""

from statistics import median

import pytest

from fvm_hypervisor.laboratory.vectors.fevm import CaseRunner, load_cases
from hypervisor.bundles.bundle import Bundle
from hypervisor.context import MachineContext
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import MessageEnded, TraceEvent
from store.blockstore import Store
from store.cid import Cid
from tests.conftest import data_file, evms, newest_bundle, with_data
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain, open_machine

OFFICIAL_BUNDLE = "bundles/v18-devnet.car"


@pytest.mark.parametrize("mebibytes", [8, 20, 64])
def test_live_frames_share_the_memory_of_a_message(mebibytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract calls itself until memory is exhausted; the EVM runtime needs less memory than the official actor."""
    bundle = Bundle.open(newest_bundle(OFFICIAL_BUNDLE))
    chains = [Chain(open_machine(bundle=bundle, evm=evm)) for evm in evms()]
    count = assemble("32 0 0 0 0 ADDRESS GAS CALL POP 0 MLOAD 1 ADD 0 MSTORE 32 0 RETURN")
    contracts = [chain.deploy(count) for chain in chains]
    for module in ("hypervisor.kernel.call", "runtimes.wasm.runtime"):
        monkeypatch.setattr(f"{module}.MAX_TOTAL_MEMORY", mebibytes << 20)
    frames = [chain.call(contract) for chain, contract in zip(chains, contracts, strict=True)]
    assert frames[0] == frames[1]


COMPARED = ("storage", "logs", "calls", "create", "inspect", "selfdestruct", "solidity", "trees")


@pytest.mark.slow
@pytest.mark.parametrize("group", with_data(*COMPARED))
def test_message_gas_is_close_to_official_evm_actor(group: str) -> None:
    """Derived gas differs from the official module's metered gas; over the golden cases the ratio is close to one."""
    bundle = Bundle.open(newest_bundle(OFFICIAL_BUNDLE))
    gas = [_gas_of_cases(_Metered(bundle, evm), group) for evm in evms()]
    ratios = sorted(ours / official for ours, official in zip(*gas, strict=True) if official)
    assert len(ratios) > 25
    assert 0.97 < median(ratios) < 1.03
    tenth = len(ratios) // 10
    assert ratios[tenth] > 0.93
    assert ratios[-1 - tenth] < 1.1


class _Metered(CaseRunner):
    """Records the gas of its cases' messages."""

    def __init__(self, bundle: Bundle, evm: str) -> None:
        super().__init__(bundle, evm)
        self.gas: list[int] = []

    def event(self, event: TraceEvent, /) -> None:
        if isinstance(event, MessageEnded):
            self.gas.append(event.gas_used)

    def _machine(self, store: Store, root: Cid, context: MachineContext) -> Hypervisor:
        machine = super()._machine(store, root, context)
        machine.tracer = self
        return machine


def _gas_of_cases(world: _Metered, group: str) -> list[int]:
    for case in load_cases(data_file("vectors/fevm"), group)[:30]:
        world.run(case)
    return world.gas
