"""The compiler generates code for changed sources only, and does not run if nothing has changed."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.compiler import CompileError, CompilerRun, Solc, WarningsDenied
from hypervisor_tools.soltest.compile.compiling import CompiledCache, artifacts_of, compiled_sources, has_changed
from hypervisor_tools.soltest.project.project import CompilerSettings, Project, WarningSettings
from hypervisor_tools.soltest.project.sources import own_sources, read_sources
from hypervisor_tools.soltest.project.test_settings import evm_version

FILES = {
    "src/Base.sol": "contract Base {}",
    "src/Vault.sol": 'import "./Base.sol"; contract Vault is Base {}',
    "src/Apart.sol": "contract Apart {}",
    "test/Vault.t.sol": 'import {Vault} from "../src/Vault.sol"; contract VaultTest {}',
    "test/Apart.t.sol": 'import {Apart} from "../src/Apart.sol"; contract ApartTest {}',
}
COMPILER = """#!{python}
import json, os, re, sys
asked = json.load(sys.stdin)
chosen = asked["settings"]["outputSelection"]
with open("{log}", "a") as log:
    log.write(json.dumps([sorted(chosen), sorted(asked["sources"]), os.getpid()]) + "\\n")
numbers = {{name: {{"id": number}} for number, name in enumerate(sorted(asked["sources"]))}}
contracts = {{
    name: {{made: {{"abi": [{{"name": asked["sources"][name]["content"]}}]}} for made in
           re.findall(r"contract (\\w+)", asked["sources"][name]["content"])}}
    for name in chosen
}}
print(json.dumps({{"contracts": contracts, "sources": numbers}}))
"""


class Compiled:
    """A project with a compiler that records its input: by run, the sources with code and all sources."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root, root / "asked"
        self.project = Project(root)
        for name, text in FILES.items():
            self.write(name, text)
        program = root / "solc"
        program.write_text(COMPILER.format(python=sys.executable, log=self.log), encoding="utf-8")
        program.chmod(0o755)
        self.solc = Solc("0.8.30", program, False)

    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def run(self) -> tuple[set[str], set[str]]:
        """Return the sources for which the compiler generated code, and those that it was given."""
        lines = self.runs()
        assert len(lines) <= 1
        return (set(lines[0][0]), set(lines[0][1])) if lines else (set(), set())

    def runs(self, **more: Any) -> list[tuple[list[str], list[str], int]]:
        """Return the same for each compiler process, with its number."""
        self.log.write_text("", encoding="utf-8")
        sources = read_sources(self.project, own_sources(self.project))
        found = compiled_sources(self.project, sources, sources.texts, self.solc, **more)
        self.artifacts = artifacts_of(self.root, found)
        assert {place.file for place in self.artifacts.locations} == set(sources.texts)
        for place in self.artifacts.locations:
            assert self.artifacts.load(place).abi == [{"name": sources.texts[place.file]}]
            assert place.file in self.artifacts.sources[place.build].values()
        return [tuple(json.loads(line)) for line in self.log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    found = Compiled(tmp_path)
    assert found.run() == (set(FILES), set(FILES))
    assert found.run() == (set(), set())
    return found


@pytest.mark.slow
def test_test_change_recompiles_that_test_with_its_imports(compiled: Compiled) -> None:
    name = "test/Vault.t.sol"
    compiled.write(name, FILES[name] + "\n// one line")
    assert compiled.run() == ({name}, {name, "src/Vault.sol", "src/Base.sol"})
    assert compiled.run() == (set(), set())


@pytest.mark.slow
def test_source_change_recompiles_all_transitive_importers(compiled: Compiled) -> None:
    compiled.write("src/Base.sol", "contract Base { uint public x; }")
    changed = {"src/Base.sol", "src/Vault.sol", "test/Vault.t.sol"}
    assert compiled.run() == (changed, changed)


def test_oldest_of_too_many_unused_sources_are_deleted(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor_tools.soltest.compile.compiling._MAX_UNUSED", 1)
    for text in ("contract Apart { uint public x; }", "contract Apart { uint public y; }"):
        compiled.write("src/Apart.sol", text)
        assert compiled.run()[0] == {"src/Apart.sol", "test/Apart.t.sol"}
    assert len([*(compiled.root / "cache" / "hypervisor").iterdir()]) == len(FILES) + 1
    assert compiled.run() == (set(), set())


@pytest.mark.slow
def test_previously_compiled_source_is_not_recompiled(compiled: Compiled) -> None:
    compiled.write("src/Base.sol", "contract Base { uint public x; }")
    compiled.run()
    compiled.write("src/Base.sol", FILES["src/Base.sol"])
    assert compiled.run() == (set(), set())


@pytest.mark.slow
def test_new_source_shifts_ids_of_other_sources_but_not_names(compiled: Compiled) -> None:
    compiled.write("src/AAA.sol", "contract AAA {}")
    assert compiled.run() == ({"src/AAA.sol"}, {"src/AAA.sol"})
    numbers = {place.file: compiled.artifacts.sources[place.build] for place in compiled.artifacts.locations}
    assert numbers["src/AAA.sol"] == {0: "src/AAA.sol"}
    assert numbers["src/Apart.sol"] == {0: "src/Apart.sol"}


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"optimizer": True}, {"via_ir": True}, {"evm_version": "paris"}], ids=str)
def test_changed_setting_recompiles_all_and_keeps_old_artifacts(compiled: Compiled, changed: dict[str, bool]) -> None:
    before = compiled.project
    compiled.project = replace(before, compiler=CompilerSettings(**changed))  # type: ignore[arg-type]  # settings by name
    assert compiled.run() == (set(FILES), set(FILES))
    compiled.project = before
    assert compiled.run() == (set(), set())


