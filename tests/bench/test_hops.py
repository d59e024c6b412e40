"""Call counts of the standard code paths stay within the limits of bench/hops.toml, and an excess is detected."""

import pytest

from bench import hops
from bench.hops import CallPath
from hypervisor.state.state_tree import StateTree
from hypervisor.types import ActorID

BOTH_RULES = ("eth_sendRawTransaction", "eth_call", "an SSTORE")


@pytest.fixture(scope="module")
def counted() -> dict[str, CallPath]:
    return hops.paths()


@pytest.mark.slow
def test_call_paths_match_rows_of_hop_limits(counted: dict[str, CallPath]) -> None:
    assert counted.keys() == hops.limits().keys()
    assert {f"{path}, {rules}" for path in BOTH_RULES for rules in ("filecoin", "ethereum")} < counted.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", hops.limits())
def test_call_path_length_stays_within_limit(counted: dict[str, CallPath], name: str) -> None:
    row = hops.limits()[name]
    assert not hops.is_longer(counted[name], row), counted[name].most.most_common(30)


@pytest.mark.slow
def test_additional_actor_lookups_are_counted(counted: dict[str, CallPath], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = StateTree.get_actor

    def look_twice(tree: StateTree, actor: ActorID) -> object:
        plain(tree, actor)
        return plain(tree, actor)

    monkeypatch.setattr(StateTree, "get_actor", look_twice)
    longer = hops.paths()
    assert longer["a native message"].own > counted["a native message"].own
    assert longer["a WASM syscall"].own == counted["a WASM syscall"].own
