"""The wheel.

- Fixtures of the packaging tests: the wheel, built once.
- Contents of the wheel: the packages and their data, without repository-only files.
- The installed wheel with only its declared dependencies: every module, every command's help, main features.

The environment contains the wheel and links to the distributions that its metadata requires, directly or indirectly,
but none of the development group. No network is needed.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, distribution
from pathlib import Path
from time import sleep
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hypervisor.builtin_actors.schemas import NAMES
from tests.hypervisor_tools.cli.test_wallet import PASSWORD, SECRET, keystore
from tests.packaging import PACKAGES, PROJECT, own_files


@pytest.fixture(scope="session")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the locked hatchling, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


TEMPLATES = "hypervisor/builtin_actors/template/"
"""Projects that `hypervisor actor new` copies, with sources and tests."""
IMPORTED = {"hypervisor_tools/soltest/solidity/FilecoinVm.sol", "localnet/solidity/FilecoinFork.sol"}
"""Solidity files that `hypervisor test` and `hypervisor solidity` provide."""
PAGES = PROJECT / "localnet" / "explorer"
DATA = {
    "hypervisor/builtin_actors/include/fvm.h",
    "hypervisor/builtin_actors/releases.json",
    *(
        path.relative_to(PROJECT).as_posix()
        for path in own_files(f"{TEMPLATES}*")
        if path.suffix not in (".py", ".wasm") and path.name != "tip_jar.json"
    ),
    "hypervisor/builtin_actors/bundle.car",
    "hypervisor/builtin_actors/bundle.json",
    "hypervisor/builtin_actors/constructed.json",
    "localnet/rpc/lotus_types.json",
    "hypervisor/builtin_actors/supply-share.car",
    "hypervisor/builtin_actors/v19.car",
    "hypervisor/builtin_actors/m2-native.car",
    "hypervisor/builtin_actors/v19-m2-native.car",
    *(f"hypervisor/builtin_actors/schemas/{name}.ipldsch" for name in ("common", "removed", *NAMES)),
    "hypervisor_tools/cli/demo/compiled/counter/counter.wasm",
    "hypervisor_tools/soltest/compile/solc.mjs",
    "hypervisor_tools/soltest/compile/solc_sha256.json",
    "localnet/preinstalled/multicall3.hex",
    *(path.relative_to(PROJECT).as_posix() for path in PAGES.rglob("*.*") if path.suffix in (".css", ".html", ".js")),
    *(
        f"runtimes/evm/guests/{guest}/{guest}.{suffix}"
        for guest in ("bn254", "frames", "revm")
        for suffix in ("json", "wasm")
    ),
    "bridge/ethereum/kzg_setup.txt",
    *(f"{package}/py.typed" for package in PACKAGES),
    *IMPORTED,
}
INTERFACES = "bridge/solidity/"
"""Solidity interfaces of the built-in actors with their ABI, for users' contracts."""
COMPILED = "hypervisor_tools/cli/demo/compiled/solidity/artifacts/"


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel_file)


@pytest.fixture(scope="module")
def names(wheel: zipfile.ZipFile) -> set[str]:
    """Return the wheel's files without its metadata."""
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