@pytest.mark.slow
def test_force_option_recompiles_all_files(compiled: Compiled) -> None:
    before = compiled.project
    compiled.project = replace(before, force=True)
    assert compiled.run() == (set(FILES), set(FILES))
    compiled.project = before
    assert compiled.run() == (set(), set())


@pytest.mark.slow
def test_another_compiler_compiles_everything(compiled: Compiled) -> None:
    compiled.solc = replace(compiled.solc, version="0.8.31")
    assert compiled.run() == (set(FILES), set(FILES))


@pytest.mark.slow
def test_sources_are_split_between_processes_with_all_as_input(compiled: Compiled) -> None:
    """Indices of sources, which code via the IR depends on, equal those of one process."""
    names = {f"src/Many{number}.sol" for number in range(40)}
    for name in names:
        compiled.write(name, f'import "./Base.sol"; contract {Path(name).stem} is Base {{}}')
    shared = compiled.runs(runs=2)
    assert len(shared) == 2
    assert set(shared[0][0]) | set(shared[1][0]) == names
    assert not set(shared[0][0]) & set(shared[1][0])
    assert [set(given) for _, given, _ in shared] == [{*names, "src/Base.sol"}] * 2
    assert min(len(chosen) for chosen, _, _ in shared) > 10
    assert compiled.runs(runs=2) == []


@pytest.mark.slow
def test_a_few_sources_are_compiled_by_one_process(compiled: Compiled) -> None:
    compiled.write("src/Base.sol", "contract Base { uint public x; }")
    assert len(compiled.runs(runs=2)) == 1


@pytest.mark.slow
def test_waiting_compiler_process_is_reused(compiled: Compiled) -> None:
    for name in (f"src/Many{number}.sol" for number in range(40)):
        compiled.write(name, f"contract {Path(name).stem} {{}}")
    waiting = CompilerRun(compiled.solc)
    asked = {process for _, _, process in compiled.runs(runs=2, waiting=waiting)}
    assert waiting._process.pid in asked
    assert len(asked) == 2
    assert waiting._process.returncode == 0


@pytest.mark.slow
def test_waiting_process_of_another_compiler_is_not_used(compiled: Compiled) -> None:
    waiting = CompilerRun(replace(compiled.solc, version="0.8.1"))
    compiled.write("src/Base.sol", "contract Base { uint public x; }")
    ((_, _, process),) = compiled.runs(waiting=waiting)
    assert process != waiting._process.pid
    waiting.discard()
    assert waiting._process.returncode not in (None, 0)


@pytest.mark.slow
def test_sources_refused_by_one_of_two_solc_runs_are_refused(compiled: Compiled) -> None:
    for number in range(40):
        compiled.write(f"src/Many{number}.sol", f"contract Many{number} {{}}")
    program = compiled.solc.path
    refusal = 'answer = {"errors": [{"severity": "error", "formattedMessage": "no Many7"}]}'
    said = f'if "src/Many7.sol" in chosen:\n    {refusal}\n    print(json.dumps(answer))\n    sys.exit()\n'
    program.write_text(
        program.read_text(encoding="utf-8").replace("numbers =", f"{said}numbers =", 1), encoding="utf-8"
    )
    with pytest.raises(CompileError, match=r"solc 0\.8\.30 refused the sources:\nno Many7"):
        compiled.runs(runs=2)


