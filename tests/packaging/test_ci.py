"""The project's checks: `.ci/steps`, workflows, sources, skipped tests, and the supply chain.

- The clone of `.ci/run` sees no data of the current user.
- CI workflows use existing targets, and cover the Python versions that the package declares.
- Tests of every file: no machine paths, and no package index.
- Skipped tests: skips for missing data fail the run if the data exists, and so do too many skips without data.
- `make supply-chain`: findings for disallowed or unknown licences and known vulnerabilities.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging import PROJECT, own_files, supply_chain
from tests.packaging.supply_chain import Table, licence_findings, main

FUNCTIONS = PROJECT / ".ci" / "steps"
BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="no bash on this machine")
needs_bash_2 = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no variable says where a user's files are")


def run_in_the_clone(command: str, folder: Path, **environment: str) -> str:
    """Return a command's output after defining the functions of `.ci/steps` and an empty clone."""
    folder.mkdir()
    return subprocess.run(
        [str(BASH), "-euc", f'. "{FUNCTIONS}"\nmkdir "$scratch/clone"\n{command}\n'],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


@needs_bash
@needs_bash_2
@pytest.mark.slow
def test_the_clone_sees_no_bundle_and_no_data_of_this_user(tmp_path: Path) -> None:
    asks = (
        "import os; from hypervisor.bundles.bundle_library import downloaded_releases; "
        "print(dict(downloaded_releases()), [name for name in os.environ if name.startswith('FVM_')])"
    )
    for name in ("data/fvm-hypervisor/bundles", "mine"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "v18-devnet.car").touch()
    user = {"XDG_DATA_HOME": str(tmp_path / "data"), "FVM_DATA": str(tmp_path), "FVM_SUITES": str(tmp_path)}
    python = f"'{sys.executable}' -c \"{asks}\""
    for more in ({}, {"FVM_BUNDLE_DIR": str(tmp_path / "mine")}):
        seen = run_in_the_clone(python, tmp_path / f"user{len(more)}", **user, **more)
        assert "v18-devnet.car" in seen
        alone = run_in_the_clone(f"in_the_clone {python}", tmp_path / f"clone{len(more)}", **user, **more)
        assert alone == "{} []\n"


WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
CLAIMED = {
    name.rpartition(" ")[2] for name in METADATA["project"]["classifiers"] if re.search(r":: Python :: 3\.\d+", name)
}


def jobs(name: str) -> dict[str, Any]:
    (path,) = [path for path in WORKFLOWS if path.name == name]
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_target_that_a_workflow_runs_exists(path: Path) -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"run: make (.*)", path.read_text(encoding="utf-8"))
    targets = {word for command in commands for word in command.split() if re.fullmatch("[a-z-]+", word)}
    assert targets
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_tests_cover_the_claimed_versions() -> None:
    assert set(jobs("test.yml")["test"]["strategy"]["matrix"]["python"]) == CLAIMED


