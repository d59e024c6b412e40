"""Calls with their own gas limit, and read-only calls.

Errors and charges from network version 21 on are those of the reference in tests/golden/send.jsonl.gz.
"""

from hypervisor.kernel import Kernel
from hypervisor.types import BlockId, ChainEpoch, MethodNumber
from tests.hypervisor.world import Notes, World

METHOD = MethodNumber(2)


def test_future_epoch_randomness_burns_only_the_call_gas_limit() -> None:
    world, notes = World(), Notes()

    def child(kernel: Kernel, _params: BlockId) -> None:
        kernel.random.chain(ChainEpoch(kernel.machine.context.epoch + 1))

    child_at = world.actor(child)

    def parent(kernel: Kernel, _params: BlockId) -> None:
        notes.add(kernel.send(child_at, METHOD, gas_limit=1_000_000).exit_code)

    assert world.send(world.actor(parent)).exit_code == 0
    assert notes.items == [7]
