"""Upgrades of a network: rules, actors' code, folders, and earlier states."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.bindings import storageminer
from bridge.filecoin.method_numbers import method_number
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.bundle_library import actors_version
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import Fatal, InvalidInput, InvalidModule
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import SYSTEM_ACTOR, ActorID
from hypervisor.versions.features import with_features
from hypervisor.versions.network_versions import NETWORK_VERSIONS
from localnet import CallFailed, NativeActor, Network, TransactionFailed
from localnet.chain.retention import chain_roots
from localnet.ledger.blocks import NO_PRODUCER
from localnet.ledger.upgrades import UpgradePlan
from localnet.replay.replay import replay
from localnet.traces.trace import trace
from runtimes.wasm.module.parser import parse_module
from scripts import build_guests
from store.blockstore import get_object
from store.cid import RAW, Cid, cid_of
from store.codec import unlink
from store.rocks.collector import GarbageCollector
from store.rocks.database import RocksStore
from tests.conftest import data_file, kinds
from tests.fuzz.programs import BUFFER, GUEST, guest, operation, write
from tests.localnet.conftest import ARTIFACTS, Clock, network_fixture
from tests.runtimes.wasm.guests import call, install_actor, install_and_call

COUNT_LEADING_ZEROS = bytes.fromhex("60011e5f5260205ffd")
"""PUSH1 1, CLZ, and revert with the word: 255, from network version 28 on (FIP-0114)."""

UNKNOWN = max(NETWORK_VERSIONS) + 1
V17, V18 = "bundles/v17-testing-fake-proofs.car", "bundles/v18-testing-fake-proofs.car"


def clz(network: Network) -> int | None:
    """Return the opcode's result, or None if it does not exist."""
    with pytest.raises(CallFailed) as failed:
        network.call(None, COUNT_LEADING_ZEROS)
    return int.from_bytes(failed.value.data, "big") if failed.value.data else None


def other_bundle(kind: str) -> Bundle:
    return Bundle.embedded("supply-share") if kind == "own" else Bundle.open(data_file(V18))


@pytest.fixture(params=kinds())
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def first_bundle(kind: str) -> Path | None:
    return None if kind == "own" else data_file(V17)


@pytest.fixture
def old(kind: str) -> Iterator[Network]:
    """Return a network of version 27."""
    with Network(bundle=first_bundle(kind), network=27, clock=Clock()) as network:
        yield network


def test_the_rules_of_contracts_are_the_new_versions(old: Network, kind: str) -> None:
    counter = old.deploy(ARTIFACTS / "Counter.json")
    counter.send("increment")
    assert (old.version, clz(old)) == (27, None)
    old.upgrade(28, other_bundle(kind))
    assert (old.version, clz(old)) == (28, 255)
    counter.send("increment")
    assert counter.call("number") == 2


def test_every_actor_has_the_new_code_and_its_old_state(old: Network, kind: str) -> None:
    old.deploy(ARTIFACTS / "Counter.json")
    old.send("0x" + "77" * 20, 5)
    before, names = dict(old.machine.state_tree.actors()), old.machine.manifest
    fork = old.machine.fork()
    late = ActorID(5_000)
    before[late] = ActorState(names.code("multisig"))
    fork.state_tree.set_actor(late, before[late])  # not flushed yet
    bundle = other_bundle(kind)
    fork.store.put_many(bundle.blocks)
    fork.upgrade(fork.context.network, bundle.manifest)
    assert fork.root != old.machine.root
    after = dict(fork.state_tree.actors())
    assert after.keys() == before.keys()
    kinds = set()
    for actor, state in before.items():
        name = names.name_of(state.code)
        assert name is not None
        kinds.add(name)
        head = after[actor].head if actor == SYSTEM_ACTOR else state.head
        expected = ActorState(bundle.manifest.code(name), head, state.nonce, state.balance, state.delegated_address)
        assert after[actor] == expected
    assert kinds == {*ACTOR_NAMES} - {"storageminer", "paymentchannel"}
    assert unlink(get_object(fork.store, after[SYSTEM_ACTOR].head)[0]) == bundle.manifest.data


