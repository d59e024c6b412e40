"""CI workflows use existing targets, and cover the Python versions that the package declares."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.project import PROJECT

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


def test_tests_and_wheels_cover_the_claimed_versions() -> None:
    assert set(jobs("test.yml")["test"]["strategy"]["matrix"]["python"]) == CLAIMED
    builds = METADATA["tool"]["cibuildwheel"]["build"]
    assert {f"3.{build.removeprefix('cp3').removesuffix('-*')}" for build in builds} == CLAIMED


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
