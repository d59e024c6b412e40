"""Draft versions opened from Python: `Network(network=FILE)` chooses what `hypervisor node --network FILE` chooses."""

from pathlib import Path

import pytest
from wasmtime import wat2wasm

from fvm_hypervisor.bundles.building import build
from fvm_hypervisor.laboratory.drafts import allow_draft, read_draft
from fvm_hypervisor.soltest.consent import ConsentNeeded, set_trust
from hypervisor import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.versions.network_versions import NV29
from hypervisor.versions.overlay import Overlay
from localnet import Network, NetworkSettings
from localnet.fork.forking import ForkSource
from localnet.rpc.server import serving
from tests.fvm_hypervisor.laboratory.drafts.test_disabled_syscalls import LOOKS_AT_DEBUG
from tests.fvm_hypervisor.laboratory.drafts.test_opening import EPOCH, RESERVE, migrating, no_trust, sent, written
from tests.localnet.conftest import Clock

__all__ = ["no_trust"]  # a fixture of every test here, too
DISABLES = '[syscalls]\ndisable = ["debug.enabled"]\n'


def debugging_bundle() -> Bundle:
    """Return this project's bundle with an ethaccount that imports debug.enabled."""
    return Bundle.from_car(build(Bundle.embedded(), {"ethaccount": bytes(wat2wasm(LOOKS_AT_DEBUG))}))


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


def test_planned_upgrade_replaces_the_drafts_epoch(tmp_path: Path) -> None:
    with Network(network=written(tmp_path), upgrades={EPOCH + 2: 30}, clock=Clock()) as network:
        network.mine(EPOCH + 2)
        assert network.version == 29
        network.mine()
        assert network.version == 30


def test_migration_needs_consent_of_the_process_or_by_trust(tmp_path: Path) -> None:
    draft = migrating(tmp_path)
    with pytest.raises(ConsentNeeded, match="running it needs your consent"):
        Network(network=draft, clock=Clock())
    assert not (tmp_path / "move.ran").exists()
    allow_draft(read_draft(draft), trust=True)
    with Network(network=draft, clock=Clock()) as network:
        network.mine(EPOCH + 1)
        assert network.balance(RESERVE) == 1234 + EPOCH


def test_trusted_migration_runs(tmp_path: Path) -> None:
    draft = migrating(tmp_path)
    set_trust(tmp_path / "move.py", is_trusted=True)
    with Network(network=draft, clock=Clock()) as network:
        network.mine(EPOCH + 1)
        assert network.balance(RESERVE) == 1234 + EPOCH


@pytest.mark.slow
@pytest.mark.parametrize("head", ["epoch = 0", f"epoch = {EPOCH}"])
def test_bundle_that_imports_a_disabled_syscall_is_refused(tmp_path: Path, head: str) -> None:
    draft, bundle = written(tmp_path, DISABLES, head=head), debugging_bundle()
    with pytest.raises(InvalidInput, match=r"disables debug\.enabled, which the actor ethaccount imports"):
        Network(network=draft, bundle=bundle, clock=Clock())
    with pytest.raises(InvalidInput, match=r"disables debug\.enabled, which the actor ethaccount imports"):
        Network(network=draft, upgrades={EPOCH: (30, bundle)}, clock=Clock())
    with Network(network=draft, bundle=Bundle.embedded(), clock=Clock()) as network:
        assert network.version == (30 if head == "epoch = 0" else 29)


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
