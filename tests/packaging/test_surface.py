"""Public names of `hypervisor`, and the cost of importing them."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

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


NOT_OF_A_PLAIN_NODE = {
    "explorer": {"fvm_hypervisor.explorer.site", "rich"},
    "traces": {"bridge.evm_steps", "localnet.traces.ethereum_traces", "localnet.traces.trace_report"},
    "interfaces of contracts and actors": {"bridge.actors.schemas", "localnet.contracts.artifacts", "store.schema"},
    "explanations of failures": {"localnet.explanations"},
    "further methods": {"localnet.rpc.otterscan", "localnet.calls.proofs", "localnet.calls.side_states"},
    "native actors": {"runtimes.wasm", "wasmtime"},
    "drafts": {"fvm_hypervisor.laboratory.drafts", "fvm_hypervisor.bundles.building"},
    "forks": {"localnet.fork.ethereum_fork", "localnet.fork.forking", "localnet.fork.node_client"},
    "folders": {"rocksdict", "store.rocks.database", "localnet.chain.retention"},
    "proofs and faults": {"hypervisor.kernel.proofs", "hypervisor.proofs.consensus_faults"},
}
"""Modules that a node in memory loads on first use, by what needs them."""


@pytest.mark.parametrize("what", NOT_OF_A_PLAIN_NODE)
def test_plain_node_is_ready_before_these_modules_load(what: str, plain_node: set[str]) -> None:
    assert "fvm_hypervisor.verification.application" in plain_node  # the last part that a node loads
    assert not plain_node & NOT_OF_A_PLAIN_NODE[what]


@pytest.fixture(scope="module")
def plain_node() -> set[str]:
    """Modules that `hypervisor node --silent` has loaded when it is ready."""
    program = "import contextlib, sys\nsys.argv = ['hypervisor', 'node', '--port', '0', '--silent']\n"
    program += "from localnet.rpc.server import Server\nServer.run = lambda self, announce: announce()\n"
    program += "from fvm_hypervisor.cli.start import main\nwith contextlib.suppress(SystemExit):\n    main()"
    return loaded_after(program)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["fvm_hypervisor.soltest.worker_modules", "fvm_hypervisor.cli.foundry.runs"])
def test_solidity_tests_start_without_rarely_used_modules(module: str) -> None:
    assert not loaded_after(f"import {module}") & {"eth_abi", "pydantic", "eth_account", "http.client"}


NOT_OF_A_PLAIN_SOLIDITY_TEST = {
    "forks": {"localnet.fork.node_client", "localnet.fork.forking", "sqlite3"},
    "blocks and upgrades": {"runtimes.evm.ethereum.block_run", "localnet.ledger", "hypervisor.migrations.migration"},
    "native actors": {"runtimes.wasm", "bridge.actors.schemas", "store.schema"},
    "single cheatcodes": {"cryptography", "localnet.rules.filecoin"},
}
"""Modules that a worker loads on first use, by what needs them."""


@pytest.mark.parametrize("what", NOT_OF_A_PLAIN_SOLIDITY_TEST)
def test_cheatcodes_load_without_these_modules(what: str, cheatcodes: set[str]) -> None:
    assert "fvm_hypervisor.soltest.cheatcodes.filecoin" in cheatcodes
    assert not cheatcodes & NOT_OF_A_PLAIN_SOLIDITY_TEST[what]


@pytest.fixture(scope="module")
def cheatcodes() -> set[str]:
    """Modules of a worker whose test has called a cheatcode."""
    return loaded_after(
        "import fvm_hypervisor.soltest.worker_modules\n"
        "from fvm_hypervisor.soltest.cheatcodes.table import table\ntable()"
    )


@pytest.mark.slow
def test_the_process_that_runs_no_test_loads_no_machine(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").touch()
    program = f"import contextlib, sys\nsys.argv = ['hypervisor', 'test', '--list', '--root', {str(tmp_path)!r}]\n"
    program += "from fvm_hypervisor.cli.start import main\nwith contextlib.suppress(SystemExit):\n    main()"
    loaded = loaded_after(program)
    assert "fvm_hypervisor.cli.foundry.runs" in loaded
    assert not loaded & {
        "hypervisor.machine.executor",
        "hypervisor.machine.machine",
        "runtimes.evm.runtime",
        "localnet.ledger",
    }
