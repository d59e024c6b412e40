"""The packages' public names and imports.

- Public names of `hypervisor`, and the cost of importing them.
- Names of our packages: no installed distribution or standard module has one of them.
- User modules that shadow one of our packages cause one error that names the file and the remedy.
- The core imports and runs without the node and the tools.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hypervisor
from hypervisor._siblings import SIBLINGS
from tests.packaging import PACKAGES, PROJECT

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


@pytest.mark.slow
def test_importing_public_names_loads_no_heavy_modules() -> None:
    assert not loaded_after("from hypervisor import *") & set(HEAVY)


@pytest.mark.slow
def test_asking_the_command_for_help_loads_no_runtime() -> None:
    program = "import sys\nsys.argv = ['hypervisor', 'bundle', '--help']\n"
    program += "import contextlib, io, hypervisor_tools.cli.main as cli\n"
    program += "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    cli.main()"
    assert not loaded_after(program) & {"eth", "wasmtime", "starlette", "uvicorn"}


@pytest.mark.slow
def test_generator_of_bindings_needs_cbor2_only() -> None:
    """A wheel is built in an environment with the build requirements of pyproject.toml."""
    loaded = loaded_after("import scripts.actor_bindings.python")
    others = {*HEAVY, "sha3", "rocksdict", "cryptography", "orjson", "btclib_secp256k1", "py_arkworks_bls12381"}
    assert "cbor2" in loaded
    assert not loaded & others


@pytest.mark.slow
def test_node_starts_without_importing_abi_coder() -> None:
    assert not loaded_after("import localnet.rpc.server.server, localnet.network") & {
        "eth_abi",
        "pydantic",
        "eth_account",
    }


NOT_OF_A_PLAIN_NODE = {
    "explorer": {"localnet.explorer.site", "rich"},
    "traces": {"bridge.evm_steps", "localnet.traces.ethereum_traces", "localnet.traces.trace_report"},
    "interfaces of contracts and actors": {"bridge.actors.schemas", "localnet.contracts.artifacts", "store.schema"},
    "explanations of failures": {"localnet.explanations"},
    "further methods": {"localnet.rpc.debug.otterscan", "localnet.calls.proofs", "localnet.calls.side_states"},
    "native actors": {"runtimes.wasm", "wasmtime"},
    "drafts": {"hypervisor_tools.laboratory.drafts", "hypervisor_tools.bundles"},
    "forks": {"localnet.fork.ethereum_fork", "localnet.fork.forking", "localnet.fork.node_client"},
    "folders": {"rocksdict", "store.rocks.database", "localnet.chain.retention"},
    "proofs and faults": {"hypervisor.kernel.proofs", "hypervisor.proofs.consensus_faults"},
}
"""Modules that a node in memory loads on first use, by what needs them."""


@pytest.mark.parametrize("what", NOT_OF_A_PLAIN_NODE)
def test_plain_node_is_ready_before_these_modules_load(what: str, plain_node: set[str]) -> None:
    assert "hypervisor_tools.verification.application" in plain_node  # the last part that a node loads
    assert not plain_node & NOT_OF_A_PLAIN_NODE[what]


@pytest.fixture(scope="module")
def plain_node() -> set[str]:
    """Modules that `hypervisor node --silent` has loaded when it is ready."""
    program = "import contextlib, sys\nsys.argv = ['hypervisor', 'node', '--port', '0', '--silent']\n"
    program += "from localnet.rpc.server.server import Server\nServer.run = lambda self, announce: announce()\n"
    program += "from hypervisor_tools.cli.start import main\nwith contextlib.suppress(SystemExit):\n    main()"
    return loaded_after(program)


@pytest.mark.slow
def test_solidity_tests_start_without_rarely_used_modules() -> None:
    program = f"import hypervisor_tools.cli.foundry.runs\n{LOAD_WORKER_MODULES}"
    rarely_used = {"eth_abi", "pydantic", "eth_account", "http.client", "importlib.metadata", "email", "asyncio"}
    assert not loaded_after(program) & rarely_used


LOAD_WORKER_MODULES = (
    "from hypervisor_tools.soltest.run.worker_modules import load_worker_modules\nload_worker_modules()\n"
)


NOT_OF_A_PLAIN_SOLIDITY_TEST = {
    "forks": {"localnet.fork.node_client", "localnet.fork.forking", "sqlite3"},
    "blocks and upgrades": {"runtimes.evm.blocks.block_run", "localnet.ledger", "hypervisor.migrations.migration"},
    "native actors": {"runtimes.wasm", "bridge.actors.schemas", "store.schema"},
    "single cheatcodes": {"cryptography", "localnet.rules.filecoin"},
}
"""Modules that a worker loads on first use, by what needs them."""


@pytest.mark.slow
@pytest.mark.parametrize("what", NOT_OF_A_PLAIN_SOLIDITY_TEST)
def test_cheatcodes_load_without_these_modules(what: str, cheatcodes: set[str]) -> None:
    assert "hypervisor_tools.soltest.cheatcodes.filecoin" in cheatcodes
    assert not cheatcodes & NOT_OF_A_PLAIN_SOLIDITY_TEST[what]


@pytest.fixture(scope="module")
def cheatcodes() -> set[str]:
    """Modules of a worker whose test has called a cheatcode."""
    return loaded_after(f"{LOAD_WORKER_MODULES}from hypervisor_tools.soltest.cheatcodes.table import table\ntable()")


@pytest.mark.slow
def test_the_process_that_runs_no_test_loads_no_machine(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").touch()
    program = f"import contextlib, sys\nsys.argv = ['hypervisor', 'test', '--list', '--root', {str(tmp_path)!r}]\n"
    program += "from hypervisor_tools.cli.start import main\nwith contextlib.suppress(SystemExit):\n    main()"
    loaded = loaded_after(program)
    assert "hypervisor_tools.cli.foundry.runs" in loaded
    assert not loaded & {
        "hypervisor.kernel",
        "hypervisor.machine.executor",
        "hypervisor.machine.machine",
        "hypervisor.tracing",
        "statistics",
        "runtimes.evm.runtime",
        "localnet.ledger",
    }


OURS = "fvm-hypervisor"
NAMES = frozenset({*PACKAGES, "localnet"})
INSTALLED = {distribution.name: distribution for distribution in distributions()}


def locked() -> Iterator[tuple[str, str]]:
    """Return names and versions of requirements.lock for this Python and system."""
    for line in (PROJECT / "requirements.lock").read_text().splitlines():
        if "==" in line and not line.lstrip().startswith("#"):
            requirement = Requirement(line.removesuffix("\\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield canonicalize_name(requirement.name), str(requirement.specifier).removeprefix("==")


LOCKED = dict(locked())


def top_level(distribution: Distribution) -> set[str]:
    """Return the names that a distribution makes importable, from its list of files."""
    files = distribution.files
    assert files is not None, f"{distribution.name} has no list of files"
    return {file.parts[0].removesuffix(".py") for file in files if file.parts[0] != ".."}


def test_every_locked_package_is_installed_as_locked() -> None:
    present = {str(canonicalize_name(name)): distribution.version for name, distribution in INSTALLED.items()}
    assert {name: present.get(name) for name in LOCKED} == LOCKED


@pytest.mark.slow
def test_installed_distributions_do_not_shadow_our_packages() -> None:
    taken = {name: top_level(distribution) & NAMES for name, distribution in INSTALLED.items() if name != OURS}
    assert {name: names for name, names in taken.items() if names} == {}


def test_stdlib_modules_do_not_shadow_our_packages() -> None:
    assert not NAMES & sys.stdlib_module_names


REMEDY = "rename that file, or run from another folder"


def test_guard_covers_every_package() -> None:
    assert set(SIBLINGS) == set(PACKAGES) - {"hypervisor"}


@pytest.mark.parametrize("name", SIBLINGS)
@pytest.mark.parametrize("form", ["module", "package"])
def test_a_file_in_the_working_directory_is_named(tmp_path: Path, name: str, form: str) -> None:
    shadowing = tmp_path / (f"{name}.py" if form == "module" else f"{name}/__init__.py")
    shadowing.parent.mkdir(exist_ok=True)
    shadowing.write_text("VALUE = 'the user means this one'\n")
    done = subprocess.run([sys.executable, "-c", "import hypervisor"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("hypervisor._siblings.HiddenPackage: ")
    assert f"{shadowing} shadows the package '{name}'" in error
    assert REMEDY in error


def test_a_stale_editable_installation_names_the_command_that_renews_it() -> None:
    program = [sys.executable, "-c", "from fvm_hypervisor.cli.start import main"]
    done = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, "run `make environment`" in done.stderr.splitlines()[-1]) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bridge", "store"])
def test_a_helper_in_a_users_pytest_project_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("def helper() -> int:\n    return 1\n")
    (tmp_path / "test_user.py").write_text(
        f"from {name} import helper\n\ndef test_it():\n    from hypervisor import Hypervisor\n    assert helper()\n"
    )
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    problem = f"HiddenPackage: {tmp_path / name}.py shadows the package '{name}' of fvm-hypervisor"
    assert f"{problem}: {REMEDY}" in done.stdout


def test_empty_sibling_folders_do_not_shadow_packages(tmp_path: Path) -> None:
    for name in SIBLINGS:
        (tmp_path / name).mkdir()
    done = subprocess.run([sys.executable, "-c", "import hypervisor"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_installed_command_ignores_working_directory(tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported')\n")
    command = Path(sys.executable).with_name("hypervisor")
    done = subprocess.run([command, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


CORE = ("store", "hypervisor", "bridge", "runtimes")
CORE_DEPENDENCIES = (
    "py-evm",
    "wasmtime",
    "eth-abi",
    "safe-pysha3",
    "dag-cbor",
    "cbor2",
    "multiformats",
    "rocksdict",
    "btclib-secp256k1",
    "py-arkworks-bls12381",
    "blake2b-py",
    "cryptography",
    "pycryptodome",
    "orjson",
)
CORE_PROGRAM = """
import pkgutil
from importlib import import_module

