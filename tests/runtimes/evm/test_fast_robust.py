"""The fast engine when its artifact, its module or an instance is not as it should be, and in many threads at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hypervisor.errors import Fatal, RuntimeUnavailable
from runtimes.evm.fast import loader
from runtimes.evm.fast.instance import KEPT_MEMORY, FastInstance, pool
from runtimes.wasmtime.cache import ModuleCache
from runtimes.wasmtime.engine import CompiledModule, Engine, own_engine
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain, open_machine

TINY = bytes.fromhex("0061736d01000000")
"""A module with nothing in it, which compiles at once."""


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is compiled."""
    compiled: list[bytes] = []
    compile_ = Engine.compile

    def watched(engine: Engine, wasm: bytes) -> CompiledModule:
        compiled.append(wasm)
        return compile_(engine, wasm)

    monkeypatch.setattr(Engine, "compile", watched)
    return compiled


def test_the_module_is_compiled_once_for_all_processes(tmp_path: Path, compilations: list[bytes]) -> None:
    for _ in range(3):
        loader._from_disk_or_made(own_engine(), TINY, ModuleCache(tmp_path / "modules"))
    assert compilations == [TINY]


@pytest.mark.parametrize("place", [0, 31, 32, 4000, -1])
def test_a_damaged_artifact_is_compiled_again(tmp_path: Path, compilations: list[bytes], place: int) -> None:
    folder = tmp_path / "modules"
    loader._from_disk_or_made(own_engine(), TINY, ModuleCache(folder))
    (file,) = (path for path in folder.iterdir() if path.name != "secret")
    damaged = bytearray(file.read_bytes())
    damaged[place] ^= 1
    file.write_bytes(damaged)
    for _ in range(2):
        loader._from_disk_or_made(own_engine(), TINY, ModuleCache(folder))
    assert compilations == [TINY] * 2  # and what was compiled the second time was kept


@pytest.mark.parametrize("content", [b"", b"no module", TINY, bytes(4096)])
def test_bytes_that_are_no_compiled_module_are_not_run(
    tmp_path: Path, compilations: list[bytes], monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    cache = ModuleCache(tmp_path / "modules")
    monkeypatch.setattr(cache, "load", lambda _: content)
    loader._from_disk_or_made(own_engine(), TINY, cache)
    assert compilations == [TINY]


def test_without_its_module_the_engine_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loader, "ARTIFACT", tmp_path / "evm.wasm")
    loader.guest_module.cache_clear()
    with pytest.raises(RuntimeUnavailable, match=r"the EVM engine 'fast' cannot be loaded: .*evm.wasm"):
        loader.guest_module()


def test_a_defect_of_the_engine_names_the_frame_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_machine(evm="fast") as machine:
        chain = Chain(machine)
        contract = chain.deploy(assemble("7 5 SSTORE 0 SLOAD 1 ADD 0 SSTORE"))
        before, broken = chain.state(contract), pool()._instances[0]

        def fail(_: FastInstance) -> None:
            raise ValueError("a defect")

        with monkeypatch.context() as defect:
            defect.setattr(FastInstance, "answer", fail)
            with pytest.raises(Fatal, match=rf"the EVM engine failed in a frame of 0x{contract.hex()} at \d+"):
                chain.invoke(contract)
        assert chain.state(contract) == before
        assert chain.invoke(contract).exit_code == 0
        assert broken not in pool()._instances


def test_an_instance_that_grew_large_is_given_up() -> None:
    with open_machine(evm="fast") as machine:
        chain = Chain(machine)
        contract = chain.deploy(assemble("1 0x3000000 MSTORE"))
        for _ in range(3):
            assert chain.invoke(contract).exit_code == 0
        assert all(instance._instance.memory()[1] <= KEPT_MEMORY for instance in pool()._instances)


def test_networks_in_threads_share_the_process_and_nothing_else() -> None:
    counts: dict[int, int] = {}

    def work(which: int) -> None:
        with open_machine(evm="fast") as machine:
            chain = Chain(machine)
            contract = chain.deploy(assemble(f"0 SLOAD {which} ADD DUP1 0 SSTORE 0 MSTORE 32 0 RETURN"))
            for _ in range(10):
                counts[which] = int.from_bytes(chain.call(contract), "big")

    threads = [threading.Thread(target=work, args=(which,)) for which in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {which: 10 * which for which in range(1, 5)}
