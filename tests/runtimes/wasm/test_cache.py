"""Compiled modules on disk: what is doubtful is compiled again, and never run."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidModule
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.threads import BoundedCache
from hypervisor.types import ActorID
from localnet import Network
from runtimes.wasm import modules as modules_module
from runtimes.wasm import runtime as runtime_module
from runtimes.wasm.module import encode
from runtimes.wasm.modules import GuestModules
from runtimes.wasmtime import cache as cache_module
from runtimes.wasmtime.cache import ModuleCache, cache_key, default_folder
from runtimes.wasmtime.engine import guest_engine, own_engine
from store.cid import RAW, cid_of
from tests.localnet.conftest import ARTIFACTS
from tests.runtimes.wasm.guests import call, guest, install_and_call

KEY = cache_key(b"some", b"key")
MODULE = guest("(i32.const 0)")
CODE = cid_of(MODULE, RAW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "modules"


def test_stored_code_is_loaded_by_another_cache(folder: Path) -> None:
    ModuleCache(folder).store(KEY, b"native code")
    assert ModuleCache(folder).load(KEY) == b"native code"
    assert ModuleCache(folder).load(cache_key(b"another")) is None


def test_the_folder_and_its_files_are_private(folder: Path) -> None:
    ModuleCache(folder).store(KEY, b"native code")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert sorted(path.name for path in files) == sorted(["secret", KEY.hex()])


def test_a_cache_within_another_one_leaves_that_private(folder: Path) -> None:
    within = ModuleCache(folder / "regions")
    within.store(KEY, b"a region")
    cache = ModuleCache(folder)
    cache.store(KEY, b"a module")
    assert (cache.load(KEY), within.load(KEY)) == (b"a module", b"a region")


@pytest.mark.parametrize("place", [0, 31, 32, -1])
def test_a_changed_file_is_as_if_it_were_not_there(folder: Path, place: int) -> None:
    cache = ModuleCache(folder)
    cache.store(KEY, b"native code")
    path = folder / KEY.hex()
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    assert cache.load(KEY) is None


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 32, b"\0" * 33])
def test_a_planted_file_is_as_if_it_were_not_there(folder: Path, content: bytes) -> None:
    cache = ModuleCache(folder)
    (folder / KEY.hex()).write_bytes(content)
    (folder / KEY.hex()).chmod(0o600)
    assert cache.load(KEY) is None


def test_a_file_under_another_key_is_as_if_it_were_not_there(folder: Path) -> None:
    cache = ModuleCache(folder)
    other = cache_key(b"other")
    cache.store(KEY, b"native code")
    os.rename(folder / KEY.hex(), folder / other.hex())
    assert cache.load(other) is None


def test_a_file_of_another_folder_is_as_if_it_were_not_there(folder: Path, tmp_path: Path) -> None:
    foreign = ModuleCache(tmp_path / "foreign")
    foreign.store(KEY, b"native code")
    cache = ModuleCache(folder)
    os.rename(tmp_path / "foreign" / KEY.hex(), folder / KEY.hex())
    assert cache.load(KEY) is None


def test_a_file_that_others_may_write_is_not_read(folder: Path) -> None:
    cache = ModuleCache(folder)
    cache.store(KEY, b"native code")
    (folder / KEY.hex()).chmod(0o620)
    assert cache.load(KEY) is None


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    cache = ModuleCache(folder)
    cache.store(KEY, b"native code")
    os.rename(folder / KEY.hex(), tmp_path / "elsewhere")
    (folder / KEY.hex()).symlink_to(tmp_path / "elsewhere")
    assert cache.load(KEY) is None


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
def test_a_folder_that_others_may_enter_is_not_used(folder: Path, mode: int, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir()
    folder.chmod(mode)
    cache = ModuleCache(folder)
    cache.store(KEY, b"native code")
    assert cache.load(KEY) is None
    assert list(folder.iterdir()) == []
    assert "not private" in caplog.text


def test_a_folder_that_is_a_link_is_not_used(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "real")
    cache = ModuleCache(folder)
    cache.store(KEY, b"native code")
    assert cache.load(KEY) is None


def test_damaged_module_cache_secret_is_reported(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    ModuleCache(folder).store(KEY, b"native code")
    (folder / "secret").write_bytes(b"")
    assert ModuleCache(folder).load(KEY) is None
    assert "delete the folder" in caplog.text


def test_a_place_that_cannot_be_made_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = ModuleCache(tmp_path / "file" / "modules")
    cache.store(KEY, b"native code")
    assert cache.load(KEY) is None


THREE = 3 * (32 + len(b"native code")) * 16 // 15 + 1
"""Bytes of three files, each with its digest, and of the part that is made free."""


def test_the_files_that_were_written_first_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_BYTES", THREE)
    cache = ModuleCache(folder)
    keys = [cache_key(bytes([number])) for number in range(5)]
    for age, key in enumerate(keys):
        cache.store(key, b"native code")
        os.utime(folder / key.hex(), (age, age))
    cache.store(keys[0], b"native code")
    assert [cache.load(key) is not None for key in keys] == [True, False, False, True, True]


def test_a_file_that_is_in_use_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_BYTES", THREE)
    cache = ModuleCache(folder)
    keys = [cache_key(bytes([number])) for number in range(4)]
    for age, key in enumerate(keys[:3]):
        cache.store(key, b"native code")
        os.utime(folder / key.hex(), (age, age))
    assert ModuleCache(folder).load(keys[0]) == b"native code"
    cache.store(keys[3], b"native code")
    assert [cache.load(key) is not None for key in keys] == [True, False, True, True]


@pytest.mark.slow
def test_cache_folder_is_not_listed_for_each_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing the folder took 0.1 s with 8,000 files, longer than compiling a region of EVM code."""
    monkeypatch.setattr(cache_module, "MAX_BYTES", 100 * THREE)
    cache, looks, iterdir = ModuleCache(folder), [0], Path.iterdir

    def counted(path: Path) -> Iterator[Path]:
        looks[0] += 1
        return iter([*iterdir(path)])

    monkeypatch.setattr(Path, "iterdir", counted)
    for number in range(1_000):
        cache.store(cache_key(number.to_bytes(2, "big")), b"native code")
        if number == 99:
            assert looks[0] <= 7
    assert looks[0] < 60
    assert sum(path.stat().st_size for path in folder.glob("?" * 64)) <= 100 * THREE


