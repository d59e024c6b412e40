"""Import layers: the contracts of pyproject.toml hold, and each kind of violation breaks one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.project import PACKAGES, PROJECT

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

DOWN = "imports go down only"
NO_BRIDGE = "the native runtime does not import the bridge"
ALONE = "built-in actors import nothing of the project"
BY_ENTRY_POINT = "runtimes are found by entry point, never imported by the machine or the network"
LOCALNET = "localnet's packages import only lower ones"
TOOLS = "every package of fvm_hypervisor has a layer"
CIRCLES = "no modules import each other, neither lazily nor for types"

# (where, what is imported there, the contract that it breaks)
BREACHES = [
    ("store", "hypervisor", DOWN),
    ("store", "fvm_hypervisor.builtin_actors", DOWN),
    ("fvm_hypervisor.builtin_actors", "store", ALONE),
    ("hypervisor", "bridge", DOWN),
    ("hypervisor", "fvm_hypervisor.soltest", DOWN),
    ("hypervisor", "runtimes.wasm", BY_ENTRY_POINT),
    ("bridge", "runtimes.evm", BY_ENTRY_POINT),
    ("store", "runtimes.evm", BY_ENTRY_POINT),
    ("runtimes.wasm", "runtimes.evm", DOWN),
    ("runtimes.evm", "runtimes.wasm", DOWN),
    ("runtimes.wasm", "bridge", NO_BRIDGE),
    ("runtimes.evm", "fvm_hypervisor.soltest", DOWN),
    ("bridge", "localnet", DOWN),
    ("localnet", "fvm_hypervisor.soltest", DOWN),
    ("localnet", "runtimes.evm", BY_ENTRY_POINT),
    ("localnet.chain", "localnet.rpc.node", LOCALNET),
    ("localnet.chain", "localnet.calls.simulate", LOCALNET),
    ("localnet.ledger", "localnet.rules.parts", LOCALNET),
    ("localnet.contracts", "localnet.network", LOCALNET),
    ("fvm_hypervisor.demo", "fvm_hypervisor.laboratory.vectors", TOOLS),
    ("fvm_hypervisor.laboratory.vectors", "fvm_hypervisor.cli", TOOLS),
]


def lint(folder: Path) -> tuple[int, str]:
    """Return exit code and output of lint-imports on the packages of a folder."""
    command = [str(LINT_IMPORTS), "--config", "pyproject.toml", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def breached(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run lint-imports on a copy with all violations, and return its output by contract."""
    folder = tmp_path_factory.mktemp("breached")
    shutil.copy(PROJECT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("guests", "__pycache__"))
    for number, (where, what, _) in enumerate(BREACHES):
        (folder / where.replace(".", "/") / f"planted_{number}.py").write_text(f"import {what}\n")
    lazily, for_types = "def made():\n    {}\n", "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    {}\n"
    (folder / "store" / "planted_upper.py").write_text(lazily.format("import store.planted_lower"))
    (folder / "store" / "planted_lower.py").write_text(for_types.format("import store.planted_upper"))
    (folder / "fvm_hypervisor" / "planted_tool").mkdir()
    (folder / "fvm_hypervisor" / "planted_tool" / "__init__.py").touch()
    code, words = lint(folder)
    assert code == 1, words
    _, *parts = re.split(r"^([^\n]+)\n-+\n", words.split("Broken contracts", 1)[1], flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: f"{breach[0]} imports {breach[1]}")
def test_a_planted_import_breaks_its_contract(breached: dict[str, str], breach: tuple[str, str, str]) -> None:
    where, what, contract = breach
    assert f"{where}.planted_{BREACHES.index(breach)} -> {what} (l.1)" in breached[contract]


def test_import_cycle_breaks_its_contract(breached: dict[str, str]) -> None:
    assert "No cycles are allowed in store." in breached[CIRCLES]


def test_a_tool_without_a_layer_breaks_the_contract_of_the_tools(breached: dict[str, str]) -> None:
    assert "- fvm_hypervisor.planted_tool" in breached[TOOLS]
