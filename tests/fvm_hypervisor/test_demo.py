"""The demonstration keeps every promise; read from its JSON, as a program would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fvm_hypervisor.cli.main import app

FIL = 10**18
Json = dict[str, Any]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """The JSON of `hypervisor demo`, run in a process of its own from another folder."""
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
    """The runtimes down the first branch of the last message."""
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


def test_solidity_calls_native_with_value(shown: Json) -> None:
    act = step(shown, "solidity_calls_native")
    assert path(act["calls"]) == ["evm", "wasm"]
    assert [call["value"] for call in walk(act["calls"])] == [3 * FIL, 3 * FIL]
    assert act["facts"]["balance"] == 3 * FIL


def test_native_calls_solidity(shown: Json) -> None:
    act = step(shown, "native_calls_solidity")
    assert path(act["calls"]) == ["wasm", "evm"]
    assert (act["facts"]["greetings"], act["facts"]["balance"]) == (1, 1 * FIL)


def test_a_call_goes_two_borders_deep(shown: Json) -> None:
    act = step(shown, "two_borders_deep")
    assert path(act["calls"]) == ["evm", "wasm", "evm"]
    assert act["facts"]["greetings"] == 2


def test_a_native_abort_is_caught_and_its_state_rolled_back(shown: Json) -> None:
    act = step(shown, "native_abort_caught")
    assert act["facts"]["exit_code"] == 42
    assert act["facts"]["count_before"] == act["facts"]["count_after"]
    (aborted,) = (call for call in walk(act["calls"]) if call["method"] == "Fail")
    assert (aborted["runtime"], aborted["exit_code"], aborted["value"]) == ("wasm", 42, 1 * FIL)
    assert [event["event"] for event in act["facts"]["events"]] == ["Caught"]


def test_native_actor_sees_revert_exit_code_and_reason(shown: Json) -> None:
    act = step(shown, "solidity_revert_seen")
    assert (act["facts"]["exit_code"], act["facts"]["reason"]) == (33, "not today")
    assert act["facts"]["greetings"] == 2
    (reverted,) = (call for call in walk(act["calls"]) if call["method"] == "refuse")
    assert (reverted["runtime"], reverted["exit_code"]) == ("evm", 33)


def test_each_side_emits_an_event(shown: Json) -> None:
    events = step(shown, "events_of_both")["facts"]["events"]
    assert {(event["side"], event["event"]) for event in events} >= {("native", "incremented"), ("evm", "Deposited")}


def test_state_persists_after_reopening(shown: Json) -> None:
    facts = step(shown, "reopen")["facts"]
    assert (facts["count"], facts["deposits"], facts["greetings"]) == (5, 4 * FIL, 2)


def test_call_lines_show_runtime_actor_method_value_exit_and_gas(shown: Json) -> None:
    calls = [call for step in shown["steps"] for call in walk(step["calls"])]
    assert {call["runtime"] for call in calls} == {"wasm", "evm"}
    assert all(call["to"].startswith("f0") and call["method"] and call["gas"] > 0 for call in calls)
    assert all(step["state_root"].startswith("bafy2bzace") for step in shown["steps"])
    assert len({step["state_root"] for step in shown["steps"]}) == len(shown["steps"])


def test_state_folder_is_left_at_requested_path(shown: Json) -> None:
    assert (Path(shown["folder"]) / "CURRENT").is_file()


def test_a_folder_that_is_removed_is_not_named() -> None:
    done = CliRunner().invoke(app, ["demo", "--json"])
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)) == {"actors", "steps"}