@pytest.mark.slow
def test_only_our_packages_are_in_it(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == set(PACKAGES)


@pytest.mark.slow
def test_wheel_contains_only_python_and_listed_data_files(names: set[str]) -> None:
    other = {name for name in names if not name.endswith(".py")}
    assert {name for name in other if not name.startswith((COMPILED, INTERFACES))} == DATA


@pytest.mark.slow
def test_wheel_omits_sources_tests_examples_and_build_tools(names: set[str]) -> None:
    unwanted = ("tests", "examples", "target", "node_modules")
    own = [name for name in names - IMPORTED if not name.startswith((TEMPLATES, INTERFACES))]
    assert [name for name in own if set(Path(name).parts) & set(unwanted)] == []
    assert [name for name in own if name.endswith((".rs", ".toml", ".lock", ".sol"))] == []


def test_every_module_of_the_packages_is_in_it(names: set[str]) -> None:
    modules = {path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")}
    wanted = {path.relative_to(PROJECT).as_posix() for path in modules}
    assert {name for name in names if name.endswith(".py")} == {name for name in wanted if "/guests/" not in name}


def test_wheel_contains_identical_compiled_examples(wheel: zipfile.ZipFile, names: set[str]) -> None:
    artifacts = PROJECT / "examples" / "solidity" / "artifacts"
    assert {name for name in names if name.startswith(COMPILED)} == {
        COMPILED + path.name for path in artifacts.iterdir()
    }
    for name in names:
        if name.startswith("hypervisor_tools/cli/demo/compiled/"):
            source = PROJECT / name.replace("hypervisor_tools/cli/demo/compiled", "examples")
            assert wheel.read(name) == source.read_bytes()


def test_wheel_declares_both_commands(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    lines = wheel.read(name).decode().splitlines()
    for command in ("hypervisor", "fvm-hypervisor"):
        assert f"{command} = hypervisor_tools.cli.start:main" in lines


def test_wheel_contains_both_licences(wheel: zipfile.ZipFile) -> None:
    licences = {name.rsplit("/", 1)[1] for name in wheel.namelist() if "/licenses/" in name}
    assert licences == {"LICENSE-APACHE", "LICENSE-MIT"}


OPTIONAL: Final = {"boa", "eth_tester", "pytest", "web3"}
"""Undeclared distributions that a module may import: such modules serve users who have them."""
NAME: Final = "fvm_hypervisor"


class Installation:
    """An environment with the wheel and its declared dependencies."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        (self.packages,) = (folder / "lib").glob("python*/site-packages")
        zipfile.ZipFile(wheel).extractall(self.packages)
        (own,) = self.packages.glob(f"{NAME}-*.dist-info")
        for found in _required(Distribution.at(own)):
            _link(found, self.packages)
        (command,) = Distribution.at(own).entry_points.select(group="console_scripts", name="hypervisor")
        self.command = folder / "bin" / "hypervisor"
        self.command.write_text(f"#!{self.python}\nfrom {command.module} import main\nmain()\n", encoding="utf-8")
        self.command.chmod(0o755)
        self.environment = {"PATH": f"{self.command.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
        self.folder = folder / "elsewhere"
        self.folder.mkdir()

    def run(self, *arguments: str | Path, status: int = 0) -> str:
        """Return the command's output, including standard error."""
        return self._run([self.command, *arguments], status)

    def python_run(self, program: str, *arguments: str) -> str:
        return self._run([self.python, "-c", program, *arguments], 0)

    def _run(self, command: list[str | Path], status: int) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == status, f"{command}: {done.stdout}"
        return done.stdout


def _required(of: Distribution) -> list[Distribution]:
    """Return the distributions required by another one on this Python, without extras."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(of, "")]
    while waiting:
        place, extra = waiting.pop()
        for line in place.requires or ():
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
                continue
            name = canonicalize_name(wanted.name)
            found[name] = distribution(wanted.name)
            for next_extra in ("", *wanted.extras):
                if (name, next_extra) not in seen:
                    seen.add((name, next_extra))
                    waiting.append((found[name], next_extra))
    return list(found.values())


def _link(of: Distribution, folder: Path) -> None:
    """Link the packages and modules of a distribution, with its metadata."""
    tops = {file.parts[0] for file in of.files or () if file.parts[0] not in ("..", "__pycache__")}
    for top in tops:
        link = folder / top
        if not link.is_symlink():
            link.symlink_to(Path(str(of.locate_file(top))))


@pytest.fixture(scope="module")
def alone(wheel_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("alone"), wheel_file)


IMPORT_ALL: Final = """
import sys, json, warnings
from importlib import import_module
warnings.simplefilter("ignore")
lacking = {}
for name in sys.stdin.read().split():
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        lacking[name] = error.name.split(".")[0]
print(json.dumps(lacking))
"""


def modules_of(wheel: Path) -> list[str]:
    """Return the modules of the wheel, without the files of project templates."""
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")]
    dotted = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names]
    return [name for name in dotted if "template." not in name and not name.endswith(".__main__")]


@pytest.mark.slow
def test_every_module_is_imported_with_declared_dependencies(alone: Installation, wheel_file: Path) -> None:
    modules = modules_of(wheel_file)
    assert len(modules) > 500
    program = IMPORT_ALL.replace("sys.stdin.read()", f"{' '.join(modules)!r}")
    lacking: dict[str, str] = json.loads(alone.python_run(program).splitlines()[-1])
    own = {"z3": "hypervisor_tools.soltest.symbolic.", "hypothesis": "localnet.testing.stateful"}
    needs = [(name, missing) for name, missing in lacking.items() if missing in own]
    assert all(name.startswith(own[missing]) for name, missing in needs)  # an extra's own modules, imported for it
    assert {name: missing for name, missing in lacking.items() if missing not in OPTIONAL | own.keys()} == {}


LAZY: Final = """
import ast, sys, json
from importlib.util import find_spec
from pathlib import Path
lacking = {}
for file in Path(sys.argv[1]).resolve().rglob("*.py"):
    if file.is_relative_to(sys.argv[1]) and "template" not in file.parts:
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                top = name.split(".")[0]
                if find_spec(top) is None:
                    lacking.setdefault(top, []).append(str(file))
print(json.dumps(lacking))
"""
EXTRAS: Final = {"elftools", "hypothesis", "matplotlib", "prompt_toolkit", "pyarrow", "z3"}
"""Distributions of the declared extras; a command that needs one reports it."""


@pytest.mark.slow
def test_lazy_imports_are_declared_dependencies(alone: Installation, wheel_file: Path) -> None:
    lacking: dict[str, list[str]] = {}
    for top in sorted({name.split(".")[0] for name in modules_of(wheel_file)}):
        for name, files in json.loads(alone.python_run(LAZY, str(alone.packages / top))).items():
            lacking.setdefault(name, []).extend(files)
    assert {name: files for name, files in lacking.items() if name not in OPTIONAL | EXTRAS} == {}


ALL_HELP: Final = """
import sys
from importlib.metadata import entry_points
from typer.main import get_command
from typer.testing import CliRunner
(entry,) = entry_points(group="console_scripts", name="hypervisor")
__import__(entry.module)
package = entry.module.rpartition(".")[0]
app = __import__(f"{package}.main", fromlist=["app"]).app
def walk(command, words):
    yield words
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from walk(command.get_command(None, name), [*words, name])
for words in walk(get_command(app), []):
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0 and "Usage:" in done.output, (words, done.output, done.exception)
    print(*words or ["hypervisor"])
"""


@pytest.mark.slow
def test_every_command_shows_its_help(alone: Installation) -> None:
    shown = set(alone.python_run(ALL_HELP).splitlines())
    assert {"test", "script", "create", "node", "bundle fetch", "actor new"} <= shown
    assert len(shown) > 50


@pytest.mark.slow
def test_commands_without_network_and_data_run(alone: Installation) -> None:
    assert json.loads(alone.run("demo", "--json"))["steps"][-1]["state_root"]
    assert json.loads(alone.run("doctor", "--json"))["ok"]
    assert "0x" in alone.run("wallet", "list")
    assert "v18" in alone.run("bundle", "list")
    alone.run("solidity", "written")
    assert (alone.folder / "written" / "FilecoinVm.sol").is_file()
    alone.run("actor", "new", "tip")
    assert (alone.folder / "tip" / "Cargo.toml").is_file()


@pytest.mark.slow
def test_a_keystore_is_opened(alone: Installation, tmp_path: Path) -> None:
    """`create` opens the key first and then finds no project."""
    file, password = keystore(tmp_path), tmp_path / "password"
    password.write_text(PASSWORD, encoding="utf-8")
    module = next(name for name in alone.packages.rglob("wallet.py") if name.parent.name == "cli")
    name = ".".join(module.relative_to(alone.packages).with_suffix("").parts)
    program = f"import sys; from pathlib import Path; from {name} import keystore_keys as keys\n"
    program += "print(keys([Path(sys.argv[1])], [], [], [Path(sys.argv[2])]))"
    assert alone.python_run(program, str(file), str(password)).strip() == f"['{SECRET}']"
    options = ("--keystore", file, "--password-file", password)
    assert "ModuleNotFoundError" not in alone.run("create", "Counter", *options, status=2)


@contextmanager
def node(alone: Installation) -> Iterator[str]:
    """Serve a node of the installation until the block ends, and yield its URL."""
    ready = alone.folder / "ready"
    command = [str(alone.command), "node", "--port", "0", "--silent", "--ready-file", str(ready)]
    with subprocess.Popen(command, cwd=alone.folder, env=alone.environment) as process:
        try:
            while not ready.is_file() and process.poll() is None:
                sleep(0.05)
            yield ready.read_text(encoding="utf-8").strip()
        finally:
            process.terminate()


@pytest.mark.slow
def test_the_commands_of_the_quick_start_run_on_its_node(alone: Installation) -> None:
    artifact = PROJECT / "examples" / "solidity" / "artifacts" / "DataCapName.json"
    with node(alone) as url:
        at = ("--rpc-url", url)
        deployed = json.loads(alone.run("deploy", artifact, "--json", *at))
        assert "DataCap" in alone.run("call", deployed["address"], "name()(string)", *at)
        assert "FIL" in alone.run("balance", "f0100", *at)
        sent = json.loads(alone.run("send", "f0100", "--value", "1.5fil", "--json", *at))
        assert "f0100" in alone.run("trace", sent["transaction"], *at)
        assert "ok" in alone.run("doctor", *at)