def test_files_that_another_process_drops_meanwhile_do_no_harm(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache_module, "MAX_BYTES", THREE)
    cache = ModuleCache(folder)
    keys = [cache_key(bytes([number])) for number in range(4)]
    for key in keys[:3]:
        cache.store(key, b"native code")
    (folder / keys[0].hex()).unlink()
    (folder / keys[0].hex()).symlink_to(folder / "nothing")  # listed, and not there
    cache.store(keys[3], b"native code")
    assert cache.load(keys[3]) == b"native code"
    assert caplog.text == ""


def test_the_folder_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_CACHE_DIR", "off")
    assert default_folder() is None
    monkeypatch.setenv("FVM_CACHE_DIR", "/some/where")
    assert default_folder() == Path("/some/where")
    monkeypatch.delenv("FVM_CACHE_DIR")
    assert default_folder() is not None


# --- the modules above it -------------------------------------------------------------------------------------


class Watched(GuestModules):
    """Counts how often a module is really compiled."""

    compiled = 0

    def _make(self, *arguments: Any) -> object:  # type: ignore[override]  # takes any arguments
        self.compiled += 1
        return super()._make(*arguments)


def test_a_module_is_compiled_once(folder: Path) -> None:
    first, second = (Watched(guest_engine(), ModuleCache(folder)) for _ in range(2))
    for modules in (first, first, second):
        assert modules.load(CODE, MODULE, "v4").facts.has_entry
    assert (first.compiled, second.compiled) == (1, 0)


