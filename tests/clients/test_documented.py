"""Tutorials and examples of the documentation, run step by step.

- docs/tutorial.md with its Foundry part and docs/coming-from-foundry.md, executed step by step.
- `make first-node`, with the project's own bundle and with one stored by `hypervisor bundle add`.
- examples/ci/: the steps of the workflows and the Dockerfile run unchanged in separate projects.

Unavailable parts are replaced: the package index by a folder with this repository's wheel and an environment with its
dependencies, `foundry-toolchain` by npm's foundry, and port 8545 by a free one.
"""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clients.conftest import EXAMPLE, HERE, INSTALLED, PROJECT, installed, search_path
from tests.conftest import data_file
from tests.docs.page_shell import commands, run_page
from tests.docs.test_page_examples import FILES as PYTEST_PROJECT
from tests.web_server import reserved_port

PAGE = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8")
PART = PAGE.partition("\n## A deployment with Foundry\n")[2].partition("\n## ")[0]
FILES = {
    name: text for text, name in re.findall(r"^```\w+\n((?:#|//) (\S+)\n.*?)^```$", PART, re.MULTILINE | re.DOTALL)
}
TOLD = re.findall(r"^```text\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)


@pytest.mark.long
def test_the_part_has_its_files_and_commands() -> None:
    assert set(FILES) == {"foundry.toml", "src/Till.sol", "script/Deploy.s.sol"}
    assert sum(bool(expected) for _, expected in commands(PART)) == 8
    assert len(TOLD) == 1


@pytest.mark.long
def test_page_commands_produce_documented_output_in_one_shell(tmp_path: Path) -> None:
    clients = installed(INSTALLED, HERE)
    environment = {
        "CLIENTS": str(clients), "PATH": search_path(clients), "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
        "FOUNDRY_OFFLINE": "true", "FOUNDRY_SOLC": str(EXAMPLE / "solc.mjs"),
    }  # fmt: skip
    until = PAGE.partition("\n## An actor that upgrades itself\n")[0]  # that needs cargo, and has a test of its own
    for ran in run_page(until, tmp_path / "page", environment):
        ran.check()
    log = (tmp_path / "page" / "node.log").read_text(encoding="utf-8")
    for line in TOLD[0].splitlines():
        assert line in log


@pytest.mark.long
def test_coming_from_foundry(tmp_path: Path) -> None:
    clients = installed(INSTALLED, HERE)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{search_path(clients)}",
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
    }
    page = (PROJECT / "docs" / "coming-from-foundry.md").read_text(encoding="utf-8")
    every = run_page(page, tmp_path / "page", environment)
    assert len(every) == 6
    for ran in every:
        ran.check()


VENV = Path(sys.executable).parent.parent
RELEASE = "v18-testing-fake-proofs"


