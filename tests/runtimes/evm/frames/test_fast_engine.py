"""The fast engine: damaged artifacts, defects, threads, and messages that share its instances.

While a frame of the first message waits for its callee, a frame of the second starts. Expected: the plain engine's
results.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from bridge.ethereum.addresses import to_filecoin
from hypervisor.context import MachineContext
from hypervisor.errors import Fatal, RuntimeUnavailable
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import TokenAmount
from runtimes.evm.contracts.engine import Frame, Host, Step
from runtimes.evm.frames.fast_engine import FastEngine
from runtimes.evm.frames.instance import _POSITION, MAX_REUSED_MEMORY, FastInstance
from runtimes.evm.frames.pool import TIERED, Pool, guest_module, pool
from runtimes.wasmtime.cache import ModuleCache, load_or_compile
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine, own_engine
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain, open_machine

TINY = bytes.fromhex("0061736d01000000")
"""An empty module, which compiles immediately."""


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    compiled: list[bytes] = []
    compile_ = WasmtimeEngine.compile

    def watched(engine: WasmtimeEngine, wasm: bytes) -> CompiledModule:
        compiled.append(wasm)
        return compile_(engine, wasm)

    monkeypatch.setattr(WasmtimeEngine, "compile", watched)
    return compiled


def test_the_module_is_compiled_once_for_all_processes(tmp_path: Path, compilations: list[bytes]) -> None:
    for _ in range(3):
        load_or_compile(own_engine(), TINY, ModuleCache(tmp_path / "modules"), "module")
    assert compilations == [TINY]


@pytest.mark.parametrize("place", [0, 31, 32, 4000, -1])
def test_a_damaged_artifact_is_compiled_again(tmp_path: Path, compilations: list[bytes], place: int) -> None:
    folder = tmp_path / "modules"
    load_or_compile(own_engine(), TINY, ModuleCache(folder), "module")
    (file,) = (path for path in folder.iterdir() if path.name != "secret")
    damaged = bytearray(file.read_bytes())
    damaged[place] ^= 1
    file.write_bytes(damaged)
    for _ in range(2):
        load_or_compile(own_engine(), TINY, ModuleCache(folder), "module")
    assert compilations == [TINY] * 2  # and what was compiled the second time was kept


@pytest.mark.parametrize("content", [b"", b"no module", TINY, bytes(4096)])
def test_bytes_that_are_no_compiled_module_are_not_run(
    tmp_path: Path, compilations: list[bytes], monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    cache = ModuleCache(tmp_path / "modules")
    monkeypatch.setattr(cache, "load", lambda _: content)
    load_or_compile(own_engine(), TINY, cache, "module")
    assert compilations == [TINY]


@pytest.mark.slow
def test_contracts_run_on_recompiled_engine_module(
    tmp_path: Path, compilations: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cached compiled form of the engine's module on disk is corrupt."""
    monkeypatch.setattr("runtimes.evm.frames.pool.default_folder", lambda: tmp_path / "modules")
    guest_module.cache_clear()
    guest_module()
    (file,) = (path for path in (tmp_path / "modules").iterdir() if path.name != "secret")
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    file.write_bytes(damaged)
    guest_module.cache_clear()
    fresh = Pool(TIERED)
    monkeypatch.setattr("runtimes.evm.frames.fast_engine.pool", lambda _: fresh)
    assert len(compilations) == 2
    with free_machine() as machine:
        chain = Chain(machine)
        assert int.from_bytes(chain.call(chain.deploy(assemble("6 7 MUL 0 MSTORE 32 0 RETURN"))), "big") == 42
    assert fresh._instances
    guest_module.cache_clear()


def test_missing_module_makes_engine_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("runtimes.evm.frames.pool.ARTIFACT", tmp_path / "frames.wasm")
    guest_module.cache_clear()
    with pytest.raises(RuntimeUnavailable, match=r"the EVM engine 'fast' cannot be loaded: .*frames.wasm"):
        guest_module()


def trap(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """Make the guest trap at a host call from this position."""
    result = FastInstance.execute_host_call

    def fail(instance: FastInstance) -> None:
        if instance._mail[_POSITION] == place:
            raise ValueError("a defect")
        result(instance)

    monkeypatch.setattr(FastInstance, "execute_host_call", fail)


def bad_answer(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """Make Python fail at a host call from this position."""
    put = FastInstance.put

    def fail(instance: FastInstance, value: int, number: int = 0) -> None:
        if instance._mail[_POSITION] == place:
            raise OverflowError("a defect")
        put(instance, value, number)

    monkeypatch.setattr(FastInstance, "put", fail)


DEEP = "7 5 SSTORE 2 6 TSTORE 3 0 0 LOG1 0 0 0 0 1 0x{0} GAS CALL 0 SSTORE"
"""Code that writes, and calls a contract with value, which writes and then fails."""
FAILING = "9 5 SSTORE 77 BALANCE"
"""Code whose last instruction, at 7, makes a host call."""


def free_machine() -> Hypervisor:
    """Return a machine whose base fee is zero."""
    return open_machine(evm="fast", context=MachineContext(base_fee=TokenAmount(0)))


@pytest.mark.parametrize("fails", [trap, bad_answer])
def test_engine_defect_names_the_frame_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[pytest.MonkeyPatch, int], None]
) -> None:
    with free_machine() as machine:
        chain = Chain(machine)
        inner = chain.deploy(assemble(FAILING))
        contract = chain.deploy(assemble(DEEP.format(inner.hex())), value=5)
        states = [chain.state(address) for address in (contract, inner)]
        balances = [chain.balance(to_filecoin(address)) for address in (contract, inner)]
        with monkeypatch.context() as defect:
            fails(defect, 7)
            with pytest.raises(Fatal, match=rf"the EVM engine failed in a frame of 0x{inner.hex()} at 7: "):
                chain.invoke(contract)
        assert [chain.state(address) for address in (contract, inner)] == states
        assert [chain.balance(to_filecoin(address)) for address in (contract, inner)] == balances
        assert chain.invoke(contract).exit_code == 0
        assert chain.balance(to_filecoin(inner)) == 1
        assert not any(instance.broken for instance in pool(TIERED)._instances)