def test_a_damaged_artifact_is_compiled_again(folder: Path) -> None:
    Watched(guest_engine(), ModuleCache(folder)).compile(CODE, MODULE)
    (artifact,) = (path for path in folder.iterdir() if path.name != "secret")
    data = bytearray(artifact.read_bytes())
    data[-1] ^= 0xFF
    artifact.write_bytes(bytes(data))
    again = Watched(guest_engine(), ModuleCache(folder))
    again.compile(CODE, MODULE)
    assert again.compiled == 1


@pytest.mark.parametrize("length", [0, 9, 10, 11, 100])
def test_an_artifact_that_wasmtime_cannot_load_is_compiled_again(folder: Path, length: int) -> None:
    cache = ModuleCache(folder)
    Watched(guest_engine(), cache).compile(CODE, MODULE)
    (artifact,) = (path for path in folder.iterdir() if path.name != "secret")
    key = bytes.fromhex(artifact.name)
    payload = cache.load(key)
    assert payload is not None
    cache.store(key, payload[:length])  # its digest is right: it was written so, by a wasmtime built otherwise
    again = Watched(guest_engine(), ModuleCache(folder))
    assert again.load(CODE, MODULE, "v4").facts.has_entry
    assert again.compiled == 1
    assert ModuleCache(folder).load(key) == payload


def only_artifact(folder: Path) -> Path:
    (artifact,) = (path for path in folder.iterdir() if path.name != "secret")
    return artifact


@pytest.mark.parametrize("part", [0, 1, 31, 32, 33, 42, 0.5, -1])
def test_a_truncated_artifact_is_compiled_again_and_replaced(folder: Path, part: float) -> None:
    Watched(guest_engine(), ModuleCache(folder)).compile(CODE, MODULE)
    artifact = only_artifact(folder)
    whole = artifact.read_bytes()
    artifact.write_bytes(whole[: int(part * len(whole)) if 0 < part < 1 else int(part)])
    again, afterwards = (Watched(guest_engine(), ModuleCache(folder)) for _ in range(2))
    assert again.load(CODE, MODULE, "v4").facts.has_entry
    afterwards.compile(CODE, MODULE)
    assert (again.compiled, afterwards.compiled) == (1, 0)


def test_planted_artifact_is_recompiled(folder: Path, tmp_path: Path) -> None:
    # another actor's native code, with a digest that another folder's secret made
    other = guest("unreachable")
    Watched(guest_engine(), ModuleCache(tmp_path / "foreign")).compile(CODE, other)
    Watched(guest_engine(), ModuleCache(folder)).compile(CODE, MODULE)
    only_artifact(folder).write_bytes(only_artifact(tmp_path / "foreign").read_bytes())
    again = Watched(guest_engine(), ModuleCache(folder))
    again.compile(CODE, MODULE)
    assert again.compiled == 1


