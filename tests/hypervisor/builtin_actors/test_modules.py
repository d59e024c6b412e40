"""Every module is valid under the network's rules and imports only syscalls that official actors import."""

from pathlib import Path

import pytest
import wasmtime

from hypervisor.builtin_actors import loader
from hypervisor.bundles.bundle import Bundle
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from runtimes.wasm.validate import validate_module
from scripts import build_guests
from tests.conftest import data_file, fvm_data


def module_of(name: str) -> bytes:
    if name == "counter":
        return (build_guests.COUNTER / "counter.wasm").read_bytes()
    bundle = Bundle.embedded()
    return dict(bundle.blocks)[bundle.manifest.code(name)]


def quick_engine() -> wasmtime.Engine:
    """Return an engine for modules that are only inspected, since wasmtime keeps compiled modules."""
    config = wasmtime.Config()
    config.cache = True
    return wasmtime.Engine(config)


NAMES = [*build_guests.MANIFEST, "counter"]


@pytest.fixture(scope="module")
def official_imports() -> set[tuple[str, str | None]]:
    """Imports of the v18 actors; without test data all syscalls of their network version."""
    if fvm_data() is None:
        return set(SYSCALL_REVISIONS["v4"])
    bundle = Bundle.open(data_file("bundles/v18-devnet.car"))
    engine = quick_engine()
    modules = [wasmtime.Module(engine, data) for cid, data in bundle.blocks if cid in bundle.manifest.codes]
    return {(item.module, item.name) for module in modules for item in module.imports}


@pytest.mark.parametrize("name", NAMES)
def test_the_module_passes_the_rules_of_consensus(name: str) -> None:
    validate_module(parse_module(module_of(name)))


@pytest.mark.parametrize("name", NAMES)
def test_module_imports_only_syscalls_used_by_official_actors(
    name: str, official_imports: set[tuple[str, str | None]]
) -> None:
    module = wasmtime.Module(quick_engine(), module_of(name))
    assert {(item.module, item.name) for item in module.imports} <= official_imports


@pytest.mark.parametrize("name", NAMES)
def test_module_has_no_start_function_and_at_most_five_pages(name: str) -> None:
    module = parse_module(module_of(name))
    assert module.start is None
    assert [memory.minimum <= 5 for memory in module.memories] == [True]
    assert {"memory", "invoke"} <= {export.name for export in module.exports}


@pytest.mark.parametrize("name", NAMES)
def test_the_module_names_no_folder_of_the_machine_that_built_it(name: str) -> None:
    module = module_of(name)
    for folder in (str(Path.home()), str(build_guests.PROJECT), "/.cargo", "/.rustup", "/home/", "/Users/"):
        assert folder.encode() not in module


def test_the_record_names_the_pinned_compiler() -> None:
    assert loader.bundle_record().compiler.startswith(f"rustc {build_guests.toolchain()} ")
