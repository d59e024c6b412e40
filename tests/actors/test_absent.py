"""What the bundle does not offer says so: no method is answered with a false success."""

from __future__ import annotations

import pytest

from actors import build
from hypervisor import Address
from hypervisor.state_tree import ActorState
from hypervisor.types import ActorID
from tests.actors.world import World

ABSENT = [name for name, crate in build.MANIFEST.items() if crate == "absent_actor"]


@pytest.mark.parametrize("name", ABSENT)
@pytest.mark.parametrize("method", [1, 2, 1 << 24])
def test_an_absent_actor_answers_22_to_everything(world: World, name: str, method: int) -> None:
    actor = ActorID(700)
    world.machine.state_tree.set_actor(actor, ActorState(world.machine.manifest.code(name)))
    result = world.send(Address.id(actor), method)
    assert result.exit_code == 22
    assert name in result.message


def test_the_evm_marker_run_natively_aborts_with_a_sentence(world: World) -> None:
    """Under another code CID, since the machine would run a marked one in the EVM runtime."""
    contract = world.machine.manifest.code("evm")
    unmarked = world.machine.store.get(contract).replace(b"hypervisor.runtime", b"some other section")
    code = world.machine.install(unmarked)
    assert code != contract
    actor = ActorID(700)
    world.machine.state_tree.set_actor(actor, ActorState(code))
    result = world.send(Address.id(actor), 1 << 24)
    assert result.exit_code == 24
    assert "EVM runtime" in result.message