@pytest.mark.slow
def test_miner_keeps_its_power_and_gets_the_new_code(old: Network, kind: str) -> None:
    miner = old.create_miner(sectors=int(kind == "own"))
    asked = Message(miner.address, NO_PRODUCER, method=method_number("GenerateSectorLocation"), params=b"\x81\x00")
    assert old.machine.call(asked).exit_code == (0 if kind == "own" else 22)  # a method of version 28
    power = miner.power()
    old.upgrade(28, other_bundle(kind))
    assert old.machine.call(asked).exit_code == 0
    old.mine(100)
    assert miner.power() == power


def test_planned_upgrade_follows_its_epoch_even_in_null_rounds(kind: str) -> None:
    plan: UpgradePlan = {5: 27, 8: (28, other_bundle(kind))}
    with Network(bundle=first_bundle(kind), network=26, clock=Clock(), upgrades=plan) as network:
        seen = [network.mine().height and (network.version, clz(network)) for _ in range(6)]
        assert seen == [(26, None)] * 5 + [(27, None)]
        network.mine(null_rounds=4)  # 7 to 10
        assert (network.version, clz(network)) == (28, 255)
        assert network.machine.manifest.data == other_bundle(kind).manifest.data


@pytest.mark.slow
def test_folder_keeps_planned_and_completed_upgrades(kind: str, tmp_path: Path) -> None:
    first, second = first_bundle(kind), other_bundle(kind)
    plan: UpgradePlan = {4: (28, second)}
    with Network(tmp_path, bundle=first, network=27, clock=Clock(), upgrades=plan) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json").address
    with Network(tmp_path, clock=Clock()) as network:
        network.mine(3)
        assert (network.version, clz(network)) == (27, None)
    with Network(tmp_path, bundle=first, network=27, clock=Clock(), upgrades=plan) as network:
        assert (network.version, clz(network)) == (27, None)
        network.mine()
        assert (network.version, clz(network)) == (28, 255)
        head = network.head
    for bundle, version in [(None, None), (first, 27), (second, 28)]:
        with Network(tmp_path, bundle=bundle, network=version, clock=Clock(), upgrades=plan) as network:
            assert (network.head, network.version, clz(network)) == (head, 28, 255)
            network.contract(counter, ARTIFACTS / "Counter.json").send("increment")
            head = network.head


@pytest.mark.slow
def test_garbage_collection_keeps_planned_upgrade_bundle(tmp_path: Path) -> None:
    bundle = Bundle.embedded("supply-share")
    with Network(tmp_path, network=27, clock=Clock(), upgrades={2: (28, bundle)}) as network:
        network.mine()
    with RocksStore.open(tmp_path) as store:
        assert GarbageCollector(store, lambda: chain_roots(store)).run() is not None
    with Network(tmp_path, clock=Clock()) as network:
        network.mine(2)
        assert (network.version, network.machine.manifest) == (28, bundle.manifest)


