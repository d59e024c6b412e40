"""The compiler's program, with a stand-in for npm's package: batches, halving, and settings."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hypervisor_riscv.resolc import RESOLC
from hypervisor_tools.soltest.compile.compiler import CompilerFailed
from hypervisor_tools.soltest.compile.solc import other_compiler

STAND_IN = """
const fs = require("fs");
exports.resolc = (text) => {
  const asked = JSON.parse(text), names = Object.keys(asked.sources);
  fs.appendFileSync(__dirname + "/calls", JSON.stringify([names, asked.settings]) + "\\n");
  const all = names.map((name) => asked.sources[name].content).join();
  if (all.includes("crashes")) throw new Error("LLVM ERROR: Unsupported SDIV!");
  const errors = all.includes("refused") ? [{ severity: "error", message: "SELFDESTRUCT is not supported" }] : [];
  const wrong = names.find((name) => asked.sources[name].content.includes("wrong"));
  if (wrong) errors.push({ severity: "error", message: "undeclared", sourceLocation: { file: wrong } });
  const contract = { abi: [], metadata: { a: 1 }, evm: { bytecode: { object: "50564d00" } } };
  const contracts = errors.length ? {} : Object.fromEntries(names.map((name) => [name, { C: contract }]));
  return { contracts, errors, sources: {} };
};
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-in, in the `node_modules` of a project that is not the current folder."""
    package = tmp_path / "node_modules" / "@parity" / "resolc" / "dist"
    package.mkdir(parents=True)
    (package / "resolc.js").write_text(STAND_IN)
    monkeypatch.setenv("RESOLC_HOME", str(tmp_path))
    monkeypatch.setenv("NODE_OPTIONS", "--require=./missing.js")
    return package


def compiled(project: Path = Path(), /, **sources: str) -> dict[str, Any]:
    files = {f"{name}.sol": {"content": text} for name, text in sources.items()}
    wanted = {name: {"*": ["abi"]} for name in files}
    settings = {"optimizer": {"enabled": True, "runs": 7}, "evmVersion": "osaka", "outputSelection": wanted}
    solc, _ = other_compiler("resolc", project)
    return solc.start().compile({"language": "Solidity", "sources": files, "settings": settings})


def test_all_sources_are_one_batch(project: Path) -> None:
    found = compiled(A="contract A {}", B="contract B {}", D="contract D {}")
    ((names, settings),) = map(json.loads, (project / "calls").read_text().splitlines())
    assert names == ["A.sol", "B.sol", "D.sol"]
    assert settings["polkavm"]["memory_config"] == {"stack_size": 1 << 20, "heap_size": 1 << 17}
    assert (settings["optimizer"]["runs"], "evmVersion" in settings) == (7, False)
    contract = found["contracts"]["B.sol"]["C"]
    assert contract["evm"]["deployedBytecode"]["object"] == contract["evm"]["bytecode"]["object"] == "50564d00"
    assert contract["metadata"] == '{"a":1}'


@pytest.mark.parametrize("text", ["crashes", "refused"])
def test_source_that_breaks_its_batch_is_found_by_halving(project: Path, text: str) -> None:
    found = compiled(A="", B="", D=text, E="", F="")
    assert [name for name, contracts in found["contracts"].items() if contracts] == ["A.sol", "B.sol", "E.sol", "F.sol"]
    (error,) = (each for each in found["errors"] if each["severity"] == "error")
    assert error["formattedMessage"].startswith("D.sol: resolc cannot compile this source: ")
    assert "SDIV" in error["formattedMessage"] or "SELFDESTRUCT" in error["formattedMessage"]


def test_compilers_errors_of_a_source_are_reported_at_once(project: Path) -> None:
    found = compiled(A="", B="wrong", D="")
    assert [error["sourceLocation"]["file"] for error in found["errors"]] == ["B.sol"]
    assert len((project / "calls").read_text().splitlines()) == 1


def test_missing_package_is_an_error_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESOLC_HOME", str(tmp_path))
    with pytest.raises(CompilerFailed) as failed:
        compiled(A="")
    assert str(failed.value) == (
        "resolc is not installed: run `npm install @parity/resolc@0.3.0 solc@0.8.30` in the project, or set "
        "RESOLC_HOME to a folder with node_modules"
    )


def test_package_of_a_project_must_be_the_release(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESOLC_HOME")
    root = project.parents[3]
    (root / "contracts").mkdir()
    with pytest.raises(CompilerFailed, match=rf"^\./resolc\.js of {root}/.* is not that of the release"):
        compiled(root / "contracts", A="")
    assert not (project / "calls").exists()


def test_compiler_is_registered() -> None:
    solc, label = other_compiler("resolc", Path())
    assert (solc.path, label) == (RESOLC.path, "resolc (fvm-hypervisor-riscv 0.1.0)")
    assert os.access(RESOLC.path, os.X_OK)
    assert subprocess.run(["node", "--check", RESOLC.path], check=False).returncode == 0
