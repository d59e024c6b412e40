"""Engines by name: all commands report a missing one in one line."""

import pytest

from fvm_hypervisor.cli.options import OWN_ENGINE
from hypervisor.errors import RuntimeUnavailable
from hypervisor.installation import OWN_EVM
from hypervisor.machine.opening import EVM_ENGINES
from hypervisor.machine.registry import RuntimeServices
from runtimes.evm import engines
from runtimes.evm.runtime import EvmRuntime
from tests.command import run


@pytest.fixture
def without_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_FAST_PACKAGE", "runtimes.evm.absent")


def test_machine_and_commands_share_engines_and_default() -> None:
    assert set(engines.ENGINES) < set(EVM_ENGINES)
    assert OWN_EVM == OWN_ENGINE in engines.ENGINES


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        RuntimeUnavailable, match="'geth' is not known: choose one of py-evm, fast, fast:interpret, fast:compile, both"
    ):
        EvmRuntime(RuntimeServices({"evm": "geth"}))


@pytest.mark.parametrize("name", ["fast", "both"])
def test_missing_engine_is_refused_with_one_line_error(without_fast: None, name: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=f"the EVM engine '{name}' is not installed: choose py-evm"):
        EvmRuntime(RuntimeServices({"evm": name}))


@pytest.mark.parametrize("command", ["statetest", "fevmtest", "t8n", "node"])
def test_command_with_missing_evm_engine_exits_with_2(without_fast: None, command: str) -> None:
    # a node that did not refuse would serve for ever: this one cannot listen
    further = {"node": ["--host", "300.1.1.1"], "t8n": []}.get(command, ["x"])
    done = run(command, "--evm", "fast", *further)
    assert done.exit_code == 2
    assert "not installed" in done.output