@pytest.mark.slow
def test_an_instance_that_grew_large_is_given_up() -> None:
    with open_machine(evm="fast") as machine:
        chain = Chain(machine)
        contract = chain.deploy(assemble("1 0x3000000 MSTORE"))
        for _ in range(3):
            assert chain.invoke(contract).exit_code == 0
        assert all(instance._instance.memory()[1] <= MAX_REUSED_MEMORY for instance in pool(TIERED)._instances)


def test_networks_in_threads_share_no_state() -> None:
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


_SOON = 10.0
_CALLS = "0 0 0 0 0 0x{0} GAS CALL 0 MSTORE 32 0 RETURN"
"""A contract that returns whether its call succeeded."""
_INNER, _BESIDE = assemble("1 5 SSTORE"), assemble("1 6 SSTORE")

Meanwhile = Callable[[FastInstance, threading.Event], None]
"""An action at the start of the second message's frame; the event is set when the first message has ended."""


def both(monkeypatch: pytest.MonkeyPatch, meanwhile: Meanwhile) -> tuple[int, Callable[[], bytes]]:
    """Return the first message's result, and a function that returns the second's."""
    start, run = FastEngine._start, FastInstance.run
    begun, ended, second_thread, asked = threading.Event(), threading.Event(), set[int](), list[Future[bytes]]()
    with free_machine() as machine, free_machine() as other, ThreadPoolExecutor(1) as threads:
        chain, beside = Chain(machine), Chain(other)
        contract, second = chain.deploy(assemble(_CALLS.format(chain.deploy(_INNER).hex()))), beside.deploy(_BESIDE)

        def watched(engine: FastEngine, frame: Frame, host: Host) -> Step:
            if frame.code.data == _INNER and not asked:
                asked.append(threads.submit(beside.call, second))
                assert begun.wait(_SOON)
            elif frame.code.data == _BESIDE:
                second_thread.add(threading.get_ident())
            return start(engine, frame, host)

        def run_with_it(instance: FastInstance, command: int, host: Host) -> int:
            if threading.get_ident() in second_thread and not begun.is_set():
                begun.set()
                meanwhile(instance, ended)
            return run(instance, command, host)

        with monkeypatch.context() as patched:
            patched.setattr(FastEngine, "_start", watched)
            patched.setattr(FastInstance, "run", run_with_it)
            try:
                result = chain.call(contract)
            finally:
                ended.set()
            (results,) = asked
            results.exception(_SOON)
        return int.from_bytes(result, "big"), results.result


def test_waiting_frame_resumes_beside_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    in_time: list[bool] = []
    result, other = both(monkeypatch, lambda _, ended: in_time.append(ended.wait(_SOON)))
    assert (result, other(), in_time) == (1, b"", [True])


def test_engine_failure_does_not_break_concurrent_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(instance: FastInstance, _: threading.Event) -> None:
        raise instance.failed(ValueError("a defect"))

    result, other = both(monkeypatch, fail)
    assert result == 1
    with pytest.raises(Fatal, match="a defect"):
        other()
    assert not any(instance.broken for instance in pool(TIERED)._instances)


def test_a_message_has_one_instance_however_many_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the space for its frames would depend on concurrent messages."""
    taken: list[FastInstance] = []
    acquire = Pool.acquire

    def noted(self: Pool, message: object) -> FastInstance:
        taken.append(acquire(self, message))
        return taken[-1]

    with free_machine() as machine:
        chain = Chain(machine)
        contract = chain.deploy(assemble(_CALLS.format(chain.deploy(_INNER).hex())))
        first = pool(TIERED).acquire(chain)  # held while the message prefix, and free when its callee does
        monkeypatch.setattr(Pool, "acquire", noted)
        start = FastEngine._start

        def watched(engine: FastEngine, frame: Frame, host: Host) -> Step:
            if frame.code.data == _INNER:
                pool(TIERED).release(first)
            return start(engine, frame, host)

        monkeypatch.setattr(FastEngine, "_start", watched)
        chain.call(contract)
    assert len(taken) == 2
    assert taken[0] is taken[1] is not first
    assert all(instance.owner is None for instance in taken)
