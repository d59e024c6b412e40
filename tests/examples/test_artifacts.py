"""Tests of the examples: compiled contracts, and a page, source, artifact, test and link for each."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = PROJECT / "examples"
NATIVE = EXAMPLES / "frc46-token"
"""A native actor alone: its test is `test_frc46_token.py` beside this."""
LABS = sorted(page.parent for page in EXAMPLES.glob("lab-*/README.md"))
"""Examples of docs/labs, where a contract is of some."""
FOLDERS = sorted(page.parent for page in EXAMPLES.glob("*/README.md") if page.parent not in (NATIVE, *LABS))
ARTIFACTS = sorted(
    path for folder in (*FOLDERS, *LABS) for path in folder.glob("*.json") if "abi" in json.loads(path.read_text())
)


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)
def test_artifact_matches_adjacent_sources(path: Path) -> None:
    artifact = json.loads(path.read_text())
    sources = {source.name: source.read_bytes() for source in path.parent.glob("*.sol")}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sources.items()}
    assert artifact["sources"] == digests, "run `scripts/examples`"
    assert artifact["packages"] == json.loads((EXAMPLES / "package.json").read_text())["dependencies"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_is_a_page_a_contract_and_a_test(folder: Path) -> None:
    assert (folder / f"test_{folder.name.replace('-', '_')}.py").exists()
    assert list(folder.glob("*.sol"))
    assert [path for path in ARTIFACTS if path.parent == folder]
    assert f"({folder.name}/README.md)" in (EXAMPLES / "README.md").read_text()
    assert f"(../examples/{folder.name}/README.md)" in (PROJECT / "docs" / "bridge.md").read_text()


@pytest.mark.parametrize("folder", LABS, ids=lambda folder: folder.name)
def test_a_labs_example_is_a_page_and_a_test(folder: Path) -> None:
    assert (folder / f"test_{folder.name.replace('-', '_')}.py").exists()
    assert f"({folder.name}/README.md)" in (EXAMPLES / "README.md").read_text()
    lab = PROJECT / "docs" / "labs" / f"{folder.name.removeprefix('lab-')}.md"
    assert f"(../../examples/{folder.name}" in lab.read_text()


def test_seven_examples_are_here() -> None:
    names = ["dual-token", "miner-dao", "miner-facts", "oracle", "provider-payments", "shared-wallet", "solstice"]
    assert [folder.name for folder in FOLDERS] == names


def test_the_native_example_has_a_page_an_interface_and_a_lock() -> None:
    for name in ("README.md", "interface.ipldsch", "Cargo.lock", "src/lib.rs"):
        assert (NATIVE / name).exists()
    assert f"({NATIVE.name}/README.md)" in (EXAMPLES / "README.md").read_text()


PAGES = [
    EXAMPLES / "README.md",
    NATIVE / "README.md",
    *(folder / "README.md" for folder in (*FOLDERS, *LABS)),
    PROJECT / "docs" / "bridge.md",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_links_of_the_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert targets
    for target in targets:
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.long
def test_the_compiler_makes_the_committed_artifacts() -> None:
    done = subprocess.run([PROJECT / "scripts" / "examples", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "IDENTICAL"), done.stdout + done.stderr
