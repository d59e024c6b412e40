"""Untrusted projects: the files that a test run writes, and its output."""

import os
from pathlib import Path

import pytest

from fvm_hypervisor.soltest.compile.artifact import ArtifactLocation, Artifacts
from fvm_hypervisor.soltest.compiled_cache import CompiledCache
from fvm_hypervisor.soltest.execution.results import CaseKind, CaseStatus, TestResult
from fvm_hypervisor.soltest.gas_snapshots import differences, write
from fvm_hypervisor.soltest.project.project import load_project
from fvm_hypervisor.soltest.project.sources import read_sources
from fvm_hypervisor.soltest.project_files import write_inside
from fvm_hypervisor.soltest.report.report import lines_of
from hypervisor.errors import InvalidInput
from localnet.contracts.source_maps import FORGE_CACHE, ForgeBuilds

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


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
