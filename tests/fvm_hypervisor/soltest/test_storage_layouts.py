"""Storage layouts are compiled only if a source uses the cheatcode, and then without other output.

That slots are forge's is shown in cheatcodes/test_beside_forge.py. The form is that of the Solidity documentation.
"""

from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.soltest.compile.solc import SolcChoice
from fvm_hypervisor.soltest.execution.discovery import SuiteFilter
from fvm_hypervisor.soltest.execution.job import Options
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.project.sources import own_sources, read_sources
from fvm_hypervisor.soltest.run.session import SuiteSession
from fvm_hypervisor.soltest.storage_layouts import storage_layouts, uses_layouts

LAYOUT = {"storage": [{"label": "kept", "slot": "0", "type": "t_uint256"}], "types": {}}


class AskedSolc:
    """A compiler that records its input, and returns one layout."""

    version = "0.8.30"

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def start(self) -> "AskedSolc":
        return self

    def compile(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(asked)
        selection = asked["settings"]["outputSelection"]
        names = asked["sources"] if "*" in selection else selection
        (wanted,) = {tuple(found["*"]) for found in selection.values()}
        found: dict[str, Any] = {"storageLayout": LAYOUT} if wanted == ("storageLayout",) else {"abi": []}
        return {"contracts": {name: {"A": found} for name in names}, "sources": {name: {"id": 0} for name in names}}


def project(folder: Path, uses: str, *extra_output: str) -> Project:
    (folder / "test").mkdir()
    (folder / "test" / "A.t.sol").write_text(f"contract A {{ function f() public {{ {uses} }} }}", encoding="utf-8")
    return Project(folder, extra_output=extra_output)


@pytest.mark.parametrize(
    ("uses", "extra_output", "times"),
    [
        ("vm.getStorageSlots(a, b);", (), 2),
        ("vm.load(a, b);", ("storageLayout",), 1),
        ("vm.getStateDiff();", (), 1),
        ("vm.getStateDiffJson();", ("storageLayout",), 2),
    ],
)
def test_storage_layouts_are_requested_only_if_cheatcode_used(
    uses: str, extra_output: tuple[str, ...], times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solc = AskedSolc()
    monkeypatch.setattr(SolcChoice, "installed_solc", lambda *_: solc)
    session = SuiteSession(project(tmp_path, uses, *extra_output), SuiteFilter(), Options())
    session.compiled()
    assert len(solc.asked) == times
    assert session.job().layouts == ({("test/A.t.sol", "A"): LAYOUT} if times == 2 else {})


def test_only_storage_layouts_are_requested(tmp_path: Path) -> None:
    solc, found = AskedSolc(), project(tmp_path, "vm.getStorageSlots(a, b);")
    sources = read_sources(found, own_sources(found))
    assert uses_layouts(found, sources)
    assert storage_layouts(found, sources, solc) == {("test/A.t.sol", "A"): LAYOUT}  # type: ignore[arg-type]  # a stand-in
    assert solc.asked[0]["settings"]["outputSelection"] == {"*": {"*": ["storageLayout"]}}
