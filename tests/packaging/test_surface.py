"""Public names of `hypervisor`, and the cost of importing them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import hypervisor

PUBLIC = [
    "Address",
    "Bundle",
    "Genesis",
    "Hypervisor",
    "Message",
    "Receipt",
    "Recorder",
    "SignedMessage",
    "TokenAmount",
    "call_tree",
    "fil",
]
HEAVY = [
    "eth",
    "eth_abi",
    "eth_utils",
    "ckzg",
    "wasmtime",
    "rlp",
    "multiformats",
    "dag_cbor",
    "typer",
    "rich",
    "starlette",
    "uvicorn",
]


def loaded_after(program: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after a program."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    assert hypervisor.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_matches_its_defining_module(name: str) -> None:
    thing = getattr(hypervisor, name)
    assert getattr(import_module(thing.__module__), name) is thing
    assert thing.__doc__, f"{name} has no docstring"


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hypervisor' has no attribute 'Machine'"):
        _ = hypervisor.Machine


def test_importing_package_loads_no_heavy_modules() -> None:
    assert not loaded_after("import hypervisor") & set(HEAVY)


def test_importing_public_names_loads_no_heavy_modules() -> None:
    assert not loaded_after("from hypervisor import *") & set(HEAVY)


@pytest.mark.slow
def test_asking_the_command_for_help_loads_no_runtime() -> None:
    program = "import sys\nsys.argv = ['hypervisor', 'bundle', '--help']\n"
    program += "import contextlib, io, fvm_hypervisor.cli.main as cli\n"
    program += "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    cli.main()"
    assert not loaded_after(program) & {"eth", "wasmtime", "starlette", "uvicorn"}


@pytest.mark.slow
def test_node_starts_without_importing_abi_coder() -> None:
    assert not loaded_after("import localnet.rpc.server, localnet.network") & {"eth_abi", "pydantic", "eth_account"}


def test_node_is_ready_before_explorer_modules_load() -> None:
    program = "import localnet.rpc.server, localnet.network, localnet.console, fvm_hypervisor.cli.node\n"
    program += (
        "import fvm_hypervisor.cli.node_banner, fvm_hypervisor.cli.node_vectors, fvm_hypervisor.explorer.application"
    )
    assert not loaded_after(program) & {
        "bridge.actor_schemas",
        "bridge.evm_steps",
        "fvm_hypervisor.explorer.site",
        "localnet.contracts.artifacts",
        "localnet.explanations",
        "localnet.rpc.otterscan",
        "localnet.traces.ethereum_traces",
        "localnet.traces.trace_report",
        "rich",
        "store.schema",
    }


@pytest.mark.slow
@pytest.mark.parametrize("module", ["fvm_hypervisor.soltest.worker_modules", "fvm_hypervisor.cli.suites"])
def test_solidity_tests_start_without_rarely_used_modules(module: str) -> None:
    assert not loaded_after(f"import {module}") & {"eth_abi", "pydantic", "eth_account", "http.client"}


def test_the_process_that_runs_no_test_loads_no_machine() -> None:
    assert not loaded_after("import fvm_hypervisor.cli.suites") & {
        "hypervisor.machine",
        "runtimes.evm",
        "localnet.chain",
    }