def test_cache_key_covers_all_dependencies_of_compiled_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {Watched(guest_engine(), ModuleCache(folder))._key(CODE)}
    for target, name, value in (
        (encode, "REVISION", encode.REVISION + 1),
        (modules_module, "WASMTIME_VERSION", "50.0.2"),
        (modules_module, "cpu_features", lambda: b"another processor"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            keys.add(Watched(guest_engine(), ModuleCache(folder))._key(CODE))
    keys.add(Watched(own_engine(), ModuleCache(folder))._key(CODE))
    keys.add(Watched(guest_engine(), ModuleCache(folder))._key(cid_of(b"other", RAW)))
    assert len(keys) == 6


def test_a_stale_artifact_is_compiled_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Watched(guest_engine(), ModuleCache(folder)).compile(CODE, MODULE)
    monkeypatch.setattr(encode, "REVISION", encode.REVISION + 1)
    again = Watched(guest_engine(), ModuleCache(folder))
    again.compile(CODE, MODULE)
    assert again.compiled == 1


# --- several modules -------------------------------------------------------------------------------------------


MANY = {cid_of(module, RAW): module for module in (guest(f"(i32.const {number})") for number in range(7))}


def test_concurrent_requests_compile_each_module_once(folder: Path) -> None:
    modules, again = (Watched(guest_engine(), ModuleCache(folder)) for _ in range(2))
    threads = [threading.Thread(target=modules.compile_all, args=(MANY,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again.compile_all(MANY)
    assert (modules.compiled, again.compiled) == (len(MANY), 0)


def test_module_cache_keeps_most_recently_used_modules() -> None:
    size = len(next(iter(MANY.values())))
    modules = Watched(guest_engine(), ModuleCache(None), cache_bytes=3 * size)
    first, *others = MANY
    for code in others[:3]:
        modules.load(first, MANY[first], "v4")
        modules.load(code, MANY[code], "v4")
        assert modules.find(first, "v4") is not None
    assert modules.compiled == 4
    assert [code for code in MANY if modules.find(code, "v4") is not None] == [first, *others[1:3]]
    assert modules.load(others[0], MANY[others[0]], "v4").facts.has_entry
    assert modules.compiled == 5
    assert not modules._locks


@pytest.mark.slow
def test_a_module_that_runs_outlives_its_place_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # The address manager calls the init actor, which calls a constructor: each takes the only place from its caller.
    monkeypatch.setattr(modules_module, "BoundedCache", lambda _room, name: BoundedCache(1, name))
    monkeypatch.setattr(runtime_module, "_modules", runtime_module._modules.__wrapped__)  # not those that are loaded
    with Network() as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        counter.send("increment")
        assert counter.call("number") == 1


def test_machines_of_one_process_load_a_module_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hypervisor.open() as machine:
        first = install_and_call(machine, MODULE)
    monkeypatch.setattr(GuestModules, "_from_disk", lambda *_: pytest.fail("it is loaded"))
    with Hypervisor.open() as machine:
        assert install_and_call(machine, MODULE).receipt == first.receipt


def test_machines_with_different_modules_per_cid_run_their_own() -> None:
    ends = []
    for module in (MODULE, guest("unreachable")):
        with Hypervisor.open() as machine:
            machine.store.put(CODE, module)  # a store of tests: nobody has checked it
            machine.state_tree.set_actor(ActorID(1000), ActorState(CODE))
            ends.append(call(machine, Address.id(1000)).exit_code)
    assert ends == [0, 4]


def test_bad_module_among_several_is_reported(folder: Path) -> None:
    modules = Watched(guest_engine(), ModuleCache(folder))
    with pytest.raises(InvalidModule, match="not a WASM module"):
        modules.compile_all({**MANY, cid_of(b"bad", RAW): b"bad"})
    modules.compile_all({})


@pytest.mark.oracle
def test_machine_prepares_bundle_and_installed_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_CACHE_DIR", str(tmp_path / "modules"))
    with Hypervisor.open() as machine:
        machine.install(MODULE)
        machine.prepare()
        native = {code for code in machine.manifest.codes if machine.registry.names().get(code, "wasm") == "wasm"}
    assert len(list((tmp_path / "modules").iterdir())) == len(native | {CODE}) + 1  # the folder's secret


def test_an_actor_runs_from_the_disk_as_it_ran_before(machine: Hypervisor) -> None:
    first = install_and_call(machine, MODULE)
    with Hypervisor.open() as other:
        assert install_and_call(other, MODULE).receipt == first.receipt


@pytest.mark.oracle
def test_module_cache_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_CACHE_DIR", str(tmp_path / "modules"))
    with Hypervisor.open(options={"module_cache": "off"}) as machine:
        assert install_and_call(machine, MODULE).exit_code == 0
    assert not (tmp_path / "modules").exists()
