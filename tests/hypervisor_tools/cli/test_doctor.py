"""`hypervisor doctor` without a node: checks of the installation."""

import json
import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import FileHash, PackagePath
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hypervisor_tools.cli import installation
from tests.command import run


@pytest.mark.slow
def test_doctor_passes_on_complete_installation() -> None:
    done = run("doctor", "--json")
    assert done.exit_code == 0, done.output
    checks = {check["name"]: check["result"] for check in json.loads(done.stdout)["checks"]}
    assert checks["both runtimes"] == "8 steps of the demonstration"


def program(home: Path, elsewhere: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.argv = ['hypervisor', 'doctor']; from hypervisor_tools.cli.start import main; main()"
    environment = {**os.environ, "PYTHONPATH": f"{elsewhere}{os.pathsep}{home}"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=elsewhere, env=environment, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["store", "localnet", "hypervisor"])
def test_shadowing_package_is_reported_without_traceback(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("ANOTHER = True\n")
    done = program(installation.HOME, tmp_path)
    output = done.stdout + done.stderr
    assert (done.returncode, "Traceback" in output) == (1, False), output
    assert f"the package '{name}' is loaded from {tmp_path / name}" in output
    assert "pip install --force-reinstall --no-deps fvm-hypervisor" in output


def test_files_that_were_overwritten_or_removed_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert installation.damaged_packages() == []
    recorded = []
    for text, name in (("kept", "store"), ("written over", "localnet"), ("removed", "bridge")):
        path = PackagePath(f"{name}/module.py")
        digest = urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
        path.hash = FileHash(f"sha256={digest}")
        recorded.append(path)
        (tmp_path / name).mkdir()
    (tmp_path / "store/module.py").write_text("kept")
    (tmp_path / "localnet/module.py").write_text("of another")
    monkeypatch.setattr(installation, "distribution", lambda _: SimpleNamespace(files=recorded))
    monkeypatch.setattr(installation, "_import_fault", lambda name, home: None)
    localnet, bridge = sorted(installation.damaged_packages(tmp_path), reverse=True)
    assert localnet.startswith(
        "the package 'localnet' has a file that differs from the installed one, localnet/module.py"
    )
    assert bridge.startswith("the package 'bridge' has no file bridge/module.py")


Json = dict[str, Any]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Json:
    folder = tmp_path_factory.mktemp("demo")
    command = [str(Path(sys.executable).parent / "hypervisor"), "demo", "--json", "--state", str(folder / "state")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=dict(os.environ))
    result: Json = json.loads(done.stdout)
    return result


def step(shown: Json, name: str) -> Json:
    (found,) = (step for step in shown["steps"] if step["name"] == name)
    return dict(found)


def walk(calls: list[Json]) -> Iterator[Json]:
    for call in calls:
        yield call
        yield from walk(call["calls"])


def path(calls: list[Json]) -> list[str]:
    """Return the runtimes along the first branch of the last message."""
    runtimes, level = [], calls[-1:]
    while level:
        runtimes.append(level[0]["runtime"])
        level = level[0]["calls"]
    return runtimes


@pytest.mark.slow
def test_contracts_are_created_through_native_eam(shown: Json) -> None:
    deploy = step(shown, "deploy")
    assert path(deploy["calls"][:1]) == ["wasm", "wasm", "evm"]
    assert [call["method"] for call in walk(deploy["calls"][:1])] == ["CreateExternal", "Exec4", "Constructor"]


@pytest.mark.slow
def test_each_side_emits_an_event(shown: Json) -> None:
    events = step(shown, "events_of_both_sides")["facts"]["events"]
    assert {(event["side"], event["event"]) for event in events} >= {("native", "incremented"), ("evm", "Deposited")}


@pytest.mark.slow
def test_state_persists_after_reopening(shown: Json) -> None:
    facts = step(shown, "reopen")["facts"]
    assert (facts["count"], facts["deposits"], facts["greetings"]) == (5, 4 * 10**18, 2)


def test_call_lines_show_runtime_actor_method_value_exit_and_gas(shown: Json) -> None:
    calls = [call for step in shown["steps"] for call in walk(step["calls"])]
    assert {call["runtime"] for call in calls} == {"wasm", "evm"}
    assert all(call["to"].startswith("f0") and call["method"] and call["gas"] > 0 for call in calls)
    assert all(step["state_root"].startswith("bafy2bzace") for step in shown["steps"])
    assert len({step["state_root"] for step in shown["steps"]}) == len(shown["steps"])


def test_state_folder_is_left_at_requested_path(shown: Json) -> None:
    assert (Path(shown["folder"]) / "CURRENT").is_file()


@pytest.mark.slow
def test_folder_that_is_removed_is_not_named() -> None:
    done = run("demo", "--json")
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)) == {"actors", "steps"}
