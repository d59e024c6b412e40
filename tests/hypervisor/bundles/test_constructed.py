"""Recorded states of singletons: the same state roots as with the constructors, and no stale record."""

import subprocess
import sys

import pytest

from hypervisor import Bundle, Hypervisor, fil
from hypervisor.bundles.bundle_library import own_bundles
from hypervisor.bundles.genesis import Genesis, constructor_key, store_constructed_state
from hypervisor.context import MachineContext
from hypervisor.errors import Fatal
from hypervisor.messages.address import Address
from hypervisor.tracing import MessageStarted, Recorder
from hypervisor.types import CRON_ACTOR, ChainEpoch
from hypervisor.versions.features import with_features
from hypervisor.versions.network_versions import NETWORK_VERSIONS, network_version
from store.blocks.memory import MemoryStore
from store.cid import Cid
from store.links import reachable
from tests.hypervisor.constructed_states import FILE, record

GENESIS = Genesis("mine", {Address.delegated(10, bytes(19) + b"\x07"): fil(5)})
FIRST = 21
"""First network version whose syscalls the embedded bundles can use."""


def opened(network: int, rules: str, bundle: str | None = None, epoch: int = 0, *, run: bool = False) -> set[Cid]:
    """Return the genesis root and all blocks below it; with `run`, of a genesis that ran the constructors."""
    context = MachineContext(network_version(network), epoch=ChainEpoch(epoch), rules=rules)
    tracer = Recorder() if run else None
    with Hypervisor.open(bundle=bundle, genesis=GENESIS, context=context, tracer=tracer) as machine:
        if tracer is not None:
            assert sum(isinstance(event, MessageStarted) for event in tracer.events) == 7
        return {machine.root, *reachable(machine.base, [machine.root])}


def test_the_record_is_exactly_that_of_the_constructors() -> None:
    assert FILE.read_bytes() == record()


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
@pytest.mark.parametrize("network", [number for number in NETWORK_VERSIONS if number >= FIRST])
def test_the_state_is_that_of_the_constructors_on_every_network(network: int, rules: str) -> None:
    assert opened(network, rules) == opened(network, rules, run=True)


@pytest.mark.parametrize("bundle", sorted(own_bundles()))
def test_the_state_is_that_of_the_constructors_for_every_bundle(bundle: str) -> None:
    network = 29 if "v19" in bundle else 28
    assert opened(network, "filecoin", bundle) == opened(network, "filecoin", bundle, run=True)


def test_constructors_do_not_depend_on_the_epoch() -> None:
    assert opened(28, "filecoin", epoch=123_456) == opened(28, "filecoin", epoch=123_456, run=True)
    assert opened(28, "filecoin", epoch=123_456) == opened(28, "filecoin")


@pytest.mark.parametrize("network", [number for number in NETWORK_VERSIONS if number < FIRST])
def test_versions_that_cannot_run_the_actors_still_fail_at_genesis(network: int) -> None:
    with pytest.raises(Fatal, match="cannot be run"):
        opened(network, "filecoin")


def test_a_recorded_state_requires_the_same_code_parameters_and_syscalls() -> None:
    store = MemoryStore()
    manifest = Bundle.embedded().manifest
    params = dict(Genesis.constructors())[CRON_ACTOR]
    cron, power = manifest.code("cron"), manifest.code("storagepower")
    head = store_constructed_state(store, cron, params, "v4")
    assert head is not None
    assert store.has(head)
    assert store_constructed_state(store, power, params, "v4") is None
    assert store_constructed_state(store, cron, params + b"\x00", "v4") is None
    assert store_constructed_state(store, cron, params, "v3") is None
    assert len({constructor_key(*key) for key in ((cron, params, "v4"), (power, params, "v4"), (cron, b"", "v4"))}) == 3


@pytest.mark.slow
def test_an_overlay_runs_the_constructors() -> None:
    cheap = opened(28, "filecoin")
    with Hypervisor.open(network=28, overlay=with_features(["upgrade-actor"]), genesis=GENESIS) as machine:
        assert machine.root in cheap
        assert native_was_loaded("overlay=with_features(['upgrade-actor'])")


def native_was_loaded(options: str) -> bool:
    """Open a machine with these options in a new process; return True if that loaded the WASM runtime."""
    script = (
        "import sys; from hypervisor import Hypervisor; from hypervisor.versions.features import with_features; "
        f"Hypervisor.open({options}).close(); print('runtimes.wasm.runtime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {"True\n": True, "False\n": False}[done.stdout]


@pytest.mark.slow
def test_opening_a_machine_does_not_load_the_wasm_runtime() -> None:
    assert not native_was_loaded("")
    assert not native_was_loaded("rules='ethereum'")