def first_node(library: Path) -> subprocess.CompletedProcess[str]:
    """Run the script without test data."""
    installed(PROJECT / "build" / "clients", EXAMPLE)
    environment = os.environ | {"FVM_BUNDLE_DIR": str(library), "FVM_DATA": str(library / "nothing")}
    command = [str(PROJECT / "scripts" / "first-node"), VENV.name]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_first_node_runs_on_own_bundle_when_no_other_is_stored(tmp_path: Path) -> None:
    done = first_node(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "built-in actors: own\n" in done.stderr
    assert '-> "DataCap"' in done.stdout


@pytest.mark.long
def test_the_first_node_runs_on_a_bundle_that_was_added(tmp_path: Path) -> None:
    environment = os.environ | {"FVM_BUNDLE_DIR": str(tmp_path)}
    command = [str(VENV / "bin" / "hypervisor"), "bundle", "add", str(data_file(f"bundles/{RELEASE}.car"))]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    done = first_node(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"built-in actors: {RELEASE}\n" in done.stderr
    assert '-> "DataCap"' in done.stdout


CI = PROJECT / "examples" / "ci"
STANDS_FOR = ("actions/checkout@v4", "actions/setup-python@v5", "foundry-rs/foundry-toolchain@v1")
DOCKERFILE = (CI / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the folder that replaces the package index."""
    folder = tmp_path_factory.mktemp("index")
    clone = folder / "clone"  # a build writes the bindings, which other tests import meanwhile
    subprocess.run(["git", "clone", "-q", PROJECT, clone], check=True)
    _run("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, clone)
    return folder


@pytest.fixture
def environment(tmp_path: Path, wheels: Path) -> dict[str, str]:
    """Return the environment variables of a shell with `python` and `pip` of an environment without this project."""
    venv = tmp_path / "venv"
    _run("-m", "venv", venv)
    (packages,) = venv.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "fvm_hypervisor" not in entry.name and not (packages / entry.name).exists():
            (packages / entry.name).symlink_to(entry)
    (venv / "bin" / "pytest").write_text(f"#!{venv}/bin/python\nimport pytest\n\npytest.console_main()\n")
    (venv / "bin" / "pytest").chmod(0o755)  # pip makes none for what is there already
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")} | {
        "PATH": os.pathsep.join([str(venv / "bin"), os.environ["PATH"]]),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_BUILD_ISOLATION": "0",  # which means: without isolation
        "CI": "true",
    }


def _run(*arguments: str | Path) -> None:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _project(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


# --- workflows --------------------------------------------------------------------------------------------------------


def workflow(name: str) -> dict[str, Any]:
    """Return the only job of a workflow."""
    read = yaml.safe_load((CI / name).read_text(encoding="utf-8"))
    (job,) = read["jobs"].values()
    assert isinstance(job, dict)
    return job


def run_job(name: str, project: Path, environment: Mapping[str, str]) -> str:
    """Return the output of a workflow's steps, which must succeed; processes left running are ended."""
    job, told = workflow(name), list[str]()
    variables = {**environment, **job.get("env", {})}
    started: list[int] = []
    with reserved_port() as port:
        try:
            for step in job["steps"]:
                if "run" not in step:
                    assert step["uses"] in STANDS_FOR
                    continue
                script = step["run"].replace("8545", str(port))
                log = project / "step.log"  # a file, not a pipe, which the node would hold open
                with log.open("w") as output:
                    process = subprocess.Popen(
                        ["bash", "-e", "-o", "pipefail", "-c", script], cwd=project, env=variables,
                        start_new_session=True, stdout=output, stderr=subprocess.STDOUT,
                    )  # fmt: skip
                    started.append(process.pid)
                    status = process.wait(timeout=300)
                told.append(log.read_text(encoding="utf-8"))
                assert status == 0, f"{script}\n{told[-1]}"
                assert "\nError:" not in told[-1], f"{script}\n{told[-1]}"  # npm's foundry ends with 0 all the same
        finally:
            for group in started:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGTERM)
    return "\n".join(told)


@pytest.mark.long
def test_the_pytest_workflow_tests_a_project(tmp_path: Path, environment: dict[str, str]) -> None:
    project = _project(tmp_path / "project", {"test_network.py": PYTEST_PROJECT["test_network.py"]})
    output = run_job("pytest.yml", project, environment)
    assert "Successfully installed fvm-hypervisor" in output
    assert "2 passed" in output


@pytest.mark.long
def test_the_pytest_workflow_names_the_pythons_that_are_claimed() -> None:
    metadata = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    claimed = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', metadata)
    assert workflow("pytest.yml")["strategy"]["matrix"]["python"] == claimed


@pytest.mark.long
def test_the_forge_workflow_deploys_a_project(tmp_path: Path, environment: dict[str, str]) -> None:
    clients = installed(INSTALLED, HERE)
    project = _project(tmp_path / "project", FILES)
    environment |= {
        "PATH": os.pathsep.join([environment["PATH"].partition(os.pathsep)[0], search_path(clients)]),
        "CLIENTS": str(clients), "FOUNDRY_SOLC": str(EXAMPLE / "solc.mjs"), "FOUNDRY_OFFLINE": "true",
    }  # fmt: skip
    output = run_job("forge.yml", project, environment)
    assert "ONCHAIN EXECUTION COMPLETE & SUCCESSFUL" in output
    assert re.search(r"^block 1  0x\w{64}  0x\w{40} -> new contract 0x\w{40}  ok  gas", output, re.MULTILINE)


# --- the Dockerfile ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_dockerfile_makes_a_node_that_is_healthy(tmp_path: Path, environment: dict[str, str]) -> None:
    told = {line.partition(" ")[0]: line.partition(" ")[2] for line in DOCKERFILE.splitlines() if line[0] != "#"}
    assert list(told) == ["FROM", "COPY", "RUN", "USER", "WORKDIR", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"]
    assert (told["COPY"], told["WORKDIR"], told["EXPOSE"]) == (". /source", "/chain", "8545")
    source, chain = tmp_path / "source", tmp_path / "chain"
    subprocess.run(["git", "clone", "-q", PROJECT, source], check=True)
    chain.mkdir()
    (tmp_path / "useradd").write_text("#!/bin/sh\n")  # there is one user here
    (tmp_path / "useradd").chmod(0o755)
    environment["PATH"] = f"{tmp_path}{os.pathsep}{environment['PATH']}"
    command = told["RUN"].replace("/source", str(source))
    made = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert not source.exists()
    with reserved_port() as port, (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*json.loads(told["ENTRYPOINT"]), "--port", str(port)], cwd=chain, env=environment, stdout=log, stderr=log
        )  # fmt: skip
        try:
            check = [part.replace("8545", str(port)) for part in json.loads(told["HEALTHCHECK"].removeprefix("CMD "))]
            assert _healthy(check, environment), (tmp_path / "log").read_text()
            asked = ["hypervisor", "doctor", "--rpc-url", f"http://localhost:{port}"]
            doctor = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
            assert doctor.returncode == 0, doctor.stdout + doctor.stderr
        finally:
            process.terminate()
            assert process.wait(timeout=60) == 0, "`docker stop` ends it"


def _healthy(command: list[str], environment: Mapping[str, str]) -> bool:
    """Return True if the check succeeds within a minute of retries, like docker's health check."""
    for _ in range(120):
        if subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0:
            return True
        time.sleep(0.5)
    return False
