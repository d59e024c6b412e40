"""`hypervisor solidity`: the written files, and forge's remapping for FilecoinVm.sol."""

import json
from pathlib import Path

import pytest

from fvm_hypervisor.soltest.project import load_project
from fvm_hypervisor.soltest.sources import own_sources, read_sources
from tests.command import run

LINE = "hypervisor/=lib/filecoin/"


def write(folder: Path, *options: str) -> str:
    done = run("solidity", folder, *options)
    assert done.exit_code == 0, done.output
    return done.stdout


def project(root: Path, remappings: str | None = None) -> Path:
    (root / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    if remappings is not None:
        (root / "remappings.txt").write_text(remappings, encoding="utf-8")
    return root


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(None, ""), ("", ""), ("a/=b/", "a/=b/\n"), ("a/=b/\n", "a/=b/\n")])
def test_a_project_gets_the_remapping_once(tmp_path: Path, before: str | None, after: str) -> None:
    folder = project(tmp_path, before) / "lib" / "filecoin"
    assert write(folder).splitlines()[-1] == f"remappings.txt: {LINE}"
    for _ in range(2):
        assert (tmp_path / "remappings.txt").read_text(encoding="utf-8") == f"{after}{LINE}\n"
        assert json.loads(write(folder, "--json"))["remapping"] is None


def test_imports_lead_to_the_written_file(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "T.t.sol").write_text('import "hypervisor/FilecoinVm.sol";', encoding="utf-8")
    before, after = "hypervisor/FilecoinVm.sol", "lib/filecoin/FilecoinVm.sol"
    for name in (before, after):
        found = load_project(tmp_path)
        assert set(read_sources(found, own_sources(found)).texts) == {"test/T.t.sol", name}
        write(tmp_path / "lib" / "filecoin")


def test_existing_project_remapping_is_preserved(tmp_path: Path) -> None:
    project(tmp_path, "hypervisor/=vendor/fvm/\n")
    assert "remappings.txt" not in write(tmp_path / "lib" / "filecoin")
    assert (tmp_path / "remappings.txt").read_text(encoding="utf-8") == "hypervisor/=vendor/fvm/\n"


def test_only_contract_files_are_written_without_project(tmp_path: Path) -> None:
    found = json.loads(write(tmp_path / "contracts", "--json"))
    assert found["remapping"] is None
    assert str(tmp_path / "contracts" / "FilecoinVm.sol") in found["written"]
    assert [path.name for path in tmp_path.iterdir()] == ["contracts"]
