"""`hypervisor bundle build`: a bundle with some code replaced, and its name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.messages.address import Address
from hypervisor.versions.network_versions import LATEST
from hypervisor_tools.bundles import build
from localnet import Network
from store.cid import RAW, cid_of, show
from tests.command import run as run_command
from tests.runtimes.wasm.guests import guest


def run(*arguments: object) -> Any:
    return run_command("bundle", "build", *arguments)


@pytest.mark.parametrize("variant", [None, "v19"])
def test_build_without_replacements_equals_embedded_bundle(variant: str | None) -> None:
    own = Bundle.embedded(variant)
    again = Bundle.from_car(build(own, {}))
    assert (again.root, again.manifest) == (own.root, own.manifest)


def test_one_actor_has_another_code_and_the_others_theirs(tmp_path: Path) -> None:
    module, file, out = guest("(i32.const 0)"), tmp_path / "small.wasm", tmp_path / "mine.car"
    file.write_bytes(module)
    done = run("own-v19", "--actor", f"datacap={file}", "--out", out)
    assert done.exit_code == 0, done.stderr
    own, made = Bundle.embedded("v19"), Bundle.open(out)
    assert show(made.root) in done.stdout
    assert made.manifest.code("datacap") == cid_of(module, RAW)
    others = [name for name in ACTOR_NAMES if name != "datacap"]
    assert [made.manifest.code(name) for name in others] == [own.manifest.code(name) for name in others]


@pytest.mark.parametrize(
    ("actor", "words"),
    [
        ("datacap", "expected NAME=FILE"),
        ("datacop={file}", "a bundle has no actor 'datacop'"),
        ("datacap={file}", "the module for datacap cannot run"),
        ("datacap={none}", "cannot be read"),
    ],
)
def test_invalid_actor_option_writes_nothing(tmp_path: Path, actor: str, words: str) -> None:
    file, out = tmp_path / "text", tmp_path / "mine.car"
    file.write_text("no module", encoding="utf-8")
    named = actor.replace("{file}", str(file)).replace("{none}", str(tmp_path / "none"))
    done = run("own-v19", "--actor", named, "--out", out)
    assert done.exit_code == 2
    assert words in done.stderr
    assert not out.exists()
    with pytest.raises(BundleError):
        build(Bundle.embedded("v19"), {"datacop": b""})


@pytest.mark.slow
def test_module_folder_makes_named_bundle_for_network_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path / "kept"))
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "datacap.wasm").write_bytes(guest("(i32.const 0)"))
    lacking = run_command("bundle", "make", modules, "--out", tmp_path / "mine.car")
    assert lacking.exit_code == 2
    assert "modules of 15 of 16 actors are missing: system, " in lacking.stderr
    assert run_command("bundle", "make", modules, "--base", "own-v19", "--out", tmp_path / "mine.car").exit_code == 0
    kept = run_command("bundle", "add", tmp_path / "mine.car", "--unpinned", "mine")
    assert kept.exit_code == 0, kept.stderr
    assert "mine  " in run_command("bundle", "list").stdout
    with Network() as network:
        state = network.machine.actor(Address.id(7))
        assert state is not None
        network.upgrade(LATEST.number, "mine")
        after = network.machine.actor(Address.id(7))
        assert after == replace(state, code=Bundle.open("mine").manifest.code("datacap"))
        assert network.version == LATEST.number
        assert network.actors.at("f07").call_raw("Name") == b""  # the new code answers nothing
        with pytest.raises(InvalidInput, match="actors v18, which cannot read the states that nv29 writes"):
            network.upgrade(LATEST.number, "own")
        with pytest.raises(InvalidInput, match="pass a bundle to replace its built-in actors"):
            network.upgrade(LATEST.number)


@pytest.mark.parametrize("name", ["own", "v19", "v18-devnet", "Mine", "", "../x", "x" * 41])
def test_invalid_or_reserved_bundle_name_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path / "kept"))
    car = tmp_path / "mine.car"
    car.write_bytes(build(Bundle.embedded(), {}))
    done = run_command("bundle", "add", str(car), "--unpinned", name)
    assert done.exit_code == 2
    assert "is not a valid bundle name" in done.stderr
    assert not (tmp_path / "kept").exists()


def test_a_module_of_no_actor_and_an_empty_folder_are_no_bundle(tmp_path: Path) -> None:
    assert "has no modules" in run_command("bundle", "make", str(tmp_path), "--out", "x.car").stderr
    (tmp_path / "datacop.wasm").write_bytes(guest("(i32.const 0)"))
    done = run_command("bundle", "make", str(tmp_path), "--base", "own", "--out", "x.car")
    assert "a bundle has no actor 'datacop'" in done.stderr
