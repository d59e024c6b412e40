"""A network that starts with a draft version, or upgrades to one while it runs; its migration, replay and vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from hypervisor import Address, Bundle
from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.versions.network_versions import NV29
from hypervisor.versions.overlay import Overlay
from hypervisor_tools.cli.node import vector_of
from hypervisor_tools.cli.node_settings import network_options
from hypervisor_tools.laboratory.drafts import allow_draft, new_draft, read_draft
from hypervisor_tools.soltest.project.consent import ConsentNeeded, set_trust
from localnet import Network, NetworkSettings
from localnet.chain.streams import has_streams
from localnet.errors import TransactionFailed
from localnet.explorer.application import explorer
from localnet.fork.forking import ForkSource
from localnet.rpc.filecoin.network import heights
from localnet.rpc.server.server import serving
from tests.command import run
from tests.hypervisor_tools.laboratory.small_actor import ADDRESS, METHOD, NAME, SmallActor
from tests.localnet.conftest import Clock
from tests.localnet.rpc.server.test_http import ask, request
from tests.localnet.test_features import UPGRADING
from tests.runtimes.wasm.guests import wasm

EPOCH = 3
PRICES = f"[prices]\ntransfer = {NV29.prices.transfer // 1000 + 7}\n"
RESERVE = Address.id(90)
MIGRATION = """from __future__ import annotations
from dataclasses import dataclass

from pathlib import Path

from hypervisor.types import ActorID, TokenAmount

Path(__file__).with_suffix(".ran").touch()


@dataclass(slots=True)
class Change:
    balance: int

def migrate(context):
    reserve = ActorID(90)
    old, change = context.tree.get_actor(reserve), Change(1234 + context.epoch)
    context.tree.set_actor(reserve, old.with_balance(TokenAmount(change.balance)))