def test_code_compiled_before_is_compiled_again_if_its_warnings_are_errors(compiled: Compiled) -> None:
    program, said = compiled.solc.path, '"errors": [{"severity": "warning"}], '
    text = program.read_text(encoding="utf-8")
    program.write_text(text.replace('{"contracts":', f'{{{said}"contracts":'), encoding="utf-8")
    denied = WarningSettings(are_errors=True, ignored=frozenset({5667, 1878}))
    compiled.project = replace(compiled.project, warnings=denied)

    def refuse(found: Sequence[Mapping[str, Any]]) -> None:
        assert found == [{"severity": "warning"}]
        raise WarningsDenied("denied")

    for _ in range(2):
        with pytest.raises(WarningsDenied):
            compiled.runs(warn=refuse)
    assert compiled.run() == (set(FILES), set(FILES))  # all are ignored
    assert compiled.run() == (set(), set())
    compiled.project = replace(compiled.project, warnings=denied._replace(ignored=frozenset()))
    with pytest.raises(WarningsDenied):
        compiled.runs(warn=refuse)


def test_file_newer_than_last_compilation_has_changed(compiled: Compiled) -> None:
    project, name = compiled.project, "src/Base.sol"
    file, cache = compiled.root / name, compiled.root / "cache" / "hypervisor"
    at = cache.stat().st_mtime_ns
    for known in FILES:
        os.utime(compiled.root / known, ns=(at - 1, at - 1))
    assert not has_changed(project, FILES)
    os.utime(file, ns=(at, at))  # at the same moment: modification times are not exact everywhere
    assert has_changed(project, FILES)
    assert not has_changed(project, [other for other in FILES if other != name])
    assert has_changed(replace(project, cache="elsewhere"), [name])
    assert has_changed(replace(project, force=True), [other for other in FILES if other != name])


def test_a_process_that_cannot_be_started_leaves_none_behind(
    compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        compiled.write(f"src/Many{number}.sol", f"contract Many{number} {{}}")
    started: list[CompilerRun] = []

    def start(solc: Solc) -> CompilerRun:
        if started:
            raise InvalidInput("no more processes")
        started.append(CompilerRun(solc))
        return started[0]

    monkeypatch.setattr(Solc, "start", start)
    with pytest.raises(InvalidInput, match="no more processes"):
        compiled.runs(runs=2)
    assert started[0]._process.wait(60) is not None


@pytest.mark.parametrize(
    ("wanted", "solc", "expected"),
    [
        (None, "0.8.37", "osaka"),
        (None, "0.8.30", "osaka"),
        (None, "0.8.28", "prague"),
        (None, "0.8.24", "cancun"),
        (None, "0.7.6", "istanbul"),
        ("paris", "0.8.30", "paris"),
        ("cancun", "0.8.20", "shanghai"),
        ("amsterdam", "0.8.35", "osaka"),  # crates/forge/tests/cli/config.rs at 2a5df2c4
        ("amsterdam", "0.8.36", "amsterdam"),
    ],
)
def test_solc_evm_version_matches_forge(wanted: str | None, solc: str, expected: str) -> None:
    assert evm_version(wanted, solc) == expected


def test_cache_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file in place of the folder also stops a privileged user, whom permissions do not."""
    made = Compiled(tmp_path)
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"cannot be written to .*cache.*set cache_path in foundry\.toml"):
        made.runs()


ANSWER = {
    "sources": {"src/A.sol": {"id": 3}},
    "contracts": {"src/A.sol": {"A": {"abi": [], "evm": {"bytecode": {"object": "60" * 1000}}}}},
}
KEY = "ab" * 32


def test_put_entry_is_found_without_leftover_files(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path)
    assert cache.get("src/A.sol", KEY) is None
    cache.put("src/A.sol", KEY, ANSWER, {"src/A.sol"})
    found = cache.get("src/A.sol", KEY)
    assert found is not None
    (place,) = found.locations
    assert (place.name, dict(found.numbers)) == ("A", {3: "src/A.sol"})
    assert sorted(path.name for path in place.path.parent.iterdir()) == ["0.json", "index.json"]


def test_failed_contract_cache_rewrite_keeps_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = CompiledCache(tmp_path)
    cache.put("src/A.sol", KEY, ANSWER, {"src/A.sol"})
    found = cache.get("src/A.sol", KEY)
    assert found is not None
    whole = found.locations[0].path.read_bytes()
    write = Path.write_bytes

    def disk_is_full(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", disk_is_full)
    with pytest.raises(OSError, match="No space"):
        cache.put("src/A.sol", KEY, ANSWER, {"src/A.sol"})
    assert found.locations[0].path.read_bytes() == whole
