"""Public names that 0.2.0 changed: the old ones work for one release with a warning (see CHANGELOG.md)."""

from typing import Any

import pytest

import localnet
from localnet import GenesisOptions, Network
from localnet.contracts.native_actor import NativeActor
from localnet.traces.trace import EpochTrace, Trace


def test_the_old_class_is_the_new_one() -> None:
    with pytest.warns(DeprecationWarning, match=r"localnet\.Beginning is now localnet\.GenesisOptions"):
        assert localnet.Beginning is GenesisOptions
    assert "Beginning" not in localnet.__all__


def test_the_old_parameter_of_a_network_is_the_new_one() -> None:
    options: dict[str, Any] = {"beginning": GenesisOptions(name="shown")}
    with pytest.warns(DeprecationWarning, match=r"Network\(beginning=\.\.\.\) is now Network\(genesis=\.\.\.\)"):
        network = Network(**options)
    with network:
        record = network.chain.index.network()
        assert record is not None
        assert record.name == "shown"
    with pytest.raises(TypeError, match="genesis and its former name, beginning, cannot be used together"):
        Network(genesis=GenesisOptions(name="other"), **options)


@pytest.mark.parametrize(
    ("old", "new"),
    [("least_fee", "min_fee_cap"), ("usual_premium", "default_premium"), ("least_premium", "min_premium")],
)
def test_former_fee_properties_warn_and_return_the_same(old: str, new: str) -> None:
    with Network() as network:
        with pytest.warns(DeprecationWarning, match=rf"Network\.{old} is now Network\.{new}"):
            amount = getattr(network, old)
        assert amount == getattr(network, new)


def test_the_old_methods_are_the_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NativeActor, "call_raw", lambda *given, **more: (given[1:], more))
    actor = object.__new__(NativeActor)
    with pytest.warns(DeprecationWarning, match=r"NativeActor\.call_raw"):
        answer: Any = actor.try_out("Name", [1], value=2)
    assert answer == (("Name", [1]), {"value": 2, "sender": None})
    for kind in (Trace, EpochTrace):
        monkeypatch.setattr(kind, "report", lambda _, interfaces: {"interfaces": interfaces})
        with pytest.warns(DeprecationWarning, match=rf"{kind.__name__}\.report"):
            assert object.__new__(kind).told([]) == {"interfaces": []}  # type: ignore[attr-defined]  # a deprecated alias
