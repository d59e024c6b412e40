"""The template's tip jar upgrades its own code: its two versions, as built in the tutorial."""

from pathlib import Path
from typing import Any

import pytest

from hypervisor.builtin_actors import build
from hypervisor.errors import InvalidModule
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.state_tree import ActorState
from hypervisor.versions.features import with_features
from localnet import NativeActor, Network, TransactionFailed
from runtimes.wasm.module.parser import parse_module
from store.cid import RAW, Cid, cid_of
from store.codec import link
from tests.fuzz.programs import BUFFER, GUEST, guest, operation, write
from tests.localnet.conftest import network_fixture
from tests.runtimes.wasm.guests import call, install_actor, install_and_call

FOLDER = build.TEMPLATE
FIRST, SECOND = build.module_file(FOLDER, "upgradable"), build.module_file(FOLDER, "v2")
FIRST_SCHEMA, SECOND_SCHEMA = FOLDER / "interface-upgradable.ipldsch", FOLDER / "interface-v2.ipldsch"
FIL = 10**18


network = network_fixture(lambda: Network(overlay=with_features(["m2-native", "upgrade-actor"])))


@pytest.fixture
def jar(network: Network) -> NativeActor:
    return network.actors.create(network.actors.install(FIRST, FIRST_SCHEMA), {"owner": network.accounts[0].native})


def upgrade(jar: NativeActor, code: Cid) -> Any:
    """Return the result of the new code's upgrade entry: the old code's CID."""
    return jar.return_value("Upgrade", jar.send("Upgrade", {"code": link(code)}))


def actor_state(network: Network, jar: NativeActor) -> ActorState | None:
    tree = network.machine.state_tree
    number = tree.lookup_id(jar.address)
    assert number is not None
    return tree.get_actor(number)


@pytest.mark.parametrize(
    ("feature", "asks", "takes_over"), [(None, False, False), ("upgradable", True, False), ("v2", False, True)]
)
def test_only_v1_requests_upgrade_and_only_v2_exports_it(feature: str | None, asks: bool, takes_over: bool) -> None:
    module = parse_module(build.module_file(FOLDER, feature).read_bytes())
    assert ("upgrade_actor" in {item.name for item in module.imports}) == asks
    assert (module.export("upgrade") is not None) == takes_over


@pytest.mark.slow
def test_second_version_migrates_state_and_adds_a_field(network: Network, jar: NativeActor) -> None:
    jar.send("Tip", {"note": "before"}, value=FIL)
    owner = jar.state.owner
    first, second = cid_of(FIRST.read_bytes(), RAW), network.actors.install(SECOND, SECOND_SCHEMA)
    assert upgrade(jar, second) == first
    jar = network.actors.at(jar.address)
    assert jar.state == {"owner": owner, "tips": 1, "received": FIL, "last_note": ""}
    jar.send("Tip", {"note": "after"}, value=2 * FIL)
    assert jar.state.last_note == "after"
    assert jar.call("Total") == {"tips": 2, "received": 3 * FIL}
    assert network.balance(jar.address) == 3 * FIL


def test_only_the_owner_upgrades(network: Network, jar: NativeActor) -> None:
    second = network.actors.install(SECOND, SECOND_SCHEMA)
    with pytest.raises(TransactionFailed, match="only the owner upgrades") as refused:
        jar.send("Upgrade", {"code": link(second)}, sender=network.accounts[1])
    assert refused.value.exit_code == ExitCode.USR_FORBIDDEN


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (FIRST, "the new code refuses to take over: it exits with 5"),  # it exports no `upgrade`
        (None, "the upgrade is not possible"),  # no such code
    ],
)
def test_an_upgrade_that_fails_leaves_the_actor_as_it_was(
    network: Network, jar: NativeActor, module: Path | None, words: str
) -> None:
    jar.send("Tip", {"note": "before"}, value=FIL)
    code = cid_of(b"no code" if module is None else module.read_bytes(), RAW)
    before = actor_state(network, jar)
    with pytest.raises(TransactionFailed, match=words):
        upgrade(jar, code)
    assert actor_state(network, jar) == before
    assert jar.call("Total") == {"tips": 1, "received": FIL}


def test_second_version_migrates_only_first_version_state(network: Network, jar: NativeActor) -> None:
    """Its `upgrade` aborts on a state of the second version, here of an actor restored to the first code by hand."""
    second = network.actors.install(SECOND, SECOND_SCHEMA)
    upgrade(jar, second)
    network.actors.replace(jar.address, cid_of(FIRST.read_bytes(), RAW))
    with pytest.raises(TransactionFailed):
        upgrade(jar, second)
    assert network.actors.at(jar.address).interface.methods.keys() >= {"Upgrade"}


@pytest.mark.slow
def test_an_upgrade_is_profiled_in_both_versions(network: Network, jar: NativeActor) -> None:
    second = network.actors.install(SECOND, SECOND_SCHEMA)
    receipt = jar.send("Upgrade", {"code": link(second)})
    profile = network.profile(receipt.hash)
    assert (profile.reproduced, profile.gas_used) == (True, receipt.gas_used)
    assert {"actor::upgrade_actor", "self::set_root"} <= {row.name for row in profile.rows}


def test_module_of_missing_feature_is_refused_with_its_name() -> None:
    with Network(overlay=with_features(["m2-native"])) as network:
        before = network.machine.root
        with pytest.raises(InvalidModule, match="upgrade_actor is a syscall of the feature upgrade-actor, which this"):
            network.actors.install(FIRST, FIRST_SCHEMA)
        assert not network.machine.store.has(cid_of(FIRST.read_bytes(), RAW))
        assert network.machine.root == before
        assert network.actors.install(SECOND, SECOND_SCHEMA)


@pytest.mark.parametrize("boundary", ["raw", "plain"])
def test_code_that_needs_a_feature_names_it_where_it_runs(boundary: str) -> None:
    with Hypervisor.open(options={"boundary": boundary}) as machine:
        result = install_and_call(machine, FIRST.read_bytes())
        assert "`hypervisor node --feature upgrade-actor`" in str(result.fatal)


def test_reverted_code_install_is_not_found_despite_compilation() -> None:
    """Expected: the result of a machine that never had the code."""
    asking, module = guest(featured=True), SECOND.read_bytes()
    code = cid_of(module, RAW).ljust(40, b"\0")
    words = [int.from_bytes(code[at : at + 8], "little") for at in range(0, 40, 8)]
    stored = [operation("store", BUFFER + 8 * at, word) for at, word in enumerate(words)]
    program = write([*stored, operation("actor.upgrade_actor", 0, BUFFER, 0)])
    with Hypervisor.open(overlay=with_features(["m2-native", "upgrade-actor"])) as machine:
        install_actor(machine, asking)
        start, written = machine.snapshot(), len(machine.store.pending)
        never_had_it = call(machine, GUEST, program)
        machine.restore(start)
        machine.install(module)
        assert call(machine, GUEST, program).receipt != never_had_it.receipt
        machine.restore(start)
        machine.store.forget_after(written)
        assert call(machine, GUEST, program).receipt == never_had_it.receipt