@pytest.mark.parametrize(("tag", "status"), [("v" + METADATA["project"]["version"], 0), ("v9.9.9", 1)])
def test_a_tag_must_be_the_version_of_the_project(tag: str, status: int) -> None:
    (command,) = [step["run"] for step in jobs("release.yml")["version"]["steps"] if "run" in step]
    done = subprocess.run(["bash", "-ec", command], cwd=PROJECT, env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"})
    assert done.returncode == status


def test_only_a_tag_publishes() -> None:
    release = jobs("release.yml")
    publishing = {name for name, job in release.items() if "id-token" in job.get("permissions", {})}
    assert publishing == {"publish", "github-release", "image", "pages"}
    for name in publishing - {"image"}:
        assert release[name]["if"] == "github.ref_type == 'tag'"
    for step in release["image"]["steps"]:
        if step.get("uses", "").startswith(("docker/login", "actions/attest")):
            assert step["if"] == "github.ref_type == 'tag'"


BINARY = (".car", ".wasm", ".gz", ".png", ".webp", ".xz")

# The home of a user or the work folder of a machine. A device, a temporary file, a system's own tool may be named.
MACHINE_PATH = re.compile(r"(?<![\w.~$}*-])/(?:home|root|Users|work|opt|mnt)/\w+")


@cache
def texts(*patterns: str) -> dict[str, str]:
    paths = {path.relative_to(PROJECT).as_posix(): path for path in own_files(*patterns)}
    return {name: path.read_text() for name, path in paths.items() if not name.endswith(BINARY)}


@pytest.mark.slow
def test_sources_contain_no_machine_paths() -> None:
    found = {name: MACHINE_PATH.search(text) for name, text in texts().items()}
    assert {name: match[0] for name, match in found.items() if match} == {}


def test_the_lock_of_the_packages_names_no_index() -> None:
    assert "://" not in texts("requirements.lock")["requirements.lock"]


TESTS = """
import pytest
from tests.conftest import data_file

def test_plain(): pass

@pytest.mark.skip(reason="another system's")
def test_for_another_system(): pass

def test_with_data(): data_file("vectors/some")

@pytest.mark.parametrize("case", [])
def test_each_case(case): pass
"""

PLUGINS = ("__init__.py", "conftest.py", "suite_rules.py")


def run(folder: Path, *options: str, tests: str = TESTS, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tests above in a separate project with this project's conftest."""
    suite = folder / "project" / "tests" / "one"
    suite.mkdir(parents=True)
    (suite / "test_it.py").write_text(tests)
    (suite.parent.parent / "pytest.ini").write_text("[pytest]\nmarkers =\n    long\n")
    for name in PLUGINS:
        shutil.copy(PROJECT / "tests" / name, suite.parent)
    command = [sys.executable, "-m", "pytest", "-q", *options, "tests"]
    without = {name: value for name, value in os.environ.items() if name != "FVM_DATA"}
    return subprocess.run(
        command, cwd=folder / "project", env=without | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_missing_file_and_empty_params_fail_with_test_data(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    done = run(tmp_path)
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 skipped, 1 error" in done.stdout
    assert "vectors/some is missing from the test data" in done.stdout
    assert f"got empty parameter set for (case), though the test data are in {tmp_path / 'shared'}" in done.stdout


@pytest.mark.slow
def test_tests_without_data_are_skipped(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0
    assert "1 passed, 3 skipped" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("processes", [(), ("-n", "1")], ids=["one process", "workers"])
def test_over_hundred_skipped_tests_fail_run_without_data(tmp_path: Path, processes: tuple[str, ...]) -> None:
    many = f"""{TESTS}
@pytest.mark.parametrize("number", range(97))
def test_many(number): data_file("vectors/some")
"""
    assert run(tmp_path / "some", *processes, tests=many).returncode == 0
    done = run(tmp_path / "more", *processes, tests=many.replace("97", "98"))
    assert done.returncode == 1
    assert "error: more than 100 tests were skipped for want of test data" in done.stdout


@pytest.mark.slow
def test_a_data_folder_that_is_named_and_missing_ends_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, FVM_DATA=str(tmp_path / "nowhere"))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: FVM_DATA names {tmp_path / 'nowhere'}, which is not a folder" in done.stderr


TABLE = Table(frozenset({"MIT", "Apache-2.0", "BSD-3-Clause"}), {"silent": "MIT"})
SILENT: dict[str, Any] = {"name": "silent"}


def package(*licences: dict[str, Any]) -> dict[str, Any]:
    return {"name": "one", "licenses": list(licences)}


def named(name: str) -> dict[str, Any]:
    return {"license": {"name": name}}


@pytest.mark.parametrize(
    "licence",
    [
        {"license": {"id": "MIT"}},
        {"expression": "MIT OR GPL-3.0-only"},
        {"expression": "(Apache-2.0 OR GPL-2.0-only) AND MIT"},
        named("License :: OSI Approved :: Apache Software License"),
    ],
)
def test_allowed_licence_yields_no_finding(licence: dict[str, Any]) -> None:
    assert licence_findings([package(licence), SILENT], TABLE) == []


@pytest.mark.parametrize(
    ("licence", "shown"),
    [
        ({"license": {"id": "GPL-3.0-only"}}, "GPL-3.0-only"),
        ({"expression": "MIT AND AGPL-3.0-only"}, "MIT AND AGPL-3.0-only"),
        (named("License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"), "MPL-2.0"),
    ],
)
def test_another_licence_is_a_finding(licence: dict[str, Any], shown: str) -> None:
    assert licence_findings([package(licence), SILENT], TABLE) == [f"one: {shown} is not among the allowed licences"]


DEFECT = {"id": "PYSEC-2026-1", "fix_versions": ["1.2", "2.0"], "aliases": [], "description": "text"}


ANSWERS = {
    "known": ({"dependencies": [{"name": "one", "version": "1.0", "vulns": [DEFECT]}]}, 1, "one 1.0: PYSEC-2026-1"),
    "none": ({"dependencies": [{"name": "one", "version": "1.0", "vulns": []}]}, 0, "advisories: none"),
    "unreachable": (None, 0, "advisories: NOT RUN"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_supply_chain_command_reports_findings(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report, status, words = ANSWERS[case]
    components = [{"name": name} for name in Table.read().stated]

    def answered(command: list[Path], **_: Any) -> subprocess.CompletedProcess[str]:
        result = {"components": components} if command[0].name == "cyclonedx-py" else report
        return subprocess.CompletedProcess(command, 0, "" if result is None else json.dumps(result), "")

    monkeypatch.setattr(supply_chain, "run", answered)
    assert main() == status
    shown = capsys.readouterr().out
    assert words in shown
    assert "licences: all allowed" in shown
