"""`hypervisor` without arguments: version, help, and missing data files."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fvm_hypervisor.laboratory.vectors.bundles import BundleFolder
from hypervisor import Bundle
from hypervisor.errors import BundleError
from store.cid import cid_of
from store.compiled import form
from tests.command import run
from tests.conftest import data_file

PROJECT = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"


def test_version_is_of_project_with_running_form() -> None:
    version = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    found = run("--version")
    assert (found.exit_code, found.output) == (0, f"hypervisor {version} ({form()})\n")


def test_missing_command_lists_commands() -> None:
    found = run()
    assert found.exit_code == 2
    assert "Run the demo: a Solidity contract and a native WASM actor" in found.output


def test_missing_official_bundle_error_names_fetch_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_DATA", str(tmp_path))
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path / "bundles"))
    (tmp_path / "cases.json").write_text("{}")
    found = run("fevmtest", str(tmp_path / "cases.json"))
    assert (found.exit_code, "`hypervisor bundle fetch v18-devnet` downloads it" in found.stderr) == (2, True)
    with pytest.raises(BundleError, match="folder of bundles with --bundle-dir"):
        BundleFolder(tmp_path).store(cid_of(b"a manifest that no bundle has"))


def test_state_bundle_is_found_among_downloaded_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official = data_file("bundles/v18-devnet.car")
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path))
    (tmp_path / "v18-devnet.car").symlink_to(official)
    manifest = Bundle.from_file(official).manifest
    assert BundleFolder(None).store(manifest.data).has(manifest.code("evm"))


LOADING = """
import gc, sys
from fvm_hypervisor.cli.start import main
usual = gc.get_threshold()
sys.argv = ["hypervisor", "--version"]
try:
    main()
except SystemExit:
    pass
print(gc.get_threshold()[0] > usual[0])
kept = [[] for _ in range(300_000)]
print(gc.get_threshold() == usual, gc.get_freeze_count() > 0)
"""


@pytest.mark.slow
def test_garbage_collection_is_deferred_until_command_loads() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["True", "True True"]