def test_upgrade_with_failing_block_is_no_longer_scheduled(old: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise Fatal("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(type(old.chain.rules.blocks), "end_block", broken)
        with pytest.raises(Fatal, match="a defect"):
            old.upgrade(28)
    old.mine(2)
    assert old.version == 27


@pytest.mark.slow
def test_old_transaction_is_traced_by_old_rules(kind: str, tmp_path: Path) -> None:
    with Network(tmp_path, bundle=first_bundle(kind), network=27, clock=Clock()) as network:
        old = network.deploy(ARTIFACTS / "Counter.json").send("increment")
        network.upgrade(28, other_bundle(kind))
        assert trace(network.chain, old).reproduced
        assert network.chain.machine_at(old.tipset).context.network.number == 27
    with Network(tmp_path, clock=Clock()) as network:
        assert trace(network.chain, network.receipt(old.hash)).reproduced


def test_going_back_takes_an_upgrade_back(old: Network, kind: str) -> None:
    snapshot = old.snapshot()
    old.upgrade(28, other_bundle(kind))
    assert old.revert(snapshot)
    assert (old.version, clz(old)) == (27, None)
    old.mine(3)
    assert (old.version, clz(old)) == (27, None)
    old.deploy(ARTIFACTS / "Counter.json").send("increment")


def test_upgrade_without_bundle_changes_only_rules(old: Network) -> None:
    manifest = old.machine.manifest
    old.upgrade(28)
    assert (old.version, old.machine.manifest) == (28, manifest)
    old.deploy(ARTIFACTS / "Counter.json").send("increment")


def test_base_fee_follows_new_rule_from_upgrade_epoch() -> None:
    # By hand, with facts/network-and-users.md 1: nine tenths of a block's gas raise the fee by four fifths of an eighth
    # in version 27, a premium behind which they stand by a whole one (rounded up) in 28.
    with Network(network=27, clock=Clock(), upgrades={3: 28}) as network:
        fees = []
        for _ in range(5):
            network.send_native(network.accounts[1].native, value=1, gas_limit=9_000_000_000)
            fees.append(network.base_fee)
    # 110 in the tipset of epoch 2; in that of 3, the upgrade's own, 110 + 14; then 124 + 16, 140 + 18.
    assert fees[:4] == [110, 124, 140, 158]


def test_a_state_that_is_loaded_takes_no_upgrades_place() -> None:
    """An upgrade is due with the next block; a loaded state would otherwise have new rules and old actors."""
    with Network(network=27, clock=Clock(), upgrades={2: (28, "own-supply-share")}) as network:
        dumped = network.dump_state()
        network.mine(2)
        with pytest.raises(InvalidInput, match="after an upgrade"):
            network.load_state(dumped)
        network.mine()
        assert network.machine.manifest == Bundle.embedded("supply-share").manifest
        with pytest.raises(InvalidInput, match=r"the state has the built-in actors .*: use the same bundle"):
            network.load_state(dumped)


def test_long_upgrade_logs_its_progress(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("hypervisor.state.state_tree._PROGRESS", 10)
    monkeypatch.setattr("localnet.ledger.upgrades._ACTORS_A_LINE", 20)
    with Network(network=28, clock=Clock()) as network:
        network.upgrade(29, "own-v19")
    assert caplog.messages[0] == "the upgrade to nv29 has processed 20 actors"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({5: 27}, "nv27 is not an upgrade of nv28"),
        ({5: UNKNOWN}, f"network version nv{UNKNOWN} is not known"),
        ({-1: 28}, "is not possible: the head is already at epoch 0"),
        ({1 << 63: 28}, "an epoch that is too high"),
    ],
)
def test_invalid_upgrade_plan_is_rejected(plan: UpgradePlan, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Network(network=28, clock=Clock(), upgrades=plan)


def test_own_actors_have_the_layouts_of_v18_at_every_version() -> None:
    """An upgrade with other actors of the same layout rewrites nothing; older actors could not read the states."""
    with Network(network=24, clock=Clock()) as network:
        with pytest.raises(InvalidInput, match=r"v15, which cannot read the states of the current actors v18: nv25"):
            network.upgrade(25, Bundle.open(data_file("bundles/v15-testing-fake-proofs.car")))
        assert network.upgrade(26, Bundle.embedded("supply-share")).height == 1
        assert network.send(network.accounts[1], 1).succeeded


def test_upgrade_to_bundle_without_evm_actor_is_refused() -> None:
    with Network(bundle=data_file(V17), network=27, clock=Clock()) as network:
        head = network.head
        with pytest.raises(InvalidInput, match="no WASM EVM actor"):
            network.upgrade(28, Bundle.embedded())
        assert network.head == head
        network.mine()
        assert network.version == 27


@pytest.mark.slow
def test_folder_refuses_to_open_with_different_evm_engine(tmp_path: Path) -> None:
    official = data_file(V18)
    with Network(tmp_path, bundle=official, evm="py-evm", clock=Clock()) as network:
        network.deploy(ARTIFACTS / "Counter.json").send("increment")
        gas = network.head.gas_used
    with pytest.raises(InvalidInput, match="contracts are run by 'py-evm', not by 'official'"):
        Network(tmp_path, evm="official", clock=Clock())
    with Network(tmp_path, clock=Clock()) as network:
        assert network.machine.registry.options["evm"] == "fast"
        assert network.head.gas_used == gas
    with pytest.raises(InvalidInput, match="was made with the bundle"):
        Network(tmp_path, bundle=Bundle.embedded("supply-share"), clock=Clock())


@pytest.mark.slow
def test_a_folder_keeps_its_rule_for_pledges(tmp_path: Path) -> None:
    bundle = Bundle.embedded("supply-share")
    with Network(tmp_path, bundle=bundle, clock=Clock()) as network:
        assert network.machine.manifest.data == bundle.manifest.data
    with Network(tmp_path, clock=Clock()) as network:
        assert network.machine.manifest.data == bundle.manifest.data
    with pytest.raises(InvalidInput, match="omit the bundle"):
        Network(tmp_path, bundle=Bundle.embedded(), clock=Clock())


VERSIONS = {21: 12, 22: 13, 23: 14, 24: 15, 25: 16, 27: 17, 28: 18}
"""Versions of the actors by network version. There is no bundle of v11 here, so that nv21 runs two migrations."""


def bundle(actors: int) -> Path:
    return data_file(f"bundles/v{actors}-testing-fake-proofs.car")


@pytest.mark.slow
def test_contracts_and_miners_survive_every_upgrade(tmp_path: Path) -> None:
    plan: UpgradePlan = {
        **{10 * version: (version, bundle(actors)) for version, actors in VERSIONS.items()},
        290: (29, Bundle.embedded("v19")),
    }
    with Network(
        tmp_path, bundle=data_file("bundles/v10-mainnet.car"), network=18, evm="fast", upgrades=plan, clock=Clock()
    ) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        miner = network.create_miner(sectors=0, sector_size=32 << 30)
        for number, (epoch, wanted) in enumerate(sorted(plan.items())):
            network.mine(epoch - network.block_number)
            counter.send("increment")
            expected = wanted[0] if isinstance(wanted, tuple) else wanted
            assert network.version == expected
            assert actors_version(network.machine.manifest) == {**VERSIONS, 29: 19}[expected]
            assert counter.call("number") == number + 1
            assert network.ask(miner.address, storageminer.get_sector_size()) == 32 << 30
    for epoch in plan:
        assert replay(tmp_path, epoch + 1).difference == ""


@pytest.mark.slow
def test_an_upgrade_can_follow_earlier_ones() -> None:
    """The upgrades of the past are not checked again: their actors could not read the present state."""
    with Network(bundle=bundle(12), network=21, evm="fast", clock=Clock()) as network:
        for version in (22, 23, 24):
            network.upgrade(version, bundle(VERSIONS[version]))
            assert (network.version, actors_version(network.machine.manifest)) == (version, VERSIONS[version])


FOLDER = build_guests.TEMPLATE
FIRST, SECOND = build_guests.module_file(FOLDER, "upgradable"), build_guests.module_file(FOLDER, "v2")
FIRST_SCHEMA, SECOND_SCHEMA = FOLDER / "interface-upgradable.ipldsch", FOLDER / "interface-v2.ipldsch"
FIL = 10**18


network = network_fixture(lambda: Network(overlay=with_features(["m2-native", "upgrade-actor"])))


@pytest.fixture
def jar(network: Network) -> NativeActor:
    return network.actors.create(network.actors.install(FIRST, FIRST_SCHEMA), {"owner": network.accounts[0].native})


def upgrade(jar: NativeActor, code: Cid) -> Any:
    """Return the result of the new code's upgrade entry: the old code's CID."""
    return jar.return_value("Upgrade", jar.send("Upgrade", {"code": code}))


def actor_state(network: Network, jar: NativeActor) -> ActorState | None:
    tree = network.machine.state_tree
    number = tree.lookup_id(jar.address)
    assert number is not None
    return tree.get_actor(number)


@pytest.mark.parametrize(
    ("feature", "asks", "takes_over"), [(None, False, False), ("upgradable", True, False), ("v2", False, True)]
)
def test_only_v1_requests_upgrade_and_only_v2_exports_it(feature: str | None, asks: bool, takes_over: bool) -> None:
    module = parse_module(build_guests.module_file(FOLDER, feature).read_bytes())
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


@pytest.mark.slow
def test_only_the_owner_upgrades(network: Network, jar: NativeActor) -> None:
    second = network.actors.install(SECOND, SECOND_SCHEMA)
    with pytest.raises(TransactionFailed, match="only the owner upgrades") as refused:
        jar.send("Upgrade", {"code": second}, sender=network.accounts[1])
    assert refused.value.exit_code == ExitCode.USR_FORBIDDEN


@pytest.mark.slow
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


@pytest.mark.slow
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
    receipt = jar.send("Upgrade", {"code": second})
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
        assert "`hypervisor node --feature upgrade-actor`" in result.message


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
