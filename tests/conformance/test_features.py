"""Features m2-native and upgrade-actor of the reference, which no network enables, compared vector by vector."""

from collections.abc import Iterator
from itertools import islice

import pytest

from fvm_hypervisor.laboratory.vectors.conformance import VectorResult, open_vector, run_variant
from fvm_hypervisor.laboratory.vectors.files import BundleFolder
from hypervisor import kernel
from hypervisor.errors import InvalidInput
from hypervisor.versions.features import FEATURES, SINCE, features_of, with_features
from hypervisor.versions.overlay import Overlay
from hypervisor.versions.overlay_file import parse_overlay
from runtimes.wasm.module.parser import FunctionType
from runtimes.wasm.validate import ModuleFacts
from tests.conformance.golden import GOLDEN
from tests.conftest import bundle_folder, fvm_data

FILES = tuple(sorted((GOLDEN / "features").glob("*.jsonl.gz")))
BUILT_IN_ACTORS_RUN = (
    "upgrade/to-official-",
    "upgrade/calls@",
    "upgrade/pays@",
    "install/official-",
    "install/created/by",
)
SAMPLE = 4
"""Every fourth vector; `make conformance` runs all."""


def results(step: int = SAMPLE, only: str = "") -> Iterator[VectorResult]:
    left_out = ("none",) if fvm_data() else BUILT_IN_ACTORS_RUN
    bundles = BundleFolder(bundle_folder())
    for path in FILES:
        wanted = open_vector(path, bundles, wanted=lambda name, _after: only in name and not name.startswith(left_out))
        yield from map(run_variant, islice(wanted, 0, None, step))


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["raw", "plain"])
def test_machine_matches_reference_with_features(boundary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_BOUNDARY", boundary)
    done = list(results(SAMPLE if boundary == "raw" else 10 * SAMPLE))
    assert {result.vector: result.differences for result in done if not result.passed} == {}
    assert len(done) > (200 if boundary == "raw" else 20)


@pytest.mark.slow
def test_an_upgrade_of_an_actor_that_is_called_around_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted defect: an upgrade of an actor that is already on the call stack is allowed."""
    monkeypatch.setattr(kernel, "_has_outer_call", lambda _stack, _actor: False)
    noticed = {result.vector.partition("@")[0] for result in results(1, "upgrade/stack/") if not result.passed}
    assert {"upgrade/stack/called-around", "upgrade/stack/calls-itself"} <= noticed


@pytest.mark.slow
def test_an_odd_entry_that_is_refused_too_early_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted defect: the `upgrade` entry point is not checked."""
    found = ModuleFacts(1, 0, False, True)
    assert not found.has_wrong_upgrade
    monkeypatch.setattr("runtimes.wasm.validate.UPGRADE_TYPE", FunctionType(b"", b""))
    monkeypatch.setattr("runtimes.wasm.runtime._modules", lambda folder, boundary: _fresh(boundary))
    assert [result.vector for result in results(1, "upgrade/works") if not result.passed]


def _fresh(boundary: str) -> object:
    from runtimes.wasm.modules import GuestModules
    from runtimes.wasmtime.cache import ModuleCache
    from runtimes.wasmtime.engine import guest_engine

    return GuestModules(guest_engine(), ModuleCache(None), boundary)


def test_a_feature_is_an_overlay_of_its_rule() -> None:
    both = with_features(FEATURES)
    assert both is not None
    assert both == Overlay("any", SINCE, None, rules=(("installs_code", True), ("upgrades_actors", True)))
    assert features_of(both) == tuple(FEATURES)
    assert with_features([]) is None
    written = parse_overlay({"since": 21, "rules": {"installs_code": True, "upgrades_actors": True}}, "file")
    assert written.digest == both.digest


def test_a_feature_comes_on_top_of_an_overlay() -> None:
    prices = Overlay("prices", 18, None, prices=(("syscall", 1000),))
    joined = with_features(["upgrade-actor"], prices)
    assert joined is not None
    assert (joined.since, joined.prices, features_of(joined)) == (SINCE, prices.prices, ("upgrade-actor",))


@pytest.mark.parametrize(
    ("names", "overlay", "words"),
    [
        (["async"], None, "feature 'async' is not known: choose one of m2-native, upgrade-actor"),
        (
            ["m2-native"],
            Overlay("old", 18, 20, prices=(("syscall", 1),)),
            "'old' ends at nv20: m2-native begins at nv21",
        ),
    ],
)
def test_invalid_feature_is_rejected(names: list[str], overlay: Overlay | None, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        with_features(names, overlay)


def test_a_file_turns_a_feature_on_for_versions_that_can_have_it() -> None:
    with pytest.raises(InvalidInput, match="set `since = 21`"):
        parse_overlay({"rules": {"upgrades_actors": True}}, "file")
