"""Logs of native actors: in Python's log, in traces, and in the node's output."""

import logging
from pathlib import Path

import pytest

from fvm_hypervisor.cli.node_client import call_actor
from hypervisor.kernel.actor_log import LOGGER, MAX_CHARACTERS
from hypervisor.tracing import MAX_LOGGED, CallStarted, CallTrees, DebugLog
from hypervisor.types import ActorID
from localnet import NativeActor, Network
from localnet.traces.trace import trace
from tests.fvm_hypervisor.cli.test_node import running, terminated
from tests.runtimes.wasm.guests import data, guest

SCHEMA = "type State any\ntype GreetParams unit representation null\ntype GreetReturn unit representation null\n"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Return an actor that logs `hello` on every call."""
    file = tmp_path / "greeter.wasm"
    file.write_bytes(
        guest("(drop (call $log (i32.const 0) (i32.const 5))) (i32.const 0)", "debug.log", fields=data(0, b"hello"))
    )
    (tmp_path / "greeter.ipldsch").write_text(SCHEMA)
    return file


def greeter(network: Network, module: Path, name: str | None = None) -> NativeActor:
    code = network.actors.install(module, module.with_suffix(".ipldsch"), name=name)
    return network.actors.create(code)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    caplog.clear()
    return found


def test_message_and_call_log_each_line_once_with_actor_name(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Network(actor_debugging=True) as network:
        actor = greeter(network, module)
        number = network.machine.state_tree.lookup_id(actor.address)
        assert lines(caplog) == [f"f0{number} greeter: hello"]  # of its constructor
        receipt = actor.send("Greet")
        assert lines(caplog) == [f"f0{number} greeter: hello"]
        actor.call("Greet")
        assert lines(caplog) == [f"f0{number} greeter: hello"]
        found = trace(network.chain, receipt)
        assert lines(caplog) == []  # executed again, for the trace
        assert found.reproduced
        assert found.calls[0]["logs"] == ["hello"]
        assert "greeter Greet()" in str(found)
        assert "log hello" in str(found)


def test_gas_estimate_logs_nothing(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Network(actor_debugging=True) as network:
        actor = greeter(network, module)
        caplog.clear()
        assert network.estimate_gas(actor.address, b"\x01") > 0
        assert lines(caplog) == []
        network.send(actor.address, data=b"\x01", gas_limit=10**9)
        assert len(lines(caplog)) == 1


def test_logging_without_debugging_is_omitted_and_cheaper(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Network() as network:
        assert greeter(network, module).send("Greet").trace.calls[0]["logs"] == []
        assert lines(caplog) == []


def test_a_name_of_ones_own_is_made_printable(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Network(actor_debugging=True) as network:
        actor = greeter(network, module, name="a\nb" + "x" * 100)
        (line,) = lines(caplog)
        assert line.endswith("a\\nb" + "x" * 60 + ": hello")
        assert actor.address == network.actors.at(actor.address).address


def test_long_lines_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    long = guest(
        "(drop (call $log (i32.const 0) (i32.const 65536))) (i32.const 0)",
        "debug.log",
        fields='(data (i32.const 0) "a")',
    )
    with Network(actor_debugging=True) as network:
        network.machine.create(network.machine.install(long))
    (line,) = lines(caplog)
    assert len(line) < MAX_CHARACTERS + 60
    assert line.endswith("... (65,536 characters)")


def test_call_tree_truncates_log_lines_with_notice() -> None:
    trees = CallTrees()
    trees.event(CallStarted(ActorID(100), None, 0, 0, b"", 0, False, 0))  # type: ignore[arg-type]  # a call without a receiver
    for _ in range(MAX_LOGGED + 5):
        trees.event(DebugLog(ActorID(100), "x"))
    assert len(trees.roots[0].logs) == MAX_LOGGED + 1
    assert "omitted" in trees.roots[0].logs[-1]


def test_a_log_that_was_set_up_keeps_its_level(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, LOGGER)
    with Network(actor_debugging=True) as network:
        greeter(network, module)
    assert lines(caplog) == []


@pytest.mark.slow
def test_a_node_prints_them(module: Path, tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        actor = greeter(network, module)
        number = network.machine.state_tree.lookup_id(actor.address)
    with running(tmp_path / "ready", "--state", str(tmp_path / "chain"), "--actor-logs") as (url, process):
        found = call_actor(url, str(actor.address), "Greet", None, 0, 0, False, module.with_suffix(".ipldsch"))
        assert found["answer"] is None
        output = terminated(process)[0]
    assert f"f0{number} greeter: hello" in output
