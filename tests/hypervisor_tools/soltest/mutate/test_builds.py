"""Compilation of mutants: what is compiled, which code counts as different, and failing compilers."""

import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.compile.compiler import CompileError, CompilerTimeout, Solc
from hypervisor_tools.soltest.mutate.builds import _METADATA, MutantCompiler
from hypervisor_tools.soltest.mutate.operators import Mutant
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.sources import Sources
from tests.hypervisor_tools.soltest.contracts import write

TEXTS = {
    "src/A.sol": "contract A { 1; }", "src/B.sol": "contract B {}", "src/C.sol": "contract C {}",
    "test/A.t.sol": "contract ATest {}", "test/D.t.sol": "contract DTest {}",
}  # fmt: skip
IMPORTS = {"src/B.sol": ("src/A.sol",), "src/C.sol": ("src/B.sol",), "test/A.t.sol": ("src/B.sol",)}
HASH = "a2646970667358221220" + "11" * 32 + "64736f6c634300081e0033"
PROGRAM = """
let runs = 0;
module.exports = {
  cwrap: () => (text) => {
    runs += 1;
    const source = JSON.parse(text).sources["src/A.sol"].content;
    if (source.includes("dies") || (source.includes("grows") && runs > 1)) process.exit(3);
    while (source.includes("hangs"));
    const code = { object: source.includes("same") ? "60%s" : "61%s" };
    const id = { id: process.pid };
    return JSON.stringify({
      sources: { "src/A.sol": id },
      contracts: { "src/A.sol": { A: { abi: [], evm: { bytecode: code, deployedBytecode: code } } } },
    });
  },
  _solidity_reset: () => {},
};
""" % (HASH.replace("11", "22"), HASH)  # noqa: UP031  # the program is full of braces


def mutant(replacement: str) -> Mutant:
    return Mutant("src/A.sol", "A", "literal", TEXTS["src/A.sol"].index("1"), "1", replacement, 1, 14, ())


def compiler_of(folder: Path, texts: dict[str, str] = TEXTS, seconds: float = 20.0) -> MutantCompiler:
    program = folder / "soljson.js"
    program.write_text(PROGRAM)
    code = {"object": f"60{HASH}"}
    content: dict[str, Any] = {"abi": [], "bytecode": code, "deployedBytecode": code}
    place = ArtifactLocation("src/A.sol", "A", write(folder / "out", {"A": content}) / "A.json")
    sources = Sources(texts, frozenset(texts), (), IMPORTS)
    solc = Solc("0.8.30", program, is_javascript=True)
    return MutantCompiler(Project(folder), sources, solc, Artifacts(folder, [place], {}), seconds)


def test_only_what_the_tests_can_use_is_compiled(tmp_path: Path) -> None:
    compiler = compiler_of(tmp_path)
    assert compiler.affected_sources("src/A.sol", ["test/A.t.sol"]) == ["src/A.sol", "src/B.sol", "test/A.t.sol"]
    assert compiler.affected_sources("src/A.sol", ["test/D.t.sol"]) == ["src/A.sol"]
    by_name = {**TEXTS, "test/D.t.sol": 'contract DTest { function f() public { vm.getCode("C.sol"); } }'}
    everything = ["src/A.sol", "src/B.sol", "src/C.sol", "test/A.t.sol"]
    compiler = compiler_of(tmp_path, by_name)
    assert compiler.affected_sources("src/A.sol", ["test/D.t.sol"]) == everything
    assert compiler.used_sources("src/A.sol", ["test/D.t.sol"]) == sorted(TEXTS)  # all can be named


def test_imports_are_followed_once_per_source_and_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = compiler_of(tmp_path)
    calls: list[list[str]] = []
    closure = Sources.closure

    def recorded(sources: Sources, names: Iterable[str]) -> set[str]:
        calls.append(list(names))
        return closure(sources, calls[-1])

    monkeypatch.setattr(Sources, "closure", recorded)
    for _ in range(3):
        assert compiler.affected_sources("src/A.sol", ["test/A.t.sol"]) == ["src/A.sol", "src/B.sol", "test/A.t.sol"]
        assert compiler.used_sources("src/A.sol", ["test/A.t.sol"]) == ["src/A.sol", "src/B.sol", "test/A.t.sol"]
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ("a2646970667358221220", "64736f6c634300081e0033", True),
        ("a3646970667358221220", "6c6578706572696d656e74616cf564736f6c634300081e0042", True),  # "experimental": true
        ("a265627a7a72315820", "64736f6c63430005110032", True),
        ("7f", "5f5260205ff3", False),  # PUSH32
    ],
)
def test_the_hash_in_the_metadata_is_ignored(before: str, after: str, is_same: bool) -> None:
    one, other = (_METADATA.sub("", f"6001{before}{digit * 64}{after}") for digit in "12")
    assert (one == other) is is_same


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")


@needs_node
def test_code_that_differs_in_the_metadata_only_is_equivalent(tmp_path: Path) -> None:
    compiler = compiler_of(tmp_path)
    assert compiler.compile(mutant("same"), ["test/D.t.sol"], tmp_path / "same") is None
    found = compiler.compile(mutant("2"), ["test/D.t.sol"], tmp_path / "other")
    assert found is not None
    assert [location.name for location in found["src/A.sol"].locations] == ["A"]
    compiler.stop()


@pytest.mark.slow
@needs_node
def test_a_process_compiles_several_mutants_and_is_replaced_when_it_fails(tmp_path: Path) -> None:
    compiler = compiler_of(tmp_path)

    def process(text: str) -> int:
        found = compiler.compile(mutant(text), ["test/D.t.sol"], tmp_path / text)
        assert found is not None
        return next(iter(found["src/A.sol"].numbers))  # the program answers with its process id

    first = process("2")
    assert process("3") == first
    assert process("grows") != first  # which only a new process compiles
    with pytest.raises(CompileError, match="printed no JSON; its exit code is 3"):
        process("dies")
    assert process("4") > 0
    compiler.stop()
    with pytest.raises(CompileError):
        process("5")


@pytest.mark.slow
@needs_node
def test_a_compiler_is_stopped_at_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    compiler = compiler_of(tmp_path, seconds=1.5)
    with pytest.raises(CompilerTimeout, match=r"did not end after 1\.5 seconds"):
        compiler.compile(mutant("hangs"), ["test/D.t.sol"], tmp_path / "hangs")
    compiler.stop()
    assert [process.returncode for process in started] == [-signal.SIGKILL]