for package in ("store", "hypervisor", "bridge", "runtimes"):
    for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
        if ".template." not in module.name and module.name != "hypervisor.builtin_actors.template":
            import_module(module.name)

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params, invoke_return
from hypervisor import Address, Genesis, Hypervisor, Message, Recorder, call_tree, fil
from hypervisor.types import EAM_ACTOR, MethodNumber
from store.codec import encode

account = to_filecoin(EthAddress(b"\\x11" * 20))
recorder = Recorder()
with Hypervisor.open("state", genesis=Genesis(accounts={account: fil(10)}), tracer=recorder) as machine:
    code = bytes.fromhex("67602a5f5260205ff35f5260086018f3")  # creates a contract that returns 42
    to = Address.id(EAM_ACTOR)
    method = MethodNumber(CREATE_EXTERNAL_METHOD)
    created = machine.apply(Message(to, account, nonce=0, method=method, params=encode(code)))
    contract = Address.id(CreateReturn.decode(created.return_data).actor)
    recorder.events.clear()
    answer = machine.apply(Message(contract, account, nonce=1, method=INVOKE_EVM, params=invoke_params(b"")))
    assert [node.runtime for node in call_tree(recorder.events)] == ["evm"]
    machine.flush()
print(int.from_bytes(invoke_return(answer.return_data)))
"""


def closure(names: Iterable[str]) -> dict[str, Distribution]:
    """Return the installed distributions that the named ones require, themselves included, by canonical name."""
    found: dict[str, Distribution] = {}
    waiting = [*names]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found[name] = distribution(name)
            needed = map(Requirement, found[name].requires or ())
            waiting += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


@pytest.mark.slow
def test_core_runs_without_localnet_and_tools(tmp_path: Path) -> None:
    """The environment has the core's packages and their dependencies only."""
    for folder in {str(file).split("/")[0] for one in closure(CORE_DEPENDENCIES).values() for file in one.files or ()}:
        if folder != "..":
            (tmp_path / folder).symlink_to(Path(str(distribution("wasmtime").locate_file(folder))))
    for name in CORE:
        (tmp_path / name).symlink_to(PROJECT / name)
    record = tmp_path / "fvm_hypervisor-0.dist-info"
    record.mkdir()
    record.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: fvm-hypervisor\nVersion: 0\n")
    done = subprocess.run(
        [sys.executable, "-S", "-c", CORE_PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