"""


@pytest.fixture(autouse=True)
def no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def written(folder: Path, text: str = PRICES, head: str = f"epoch = {EPOCH}") -> Path:
    file = folder / "nv30-draft.toml"
    file.write_text(f"number = 30\nbase = 29\n{head}\n{text}", encoding="utf-8")
    return file


def migrating(folder: Path, source: str = MIGRATION) -> Path:
    (folder / "move.py").write_text(f"# {folder}\n{source}", encoding="utf-8")
    return written(folder, f'{PRICES}[migration]\nfile = "move.py"\n')


def opened(draft: Path, path: str | Path = ":memory:", *, trust: bool = False, **options: Any) -> Network:
    return Network(path, clock=Clock(), **network_options(str(draft), None, None, None, trust, False), **options)


def sent(network: Network) -> int:
    alice, bob = network.accounts[:2]
    return network.send_native(bob.native, value=1, sender=alice.native).gas_used


@pytest.mark.slow
def test_edited_price_applies_from_the_activation_epoch_on(tmp_path: Path) -> None:
    with Network(clock=Clock()) as plain, opened(written(tmp_path)) as network:
        before = [(sent(plain), sent(network)) for _ in range(EPOCH)]  # blocks 1 to EPOCH
        after = [(sent(plain), sent(network)) for _ in range(2)]
        assert network.version == 30
        assert [two - one for one, two in before] == [0] * EPOCH
        assert [two - one for one, two in after] == [7, 7]


def test_syscall_of_a_feature_is_available_from_the_activation_epoch_on(tmp_path: Path) -> None:
    module = tmp_path / "upgrading.wasm"
    module.write_bytes(wasm(UPGRADING))
    with opened(written(tmp_path, '[syscalls]\nenable = ["upgrade-actor"]')) as network:
        with pytest.raises(InvalidModule, match="a syscall of the feature upgrade-actor, which this network does not"):
            network.actors.install(module)
        network.mine(EPOCH + 1 - network.block_number)
        actor = network.actors.create(network.actors.install(module), cbor=b"")
        assert network.send_native(actor.address, 2, sender=network.accounts[0].native).succeeded


def test_opcode_is_removed_from_the_activation_epoch_on(tmp_path: Path) -> None:
    with opened(written(tmp_path, '[opcodes]\nremove = ["CLZ"]')) as network:
        contract = b"\x99" * 20
        network.set_code(contract, bytes.fromhex("60011e5f5260205ff3"))  # counts the leading zeros of 1
        assert network.send(contract, gas_limit=50_000_000).succeeded
        network.mine(EPOCH + 1 - network.block_number)
        with pytest.raises(TransactionFailed):
            network.send(contract, gas_limit=50_000_000)


@pytest.mark.slow
def test_later_upgrade_does_not_migrate_again(tmp_path: Path) -> None:
    with opened(migrating(tmp_path), trust=True) as network:
        network.mine(EPOCH + 1 - network.block_number)
        assert network.version == 30
        network.upgrade(30, SmallActor().bundle(tmp_path / "small.car"))
        assert network.balance(RESERVE) == 1234 + EPOCH
        assert network.machine.manifest.code(NAME) == Bundle.open(tmp_path / "small.car").manifest.code(NAME)


@pytest.mark.parametrize("actors", ["", '[actors]\nbundle = "own"\n'], ids=["base", "named"])
def test_draft_from_nv28_does_not_pass_nv29(tmp_path: Path, actors: str) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text(f"number = 30\nbase = 28\nepoch = {EPOCH}\n{actors}", encoding="utf-8")
    with opened(draft) as network:
        assert network.version == 28
        network.mine(EPOCH + 1)
        assert (network.version, has_streams(network.machine)) == (30, False)
        with pytest.raises(InvalidInput, match="nv29 is not known: choose one of nv18 to nv28, nv30"):
            network.upgrade(29)


def test_running_network_upgrades_to_its_draft_on_request(tmp_path: Path) -> None:
    with opened(written(tmp_path, head="")) as network:
        before = sent(network)
        assert network.version == 29
        network.upgrade(30)
        assert (network.version, sent(network) - before) == (30, 7)
        with pytest.raises(InvalidInput, match="nv31 is not known: choose one of nv18 to nv30"):
            network.upgrade(31)


def test_actors_of_the_draft_run_after_the_activation_epoch(tmp_path: Path) -> None:
    (tmp_path / "small.wasm").write_bytes(SmallActor().module())
    with opened(written(tmp_path, f'[actors]\n{NAME} = "small.wasm"\n')) as network:
        with pytest.raises(TransactionFailed, match="USR_UNHANDLED_MESSAGE"):
            network.send_native(ADDRESS, METHOD + 1000, gas_limit=10**9)
        network.mine(EPOCH + 1 - network.block_number)
        (event,) = network.send_native(ADDRESS, METHOD + 1000).execution.events
        assert event.entries[0].value == b"hello"


def test_migration_runs_once_with_the_upgrade(tmp_path: Path) -> None:
    with opened(migrating(tmp_path), trust=True) as network:
        before = network.balance(RESERVE)
        network.mine(EPOCH - network.block_number)
        assert network.balance(RESERVE) == before
        network.mine(3)
        assert network.balance(RESERVE) == 1234 + EPOCH


def test_no_migration_runs_without_consent(tmp_path: Path) -> None:
    draft, ran = migrating(tmp_path), tmp_path / "move.ran"
    with pytest.raises(ConsentNeeded, match=r"move.py: running it needs your consent; read it, then trust it"):
        opened(draft)
    for command in (["node", "--port", "0"], ["replay", tmp_path]):
        done = run(*command, "--network", draft)
        assert (done.exit_code, "needs your consent" in done.output) == (2, True), done.output
    assert run("compare", "--list-prices", "--network", draft).exit_code == 0
    assert not ran.exists()
    assert run("trust", tmp_path / "move.py").exit_code == 0
    allow_draft(read_draft(draft), trust=False)
    assert ran.exists()


def test_consent_ends_when_the_migration_changes(tmp_path: Path) -> None:
    draft = migrating(tmp_path)
    set_trust(tmp_path / "move.py", is_trusted=True)
    (tmp_path / "move.py").write_text("def migrate(context): ...", encoding="utf-8")
    with pytest.raises(ConsentNeeded, match=r"move.py, which has changed since you trusted it: running it needs"):
        allow_draft(read_draft(draft), trust=False)
    set_trust(tmp_path / "move.py", is_trusted=False)
    with pytest.raises(ConsentNeeded, match=r"move.py: running it needs"):
        allow_draft(read_draft(draft), trust=False)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "def migrate(context):\n    1 / 0",
            "failed in line 3: ZeroDivisionError: division by zero; the state is unchanged",
        ),
        ("def migrate(context):\n    raise SystemExit", "failed in line 3: SystemExit: ; the state is unchanged"),
        (
            "def migrate(context):\n    context.rewrite('cron', lambda a, h: context.fields(h, 'cron', 9))",
            r"the migration to nv30 cannot read the state of f03 \(cron\): cron has 1 fields, expected 9",
        ),
        ("async def migrate(context):\n    pass", r"has no function migrate\(context\)"),
        ("migrate = 1", r"has no function migrate\(context\)"),
        ("raise ValueError('no')", "cannot be loaded: ValueError: no"),
        ("def migrate(", "cannot be loaded: SyntaxError"),
        ("import sys\nsys.exit(3)", "cannot be loaded: SystemExit: 3"),
    ],
)
def test_failing_migration_is_refused_when_the_upgrade_is_planned(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        opened(migrating(tmp_path, source), trust=True)


def test_migration_that_fails_at_the_upgrade_leaves_the_old_state(tmp_path: Path) -> None:
    source = "def migrate(context):\n    assert context.tree.get_actor(99).balance == 0, 'funds in f099'"
    with opened(migrating(tmp_path, source), trust=True) as network:
        network.send_native("f099", value=5)
        network.mine(EPOCH - network.block_number)
        head = network.head
        with pytest.raises(InvalidInput, match="AssertionError: funds in f099; the state is unchanged"):
            network.mine(1)
        assert (network.head, network.version) == (head, 29)


def test_template_of_a_migration_keeps_the_state(tmp_path: Path) -> None:
    path = new_draft("nv30-draft", 29, tmp_path, migrates=True)
    path.write_text(path.read_text(encoding="utf-8").replace("epoch = 100", f"epoch = {EPOCH}"), encoding="utf-8")
    roots, versions = [], []
    for network in (Network(clock=Clock()), opened(path, trust=True)):
        with network:
            network.mine(EPOCH + 2)
            roots.append(network.head.state)
            versions.append(network.version)
    assert roots[0] == roots[1]
    assert versions == [29, 30]


@pytest.fixture
def chain(tmp_path: Path) -> tuple[Path, Path]:
    """Return a draft with a migration, and a chain that has upgraded to it."""
    draft, folder = migrating(tmp_path), tmp_path / "chain"
    with opened(draft, folder, trust=True) as network:
        for _ in range(EPOCH + 3):
            sent(network)
        assert network.version == 30
    return draft, folder


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_replay_reproduces_the_upgrade_and_its_migration(chain: tuple[Path, Path], workers: int) -> None:
    draft, folder = chain
    done = run("replay", folder, "--network", draft, "--trust", "--workers", workers)
    assert (done.exit_code, "0 different" in done.output) == (0, True), done.output


@pytest.mark.slow
def test_replay_with_another_draft_is_refused(chain: tuple[Path, Path]) -> None:
    draft, folder = chain
    draft.write_text(draft.read_text(encoding="utf-8") + "\n[opcodes]\nremove = ['CLZ']\n", encoding="utf-8")
    done = run("replay", folder, "--network", draft, "--trust")
    assert (done.exit_code, "made with the draft nv30, 'nv30-draft'" in done.output) == (2, True), done.output


@pytest.mark.slow
def test_vector_of_a_draft_chain_passes_under_the_draft_only(chain: tuple[Path, Path], tmp_path: Path) -> None:
    draft, folder = chain
    vector = tmp_path / "vector.json"
    arguments = "extract", EPOCH + 2, "--state", folder, "--out", vector, "--bundle-dir", tmp_path
    refused = run(*arguments)
    assert (refused.exit_code, "pass its file with --network" in refused.output) == (2, True), refused.output
    done = run(*arguments, "--network", draft)
    assert done.exit_code == 0, done.output
    assert json.loads(vector.read_text(encoding="utf-8"))["preconditions"]["variants"][0]["nv"] == 30
    assert run("conformance", vector, "--network", draft, "--workers", 1).exit_code == 0
    alone = run("conformance", vector, "--workers", 1)
    words = (
        "nv30 is not known: choose one of nv18 to nv29; for a vector of a draft version, pass its file with --network"
    )
    assert (alone.exit_code, words in " ".join(alone.output.split())) == (1, True), alone.output


@pytest.mark.slow
def test_vector_finds_the_actors_of_its_draft(tmp_path: Path) -> None:
    (tmp_path / "small.wasm").write_bytes(SmallActor().module())
    draft, folder = written(tmp_path, f'[actors]\n{NAME} = "small.wasm"\n'), tmp_path / "chain"
    with opened(draft, folder) as network:
        network.mine(EPOCH + 1 - network.block_number)
        epoch = network.send_native(ADDRESS, METHOD).block_number
    vector, bundles = tmp_path / "vector.json", tmp_path / "none"
    done = run("extract", epoch, "--state", folder, "--network", draft, "--out", vector, "--bundle-dir", bundles)
    assert done.exit_code == 0, done.output
    done = run("conformance", vector, "--network", draft, "--workers", 1, "--bundle-dir", bundles)
    assert done.exit_code == 0, done.output
    (tmp_path / "small.wasm").write_bytes(SmallActor(turns=101).module())
    other = run("conformance", vector, "--network", draft, "--workers", 1, "--bundle-dir", bundles)
    assert (other.exit_code, "not installed" in other.output) == (1, True), other.output


def test_upgrade_of_the_command_line_replaces_the_drafts_epoch(tmp_path: Path) -> None:
    draft = str(written(tmp_path))
    chosen = network_options(draft, None, ["nv30@9"], None, False, False)
    assert (chosen["network"], chosen["upgrades"]) == (29, {9: 30})
    assert network_options(draft, None, None, None, False, True)["network"] is None  # a fork has its network's version


def test_planned_upgrade_replaces_the_drafts_epoch(tmp_path: Path) -> None:
    with Network(network=written(tmp_path), upgrades={EPOCH + 2: 30}, clock=Clock()) as network:
        network.mine(EPOCH + 2)
        assert network.version == 29
        network.mine()
        assert network.version == 30


def test_network_parameters_name_the_upgrade_as_lotus_does(tmp_path: Path) -> None:
    with opened(written(tmp_path)) as network:
        found = heights(network.chain.record.upgrades, network.overlay)
    assert found["UpgradeXxHeight"] == EPOCH
    assert found["UpgradeSolsticeHeight"] < 0
    with Network(clock=Clock()) as plain:
        assert "UpgradeXxHeight" not in heights(plain.chain.record.upgrades, plain.overlay)


def test_planned_upgrade_has_the_bundle_of_the_draft(tmp_path: Path) -> None:
    draft = str(written(tmp_path, f'{PRICES}[actors]\nbundle = "own-v19"\n'))
    (early,), (late,) = (
        network_options(draft, None, entries, None, False, False)["upgrades"].items() for entries in (None, ["nv30@9"])
    )
    assert (early[0], late[0]) == (EPOCH, 9)
    assert early[1] == late[1]
    assert late[1][0] == 30
    other = network_options(draft, None, ["nv30@9=own"], None, False, False)["upgrades"]
    assert other == {9: (30, "own")}


@pytest.mark.slow
def test_folder_of_a_draft_names_the_option_and_a_changed_file(chain: tuple[Path, Path]) -> None:
    draft, folder = chain
    with pytest.raises(InvalidInput, match=r"made with the draft nv30, .*none was given: .*--network FILE"):
        Network(folder, clock=Clock())
    (draft.parent / "move.py").write_text(f"# more\n{MIGRATION}", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"made with the draft nv30, .* and its file or its migration has changed"):
        opened(draft, folder, trust=True)


__all__ = ["no_trust"]  # a fixture of every test here, too


@pytest.mark.parametrize("kind", [str, Path])
def test_network_starts_with_the_draft(tmp_path: Path, kind: type) -> None:
    draft = kind(written(tmp_path, head="epoch = 0"))
    with Network(clock=Clock()) as plain, Network(network=draft, clock=Clock()) as network:
        assert (network.version, plain.version) == (30, 29)
        assert sent(network) == sent(plain) + 7  # by hand: one transfer, 7 gas more


def test_settings_as_an_object_may_name_the_draft(tmp_path: Path) -> None:
    settings = NetworkSettings(network=written(tmp_path, head="epoch = 0"), clock=Clock())
    with pytest.raises(InvalidInput, match="is not resolved: pass the settings to Network"):
        assert settings.version
    with Network(settings=settings) as network:
        assert network.version == 30


@pytest.mark.slow
def test_folder_upgrades_and_is_opened_again(tmp_path: Path) -> None:
    draft, folder = written(tmp_path), tmp_path / "chain"
    with Network(folder, network=draft, clock=Clock()) as network:
        network.mine(EPOCH)
        assert network.version == 29
        network.mine()
        assert network.version == 30
    with Network(folder, network=draft, clock=Clock()) as network:
        assert network.version == 30
    with pytest.raises(InvalidInput, match="its file or its migration has changed"):
        Network(folder, clock=Clock(), network=written(tmp_path, f"[prices]\ntransfer = {NV29.prices.transfer}\n"))


@pytest.mark.slow
def test_draft_is_refused_for_a_folder_without_one(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    Network(folder, clock=Clock()).close()
    with pytest.raises(
        InvalidInput,
        match=r"made without an overlay, not with the draft nv30, 'nv30.*: omit it \(--network FILE\.toml\), or use",
    ):
        Network(folder, network=written(tmp_path, head="epoch = 0"), clock=Clock())


@pytest.mark.slow
def test_folder_refuses_another_draft_by_its_name(tmp_path: Path) -> None:
    folder, first = tmp_path / "chain", written(tmp_path, head="epoch = 0")
    Network(folder, network=first, clock=Clock()).close()
    other = first.replace(tmp_path / "other.toml")
    other.write_text(other.read_text().replace("nv30", "other").replace("number = 30", "number = 31"))
    with pytest.raises(InvalidInput, match=r"made with the draft nv30, .*, not with .*other.*--network FILE\.toml"):
        Network(folder, network=other, clock=Clock())
    with pytest.raises(InvalidInput, match=r"made with the draft nv30, .*, but none was given"):
        Network(folder, clock=Clock())


def test_migration_needs_consent_of_the_process_or_by_trust(tmp_path: Path) -> None:
    draft = migrating(tmp_path)
    with pytest.raises(ConsentNeeded, match="running it needs your consent"):
        Network(network=draft, clock=Clock())
    assert not (tmp_path / "move.ran").exists()
    allow_draft(read_draft(draft), trust=True)
    with Network(network=draft, clock=Clock()) as network:
        network.mine(EPOCH + 1)
        assert network.balance(RESERVE) == 1234 + EPOCH


@pytest.mark.slow
def test_fork_upgrades_to_the_draft(tmp_path: Path) -> None:
    with Network(clock=Clock()) as origin:
        plain = sent(origin)
        with serving(origin) as url:
            epoch = origin.block_number + 2
            draft = written(tmp_path, head=f"epoch = {epoch}")
            with Network(clock=Clock(), fork=ForkSource(url), network=draft) as network:
                assert (network.version, sent(network)) == (29, plain)
                network.mine(epoch + 1 - network.block_number)
                assert (network.version, sent(network)) == (30, plain + 7)


def test_file_that_cannot_be_a_draft_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"missing\.toml"):
        Network(network=tmp_path / "missing.toml")
    with pytest.raises(InvalidInput, match="nor a file of a draft"):
        Network(network=tmp_path / "nv30.json")
    with pytest.raises(InvalidInput, match="the file has no key 'nunber'"):
        Network(network=written(tmp_path, "", head="nunber = 31"))
    with pytest.raises(InvalidInput, match="cannot be used together"):
        Network(network=written(tmp_path), overlay=Overlay("mine", 29, None, (), ()))


@pytest.mark.slow
def test_explorer_shows_the_draft_and_its_vectors(tmp_path: Path) -> None:
    draft = written(tmp_path)
    with opened(draft) as network:
        pages = explorer([], lambda wanted: vector_of(url, wanted, network.overlay))
        with serving(network, pages=pages) as url:
            planned = request(url, "GET", "/")[2].decode()
            assert f"nv30 nv30-draft after epoch {EPOCH}" in planned
            network.mine(EPOCH + 1 - network.block_number)
            assert "nv30 nv30-draft" in request(url, "GET", "/")[2].decode()
            transaction = network.send_native(network.accounts[1].native, value=1).hash.hex()
            status, _, page = request(url, "GET", f"/tx/0x{transaction}/vector.json")
            out = tmp_path / "vector.json"
            extract = "extract", f"0x{transaction}", "--rpc-url", url, "--out", out
            refused, done = run(*extract), run(*extract, "--network", draft)
    assert (status, json.loads(page)["preconditions"]["variants"][0]["nv"]) == (200, 30)
    assert (refused.exit_code, "nv30 is not known" in refused.output) == (2, True), refused.output
    assert done.exit_code == 0, done.output
    assert run("conformance", out, "--network", draft, "--workers", 1).exit_code == 0


@pytest.mark.slow
def test_null_round_links_its_cron_once_this_has_a_receipt(tmp_path: Path) -> None:
    with opened(written(tmp_path, '[rules]\nreceipts = "all"\n'), deferred=True) as network:
        network.mine(EPOCH + 1)
        tipset = network.mine(null_rounds=1)
        path, link = f"/epoch/{tipset.height - 1}", f"/tx/0x{tipset.implicit[0].hex()}"
        with serving(network, pages=explorer([])) as url:
            assert link not in request(url, "GET", path)[2].decode()
            network.mine()
            assert link in request(url, "GET", path)[2].decode()
            assert request(url, "GET", link)[0] == 200


def test_client_upgrades_the_node_to_its_draft(tmp_path: Path) -> None:
    draft = read_draft(written(tmp_path, head=""))
    with Network(network=29, overlay=draft.overlay, clock=Clock()) as network:
        before = sent(network)
        with serving(network) as url:
            ask(url, "hypervisor_upgrade", "nv30")
        assert (network.version, sent(network)) == (30, before + 7)
