"""The fast engine with damaged artifacts, modules and instances, and in many threads."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from struct import Struct

import pytest

from bridge.ethereum.addresses import masked_id, to_filecoin
from bridge.ethereum.block import EthereumBlock
from hypervisor.context import MachineContext
from hypervisor.errors import Fatal, RuntimeUnavailable
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import INIT_ACTOR, ActorID, TokenAmount
from runtimes.evm.engine import Host
from runtimes.evm.ethereum.accounts import Accounts
from runtimes.evm.fast.instance import _POSITION, MAX_REUSED_MEMORY, FastInstance
from runtimes.evm.fast.pool import TIERED, Pool, guest_module, pool
from runtimes.wasmtime.cache import ModuleCache, load_or_compile
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine, own_engine
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain, open_machine

TINY = bytes.fromhex("0061736d01000000")
"""An empty module, which compiles immediately."""


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Record the compiled modules."""
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
    monkeypatch.setattr("runtimes.evm.fast.pool.default_folder", lambda: tmp_path / "modules")
    guest_module.cache_clear()
    guest_module()
    (file,) = (path for path in (tmp_path / "modules").iterdir() if path.name != "secret")
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    file.write_bytes(damaged)
    guest_module.cache_clear()
    fresh = Pool(TIERED)
    monkeypatch.setattr("runtimes.evm.fast.engine.pool", lambda _: fresh)
    assert len(compilations) == 2
    for rules in ("filecoin", "ethereum"):
        with open_under(rules) as machine:
            chain = Chain(machine)
            assert int.from_bytes(chain.call(chain.deploy(assemble("6 7 MUL 0 MSTORE 32 0 RETURN"))), "big") == 42
    assert fresh._instances
    guest_module.cache_clear()


def test_missing_module_makes_engine_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("runtimes.evm.fast.pool.ARTIFACT", tmp_path / "evm.wasm")
    guest_module.cache_clear()
    with pytest.raises(RuntimeUnavailable, match=r"the EVM engine 'fast' cannot be loaded: .*evm.wasm"):
        guest_module()


def trap(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """Make the guest trap at a host call from this position."""
    result, tell = FastInstance.execute_host_call, FastInstance.supply

    def fail(instance: FastInstance, *host: Host) -> bool | None:
        if instance._mail[_POSITION] == place:
            raise ValueError("a defect")
        return tell(instance, *host) if host else result(instance)

    monkeypatch.setattr(FastInstance, "execute_host_call", fail)
    monkeypatch.setattr(FastInstance, "supply", fail)


def bad_answer(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """Make Python fail at a host call from this position."""
    put, put_all = FastInstance.put, FastInstance.put_all

    def fail(instance: FastInstance, value: int, number: int = 0) -> None:
        check(instance)
        put(instance, value, number)

    def fail_all(instance: FastInstance, form: Struct, *values: object) -> None:
        check(instance)
        put_all(instance, form, *values)

    def check(instance: FastInstance) -> None:
        if instance._mail[_POSITION] == place:
            raise OverflowError("a defect")

    monkeypatch.setattr(FastInstance, "put", fail)
    monkeypatch.setattr(FastInstance, "put_all", fail_all)


DEEP = "7 5 SSTORE 2 6 TSTORE 3 0 0 LOG1 0 0 0 0 1 0x{0} GAS CALL 0 SSTORE"
"""Code that writes, and calls a contract with value, which writes and then fails."""
FAILING = "9 5 SSTORE 77 BALANCE"
"""Code whose last instruction, at 7, makes a host call."""


def open_under(rules: str) -> Hypervisor:
    """Return a machine under these rules, with a block that has gas for any message."""
    block = EthereumBlock("Cancun", gas_limit=1 << 40) if rules == "ethereum" else None
    context = MachineContext(base_fee=TokenAmount(0), block=block)
    return open_machine(evm="fast", rules=rules, context=context)


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
@pytest.mark.parametrize("fails", [trap, bad_answer])
@pytest.mark.parametrize("left", [False, True], ids=["", "a tree below a frame"])
def test_engine_defect_names_the_frame_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, rules: str, fails: Callable[[pytest.MonkeyPatch, int], None], left: bool
) -> None:
    with open_under(rules) as machine:
        chain = Chain(machine)
        inner = chain.deploy(assemble(FAILING))
        looks = f"0x{masked_id(INIT_ACTOR).hex()} BALANCE POP " if left else ""
        contract = chain.deploy(assemble(looks + DEEP.format(inner.hex())), value=5)
        states = [chain.state(address) for address in (contract, inner)]
        balances = [chain.balance(to_filecoin(address)) for address in (contract, inner)]
        with monkeypatch.context() as defect:
            fails(defect, 7)
            with pytest.raises(Fatal, match=rf"the EVM engine failed in a frame of 0x{inner.hex()} at 7: "):
                chain.invoke(contract)
        assert [chain.state(address) for address in (contract, inner)] == states
        assert [chain.balance(to_filecoin(address)) for address in (contract, inner)] == balances
        chain.nonce -= rules == "ethereum"  # the network's machine takes the message's price, Ethereum has no message
        assert chain.invoke(contract).exit_code == 0
        assert chain.balance(to_filecoin(inner)) == 1
        assert not any(instance.broken for instance in pool(TIERED)._instances)


def test_engine_write_back_defect_reverts_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_under("ethereum") as machine:
        chain = Chain(machine)
        contract = chain.deploy(assemble("7 5 SSTORE 3 0 0 LOG1 1 6 SSTORE"))
        machine.flush()
        before, store = machine.root, Accounts.store_all

        def fail(accounts: Accounts, actor: ActorID, words: Iterable[tuple[bytes, int]]) -> None:
            store(accounts, actor, words)
            raise KeyError("a defect")

        with monkeypatch.context() as defect:
            defect.setattr(Accounts, "store_all", fail)
            with pytest.raises(
                Fatal, match=rf"the EVM engine failed in a frame of 0x{contract.hex()} at \d+: KeyError"
            ):
                chain.invoke(contract)
        assert machine.flush() == before


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
