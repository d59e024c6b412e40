"""The demo's steps, checked in its JSON output."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import run

Json = dict[str, Any]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """Return the JSON of `hypervisor demo`, run in a separate process and folder."""
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


def test_each_side_emits_an_event(shown: Json) -> None:
    events = step(shown, "events_of_both_sides")["facts"]["events"]
    assert {(event["side"], event["event"]) for event in events} >= {("native", "incremented"), ("evm", "Deposited")}


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


def test_a_folder_that_is_removed_is_not_named() -> None:
    done = run("demo", "--json")
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)) == {"actors", "steps"}
