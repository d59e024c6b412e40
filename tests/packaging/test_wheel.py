"""Contents of the wheel: the packages and their data, without repository-only files."""

import zipfile
from pathlib import Path

import pytest

from hypervisor.builtin_actors.schemas import NAMES
from tests.packaging.project import PACKAGES, PROJECT, own_files

TEMPLATES = "hypervisor/builtin_actors/template/"
"""Projects that `hypervisor actor new` copies, with sources and tests."""
IMPORTED = {"fvm_hypervisor/soltest/solidity/FilecoinVm.sol", "localnet/solidity/FilecoinFork.sol"}
"""Solidity files that `hypervisor test` and `hypervisor solidity` provide."""
PAGES = PROJECT / "fvm_hypervisor" / "explorer"
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
    "hypervisor/builtin_actors/supply-share.car",
    "hypervisor/builtin_actors/v19.car",
    "hypervisor/builtin_actors/m2-native.car",
    "hypervisor/builtin_actors/v19-m2-native.car",
    *(f"hypervisor/builtin_actors/schemas/{name}.ipldsch" for name in ("common", "removed", *NAMES)),
    "fvm_hypervisor/cli/demo/compiled/counter/counter.wasm",
    "fvm_hypervisor/soltest/solc.mjs",
    "fvm_hypervisor/soltest/solc_sha256.json",
    *(f"fvm_hypervisor/laboratory/profiles/{name}.ipldsch" for name in ("nonces", "outbox", "rent")),
    "localnet/preinstalled/multicall3.hex",
    *(path.relative_to(PROJECT).as_posix() for path in PAGES.rglob("*.*") if path.suffix in (".css", ".html", ".js")),
    *(f"runtimes/evm/guests/{guest}/{guest}.{suffix}" for guest in ("bn254", "evm") for suffix in ("json", "wasm")),
    "bridge/ethereum/kzg_setup.txt",
    *(f"{package}/py.typed" for package in PACKAGES),
    *IMPORTED,
}
INTERFACES = "bridge/solidity/"
"""Solidity interfaces of the built-in actors with their ABI, for users' contracts."""
COMPILED = "fvm_hypervisor/cli/demo/compiled/solidity/artifacts/"


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


def test_wheel_contains_only_python_and_listed_data_files(names: set[str]) -> None:
    other = {name for name in names if not name.endswith(".py")}
    assert {name for name in other if not name.startswith((COMPILED, INTERFACES))} == DATA


def test_wheel_omits_sources_tests_examples_and_build_tools(names: set[str]) -> None:
    unwanted = ("tests", "examples", "target", "node_modules", "build.py")
    own = [name for name in names - IMPORTED if not name.startswith((TEMPLATES, INTERFACES))]
    assert [name for name in own if set(Path(name).parts) & set(unwanted)] == []
    assert [name for name in own if name.endswith((".rs", ".toml", ".lock", ".sol"))] == []


def test_every_module_of_the_packages_is_in_it(names: set[str]) -> None:
    modules = {path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")}
    wanted = {path.relative_to(PROJECT).as_posix() for path in modules} - {"hypervisor/builtin_actors/build.py"}
    ours_alone = ("/guests/", "fvm_hypervisor/bindings/actors/")
    assert {name for name in names if name.endswith(".py")} == {
        name for name in wanted if not any(part in name for part in ours_alone)
    }


def test_wheel_contains_identical_compiled_examples(wheel: zipfile.ZipFile, names: set[str]) -> None:
    artifacts = PROJECT / "examples" / "solidity" / "artifacts"
    assert {name for name in names if name.startswith(COMPILED)} == {
        COMPILED + path.name for path in artifacts.iterdir()
    }
    for name in names:
        if name.startswith("fvm_hypervisor/cli/demo/compiled/"):
            source = PROJECT / name.replace("fvm_hypervisor/cli/demo/compiled", "examples")
            assert wheel.read(name) == source.read_bytes()


def test_wheel_declares_both_commands_and_both_runtimes(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    lines = wheel.read(name).decode().splitlines()
    for command in ("hypervisor", "fvm-hypervisor"):
        assert f"{command} = fvm_hypervisor.cli.start:main" in lines
    assert "wasm = runtimes.wasm:WasmRuntime" in lines
    assert "evm = runtimes.evm:EvmRuntime" in lines


def test_wheel_contains_both_licences(wheel: zipfile.ZipFile) -> None:
    licences = {name.rsplit("/", 1)[1] for name in wheel.namelist() if "/licenses/" in name}
    assert licences == {"LICENSE-APACHE", "LICENSE-MIT"}
