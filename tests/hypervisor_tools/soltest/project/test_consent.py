"""Project settings beyond the sandbox need consent; without it the test fails and the result names the key."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.compile.compiling import CompiledCache
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, TestResult
from hypervisor_tools.soltest.project.consent import (
    Consent,
    ConsentNeeded,
    Grant,
    grant_of,
    is_on_this_machine,
    write_inside,
)
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.project.sources import read_sources
from hypervisor_tools.soltest.report.gas import differences, write
from hypervisor_tools.soltest.report.report import lines_of
from localnet.contracts.source_maps import FORGE_CACHE, ForgeBuilds
from tests.command import run
from tests.hypervisor_tools.soltest.contracts import PASS, artifact, forge_out

VM = "7109709ECfa91a80626fF3989D68f67F5b1DD12D"
SOURCE = "contract Suite {}"


def cheatcode(signature: str, values: Sequence[Any]) -> list[str]:
    """Return a body that calls a cheatcode, and reverts with its return data if it fails."""
    types = signature.partition("(")[2].removesuffix(")")
    data = selector(signature) + (encode(types.split(","), values) if types else b"")
    words = [data[place : place + 32].ljust(32, b"\0") for place in range(0, len(data), 32)]
    stores = [f"7f{word.hex()}61{32 * place:04x}52" for place, word in enumerate(words)]
    call = f"5f5f61{len(data):04x}5f5f73{VM}5af1"
    return [*stores, call, "@fine", "57", "3d5f5f3e3d5ffd", "fine:", "00"]


RUNS = cheatcode("ffi(string[])", [["touch", "ran"]])
READS = cheatcode("readFile(string)", ["../secret"])
WRITES = cheatcode("writeFile(string,string)", ["../written", "x"])
HOOKS = cheatcode("writeFile(string,string)", [".git/hooks/pre-commit", "x"])
INSIDE = cheatcode("writeFile(string,string)", ["written", "x"])
FORKS = cheatcode("createFork(string)", ["http://192.0.2.1:1"])
NAMED = cheatcode("createFork(string)", ["far"])
NEAR = cheatcode("createFork(string)", ["http://127.0.0.1:1"])
FILES = 'fs_permissions = [{ access = "read-write", path = "../" }]'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def project(tmp_path: Path, settings: str, *bodies: Sequence[str]) -> Path:
    folder = tmp_path / "project"
    (folder / "test").mkdir(parents=True)
    (folder / ".git" / "hooks").mkdir(parents=True)
    (tmp_path / "secret").write_text("word", encoding="utf-8")
    (folder / "foundry.toml").write_text(f"[profile.default]\n{settings}\n", encoding="utf-8")
    (folder / "test" / "S.t.sol").write_text(SOURCE, encoding="utf-8")
    functions = {f"test{number}()": body for number, body in enumerate([*bodies, PASS])}
    forge_out(folder, "test/S.t.sol", SOURCE, {"Suite": artifact(functions)})
    return folder


def hypervisor(*arguments: str | Path) -> tuple[int, str]:
    """Return exit status and output, including errors."""
    found = run(*arguments)
    return found.exit_code, found.output


CASES = {
    "ffi": ("ffi = true", RUNS, "vm.ffi runs the program 'touch' (ffi of foundry.toml)"),
    "read": (FILES, READS, "/secret, outside of the project (fs_permissions of foundry.toml)"),
    "write": (FILES, WRITES, "/written, outside of the project (fs_permissions of foundry.toml)"),
    "hooks": (FILES, HOOKS, "pre-commit, which git may execute (fs_permissions of foundry.toml)"),
    "url": ("", FORKS, "a test asks the node http://192.0.2.1:1 (rpc_endpoints of foundry.toml)"),
    "alias": (
        'rpc_endpoints = { far = "http://192.0.2.1:1" }',
        NAMED,
        "a test asks the node far (rpc_endpoints of foundry.toml)",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("case", CASES)
def test_missing_consent_fails_its_test_only_and_names_key(tmp_path: Path, case: str, evm: str) -> None:
    settings, body, words = CASES[case]
    status, output = hypervisor("test", project(tmp_path, settings, body), "--evm", evm)
    assert status == 1, output
    assert words in output
    assert "Give it with `hypervisor trust` for this project, or with --trust for one run" in output
    assert "1 passed; 1 failed" in output
    left = [place.name for place in tmp_path.rglob("*") if place.name in ("ran", "written", "pre-commit")]
    assert left == []


@pytest.mark.slow
def test_missing_consent_fails_set_up_of_its_suite_and_json_lists_the_others(tmp_path: Path) -> None:
    folder = project(tmp_path, "ffi = true")
    suites = {"Suite": artifact({"setUp()": RUNS, "testNever()": PASS}), "Other": artifact({"testOther()": PASS})}
    shutil.rmtree(folder / "out")
    source = f"{SOURCE} contract Other {{}}"
    (folder / "test" / "S.t.sol").write_text(source, encoding="utf-8")
    forge_out(folder, "test/S.t.sol", source, suites)
    found = run("test", folder, "--json")
    assert found.exit_code == 1, found.output
    results = json.loads(found.stdout)
    assert results["test/S.t.sol:Other"]["test_results"]["testOther()"]["status"] == "Success"
    failed = results["test/S.t.sol:Suite"]["test_results"]["setUp()"]
    assert (failed["status"], "vm.ffi runs the program 'touch'" in failed["reason"]) == ("Failure", True)
    assert not (folder / "ran").exists()


@pytest.mark.slow
def test_missing_consent_fails_its_test_under_filecoins_rules(tmp_path: Path) -> None:
    status, output = hypervisor("test", project(tmp_path, "ffi = true", RUNS), "--rules", "filecoin")
    assert status == 1
    assert "vm.ffi runs the program 'touch'" in output
    assert not (tmp_path / "project" / "ran").exists()


@pytest.mark.slow
def test_trust_option_allows_run_to_execute_requests(tmp_path: Path) -> None:
    folder = project(tmp_path, f"ffi = true\n{FILES}", RUNS, READS, WRITES, HOOKS)
    status, output = hypervisor("test", folder, "--trust")
    assert status == 0, output
    assert (folder / "ran").exists()
    assert (tmp_path / "written").read_text() == "x"
    (folder / "ran").unlink()
    assert hypervisor("test", folder)[0] == 1, "--trust is for one run"
    assert not (folder / "ran").exists()


@pytest.mark.slow
def test_an_option_for_programs_consents_to_these_alone(tmp_path: Path) -> None:
    folder = project(tmp_path, FILES, RUNS, READS)
    status, output = hypervisor("test", folder, "--ffi")
    assert status == 1
    assert "fs_permissions of foundry.toml" in output
    assert (folder / "ran").exists()


@pytest.mark.slow
def test_project_files_and_local_nodes_need_no_consent(tmp_path: Path) -> None:
    """The port is closed, so the test fails without a node."""
    folder = project(tmp_path, FILES, INSIDE, NEAR)
    status, output = hypervisor("test", folder)
    assert status == 1
    assert "1 failed" in output
    assert (folder / "written").exists()


@pytest.mark.slow
def test_a_trusted_project_is_trusted_until_its_keys_change(tmp_path: Path) -> None:
    folder = project(tmp_path, "ffi = true", RUNS)
    status, output = hypervisor("trust", folder)
    assert (status, output) == (0, f"{folder} is trusted\n  profile.default.ffi = true\n")
    assert hypervisor("test", folder)[0] == 0
    with (folder / "foundry.toml").open("a", encoding="utf-8") as file:
        file.write("block_number = 5\n")
    assert grant(folder).granted == frozenset(Consent), "another key is no matter"
    with (folder / "foundry.toml").open("a", encoding="utf-8") as file:
        file.write(f"[profile.other]\n{FILES}\n")
    (folder / "ran").unlink()
    status, output = hypervisor("test", folder)
    assert status == 1
    assert "for this project, which was trusted before its keys changed, or with --trust" in output
    assert not (folder / "ran").exists()
    assert hypervisor("trust", "--list") == (0, f"{folder}  (it changed: trust it again, or revoke it)\n")
    assert hypervisor("trust", folder)[0] == 0
    assert hypervisor("trust", "--list") == (0, f"{folder}\n")
    assert hypervisor("trust", folder, "--revoke") == (0, f"{folder} is no longer trusted\n")
    assert hypervisor("trust", folder, "--revoke") == (0, f"{folder} was not trusted\n")
    assert grant(folder) == Grant()


def grant(folder: Path) -> Grant:
    return grant_of(folder, trust=False, consents=frozenset(), urls=frozenset())


def test_python_file_that_does_not_exist_trusts_no_project_around_it(tmp_path: Path) -> None:
    folder = project(tmp_path, "ffi = true")
    file = folder / "migration.py"
    status, output = hypervisor("trust", file)
    assert (status, f"there is no file {file}" in output) == (2, True)
    assert grant_of(folder, trust=False, consents=frozenset(), urls=frozenset()) == Grant()
    file.write_text("def migrate(context): pass\n", encoding="utf-8")
    assert hypervisor("trust", file)[0] == 0
    file.unlink()
    assert hypervisor("trust", file, "--revoke") == (0, f"{file} is no longer trusted\n")


def test_trust_command_lists_trusted_projects_as_json(tmp_path: Path) -> None:
    folder = project(tmp_path, 'solc = "./mine"')
    status, output = hypervisor("trust", folder, "--json")
    assert status == 0
    assert json.loads(output) == {
        "project": str(folder), "trusted": True,
        "keys": [{"profile": "default", "key": "solc", "value": "./mine"}],
    }  # fmt: skip
    assert json.loads(hypervisor("trust", "--list", "--json")[1]) == [{"project": str(folder), "current": True}]


@pytest.mark.parametrize("name", ["fs_permissions", "fs-permissions", "fsPermissions"])
def test_a_key_counts_in_each_form_that_forge_takes(tmp_path: Path, name: str) -> None:
    folder = project(tmp_path, "")
    hypervisor("trust", folder)
    assert grant(folder).granted
    (folder / "foundry.toml").write_text(f'[profile.default]\n{name} = [{{ access = "read", path = "/" }}]\n')
    assert grant(folder) == Grant(is_outdated=True)


def test_user_environment_settings_need_no_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project(tmp_path, 'solc = "0.8.20"')
    compiler = folder / "mine"
    compiler.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho 'Version: 0.8.30+commit'\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("FOUNDRY_SOLC", "./mine")
    hypervisor("test", folder, "--force")
    assert (tmp_path / "ran").exists()


def test_another_checkout_of_the_same_project_is_not_trusted(tmp_path: Path) -> None:
    folder = project(tmp_path, "ffi = true")
    hypervisor("trust", folder)
    assert grant(tmp_path) == Grant()


@pytest.mark.usefixtures("high_limit")
@pytest.mark.parametrize("text", ["[", "[" * 100_000])
def test_corrupt_trust_list_trusts_no_project(tmp_path: Path, text: str) -> None:
    folder = project(tmp_path, "ffi = true", RUNS)
    hypervisor("trust", folder)
    (place,) = (tmp_path / "data").rglob("trusted.json")
    place.write_text(text, encoding="utf-8")
    status, output = hypervisor("test", folder)
    assert (status, "is not a valid list of trusted projects; delete it" in output) == (2, True)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8545", True),
        ("http://127.3.2.1", True),
        ("https://[::1]:1/rpc", True),
        ("http://localhost:8545", True),
        ("http://localhost.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://127.0.0.1@example.org", False),
        ("http://10.0.0.1", False),
        ("http://[", False),
    ],
)
def test_local_node_is_recognized_by_url(url: str, is_here: bool) -> None:
    assert is_on_this_machine(url) == is_here


def test_node_of_command_line_needs_no_further_consent() -> None:
    grant = Grant(urls=frozenset({"http://192.0.2.1"}))
    grant.require_node("http://192.0.2.1", "a test asks it")
    with pytest.raises(ConsentNeeded, match=r"^a test asks it \(rpc_endpoints of foundry\.toml\): this needs"):
        grant.require_node("http://192.0.2.2", "a test asks it")


def test_foundry_toml_node_needs_consent_before_any_request(tmp_path: Path) -> None:
    folder = project(tmp_path, 'eth_rpc_url = "http://192.0.2.1:1"')
    status, output = hypervisor("test", folder)
    assert status == 2
    assert "tests begin at the network of the node http://192.0.2.1:1 (rpc_endpoints of foundry.toml)" in output


EXAMPLES = Path(__file__).resolve().parents[4] / "examples"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    return folder


@pytest.mark.parametrize("key", ["out", "cache_path", "snapshots"])
@pytest.mark.parametrize("place", ["../elsewhere", "/tmp/elsewhere", "linked", "linked/further", "lib/../../elsewhere"])
def test_folders_that_are_written_to_are_the_projects_own(root: Path, key: str, place: str) -> None:
    (root / "linked").symlink_to(root.parent / "elsewhere")
    (root / "foundry.toml").write_text(f'[profile.default]\n{key} = "{place}"\n')
    with pytest.raises(InvalidInput, match=f"{key} .* outside the project"):
        load_project(root)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[profile.default]\n" + ".".join("a" * 40_000) + "=1", "a key of more than 80 parts at line 2"),
        ("#" * 300_000, "longer than 262,144 bytes"),
    ],
)
def test_too_long_or_nested_settings_are_refused(root: Path, text: str, words: str) -> None:
    library = root / "lib" / "other"
    library.mkdir(parents=True)
    (root / "foundry.toml").touch()
    for folder in (library, root):
        file = folder / "foundry.toml"
        file.write_text(text)
        with pytest.raises(InvalidInput, match=words) as raised:
            load_project(root)
        assert str(file) in str(raised.value)
        file.write_text("")


def test_settings_are_not_read_from_a_pipe(root: Path) -> None:
    os.mkfifo(root / "foundry.toml")
    with pytest.raises(InvalidInput, match="is not a file"):
        load_project(root)


@pytest.mark.parametrize("example", sorted(place.parent.name for place in EXAMPLES.glob("*/foundry.toml")))
def test_examples_are_projects_that_may_be_run(example: str) -> None:
    assert load_project(EXAMPLES / example).root == EXAMPLES / example


def test_a_folder_below_another_name_of_the_project_is_its_own(root: Path) -> None:
    (root.parent / "name").symlink_to(root)
    (root / "foundry.toml").write_text('[profile.default]\nout = "build/./out"\n')
    assert load_project(root.parent / "name").out == "build/./out"


def test_file_symlink_is_replaced_and_folder_symlink_refused(root: Path) -> None:
    victim = root.parent / "elsewhere" / "victim"
    victim.write_text("kept")
    (root / "file.json").symlink_to(victim)
    write_inside(root, root / "file.json", b"written")
    assert (victim.read_text(), (root / "file.json").read_text()) == ("kept", "written")
    (root / "out").symlink_to(victim.parent)
    with pytest.raises(InvalidInput, match="outside the project"):
        write_inside(root, root / "out" / "victim", b"written")
    assert victim.read_text() == "kept"


def test_snapshots_and_compiled_cache_follow_no_symlinks(root: Path) -> None:
    elsewhere = root.parent / "elsewhere"
    (root / "snapshots").symlink_to(elsewhere)
    (root / "cache").symlink_to(elsewhere)
    with pytest.raises(InvalidInput, match="outside the project"):
        write({"group": {"a": "1"}}, root / "snapshots", root)
    with pytest.raises(InvalidInput, match="outside the project"):
        CompiledCache(root / "cache" / "hypervisor", root).put("A.sol", "0" * 64, {}, set())
    assert list(elsewhere.iterdir()) == []


def test_a_terminal_does_not_obey_the_words_of_a_failure() -> None:
    words = "\x1b]0;title\x07\x1b[2J\nSuite result: ok. 1 passed\u202e"
    test = TestResult("test_a()", CaseKind.UNIT, CaseStatus.FAILURE, reason=words, stack=(f"A (test/{words}.sol:1)",))
    first, *others = lines_of(test)
    assert first.startswith(r"[FAIL: \x1b]0;title\x07\x1b[2J\nSuite result: ok. 1 passed\u202e] test_a()")
    assert all(line.isprintable() for line in (first, *others))


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_endless_files_are_not_read(root: Path, kind: str) -> None:
    """`/dev/zero` would fill the memory, and a pipe would block."""

    def placed(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "device":
            path.symlink_to("/dev/zero")
        else:
            os.mkfifo(path)
        return path

    placed(root / "src" / "endless")
    placed(root / "out" / "build-info" / "run.json")
    placed(root / "cache" / FORGE_CACHE)
    artifact = placed(root / "out" / "A.sol" / "A.json")
    placed(root / "snapshots" / "A.json")
    (root / "foundry.toml").write_text("")
    (root / "src" / "A.sol").write_text('import "./endless"; contract A {}')
    with pytest.raises(InvalidInput, match="is not a file"):
        read_sources(load_project(root), ["src/A.sol"])
    builds = ForgeBuilds(root / "out", root / "cache")
    assert builds.build(artifact) == "run"
    assert builds.numbers("run") == {}
    with pytest.raises(InvalidInput, match="is not a file"):
        Artifacts(root, [ArtifactLocation("src/A.sol", "A", artifact, "")], {}).get("src/A.sol", "A")
    with pytest.raises(InvalidInput, match="is not a file"):
        list(differences({"A": {"a": "1"}}, root / "snapshots"))
