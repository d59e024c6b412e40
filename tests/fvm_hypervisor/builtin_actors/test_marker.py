"""The EVM actor of our own bundle is a marker: contracts run in the EVM runtime."""

from hypervisor import Address
from hypervisor.state_tree import ActorState
from hypervisor.types import ActorID
from tests.fvm_hypervisor.builtin_actors.world import World


def test_evm_marker_run_natively_aborts_with_a_message(world: World) -> None:
    """The module runs under another code CID, since a marked one would run in the EVM runtime."""
    contract = world.machine.manifest.code("evm")
    unmarked = world.machine.store.get(contract).replace(b"hypervisor.runtime", b"some other section")
    code = world.machine.install(unmarked)
    assert code != contract
    actor = ActorID(700)
    world.machine.state_tree.set_actor(actor, ActorState(code))
    result = world.send(Address.id(actor), 1 << 24)
    assert result.exit_code == 24
    assert "EVM runtime" in result.message
