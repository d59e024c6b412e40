"""A network under an overlay: gas, folder, upgrades; caches do not mix two price lists."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.bindings import datacap
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor import Genesis, Hypervisor, Message
from hypervisor.errors import InvalidInput
from hypervisor.gas import price_values
from hypervisor.versions.network_versions import NV29, network_version
from hypervisor.versions.overlay import Overlay
from localnet import Network
from localnet.errors import TransactionFailed
from localnet.replay.past_replay import close_sources, heights_of_folder, replay_in_folder
from localnet.replay.replay import heights, replay
from runtimes.wasm.module.opcodes import NETWORK_PRICES, WasmPrices
from runtimes.wasm.modules import GuestModules
from runtimes.wasmtime.cache import ModuleCache
from runtimes.wasmtime.engine import guest_engine
from tests.localnet.conftest import ARTIFACTS, Clock

CLZ = bytes.fromhex("60011e5f5260205ff3")
"""Code that counts the leading zeros of 1 and returns their number."""
DEARER = Overlay("dearer", 28, None, (("syscall", 3 * NV29.prices.syscall), ("transfer", NV29.prices.transfer + 7_000)))
WITHOUT_CLZ = Overlay("without CLZ", 28, None, removed=("CLZ",))


def opened(path: str | Path = ":memory:", **options: Any) -> Network:
    return Network(path, clock=Clock(), **options)


def sent(network: Network) -> int:
    """Return the gas of a plain send between existing accounts."""
    alice, bob = network.accounts[:2]
    return network.send_native(bob.native, value=1, sender=alice.native).gas_used


def test_send_gas_rises_by_overlay_price_difference() -> None:
    with opened() as plain, opened(overlay=DEARER) as other:
        assert sent(other) == sent(plain) + 7  # by hand: one transfer more dear by 7 gas, and no syscall


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["fast", "py-evm"])
def test_engines_do_not_mix_rules_of_two_overlays(engine: str) -> None:
    def answer(network: Network) -> tuple[bool, int]:
        counter = b"\x99" * 20
        network.set_code(counter, CLZ)
        try:
            receipt = network.send(counter, gas_limit=50_000_000)
        except TransactionFailed as failure:
            receipt = failure.receipt
        return receipt.succeeded, receipt.gas_used

    def life(overlay: Overlay | None) -> tuple[bool, int]:
        with opened(evm=engine, overlay=overlay) as network:
            return answer(network)

    plain = life(None)
    assert plain[0]
    assert [life(each) for each in (WITHOUT_CLZ, None)] == [(False, life(WITHOUT_CLZ)[1]), plain]
    dearer = life(DEARER)
    assert dearer[0]
    assert dearer[1] > plain[1] + 2 * 2 * 14_000  # a frame pays two syscalls of its own, and each costs twice more
    assert [life(each) for each in (None, DEARER, WITHOUT_CLZ, None)][::3] == [plain, plain]
    # Both at once, by turns, on one thread: the engine of one has been asked before the other runs.
    with opened(evm=engine) as one, opened(evm=engine, overlay=WITHOUT_CLZ) as two:
        assert [answer(one)[0], answer(two)[0], answer(one)[0], answer(two)[0]] == [True, False, True, False]


def test_one_registry_serves_two_overlays_of_one_version() -> None:
    """A machine's forks share its runtimes and their caches."""
    counter = b"\x99" * 20
    with opened() as network:
        network.set_code(counter, CLZ)
        there = network.machine
        other = there.fork(context=replace(there.context, network=network_version(29, WITHOUT_CLZ)))
        asked = Message(to_filecoin(EthAddress(counter)), network.accounts[0].native, method=INVOKE_EVM)
        assert [machine.call(asked).exit_code == 0 for machine in (there, other, there)] == [True, False, True]


def test_native_actors_pay_each_its_own_list_by_turns() -> None:
    def asked(network: Network) -> int:
        return network.send_native(
            "f07", datacap.name().method, sender=network.accounts[0].native, gas_limit=10**9
        ).gas_used

    with opened() as one, opened(overlay=DEARER) as two:
        first = asked(one), asked(two)
        assert first[1] > first[0]
        assert (asked(one), asked(two)) == first


CODE = Overlay("dearer code", 28, None, (("wasm_instruction", 5_000), ("wasm_memory_per_byte", 500)))


def charges(network: Network, method: int) -> dict[str, int]:
    """Return the charges of a message to f07 by name, in milligas."""
    receipt = network.send_native("f07", method, sender=network.accounts[0].native, gas_limit=10**9)
    (call,) = receipt.trace.as_json()["calls"]
    found: dict[str, int] = call["charges"]
    return found


@pytest.mark.slow
def test_custom_instruction_prices_build_separate_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each machine runs the module with its own prices, whichever was made first, from memory and from disk."""
    monkeypatch.setenv("FVM_CACHE_DIR", str(tmp_path / "modules"))
    method = datacap.name().method
    with opened() as plain, opened(overlay=CODE) as dearer:
        cheap, dear = charges(plain, method), charges(dearer, method)
        # By hand: 5 gas an instruction in place of 4, and half a gas a byte of memory in place of 0.4.
        assert dear["wasm_exec"] * 4 == cheap["wasm_exec"] * 5
        assert dear["wasm_memory_init"] * 4 == cheap["wasm_memory_init"] * 5
        assert {name: dear[name] for name in dear if "wasm" not in name} == {
            name: cheap[name] for name in cheap if "wasm" not in name
        }
        assert [charges(network, method) for network in (plain, dearer, plain)] == [cheap, dear, cheap]
        code = plain.machine.manifest.code("datacap")
        wasm = plain.machine.store.get(code)
    prices = WasmPrices(5_000, 500)
    folder = ModuleCache(tmp_path / "again")
    made = [GuestModules(guest_engine(), folder) for _ in range(4)]
    for modules, wanted in zip(made, (prices, NETWORK_PRICES, NETWORK_PRICES, prices), strict=True):
        assert modules.load(code, wasm, "v4", wanted).facts.has_entry
    kept = [path for path in (tmp_path / "again").iterdir() if path.name != "secret"]
    assert len(kept) == 2  # the same code with two prices, and each was found by the next that wanted it


@pytest.mark.slow
def test_contracts_pay_for_code_by_the_same_price() -> None:
    with opened() as plain, opened(overlay=CODE) as dearer:
        gas = []
        for network in (plain, dearer):
            counter = network.deploy(ARTIFACTS / "Counter.json")
            (call,) = counter.send("increment").trace.as_json()["calls"]
            gas.append(call["charges"]["OnEvmGas"])
    assert gas[1] * 4 == gas[0] * 5


@pytest.mark.slow
def test_folder_reopens_only_with_its_original_overlay(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    with opened(folder, overlay=DEARER) as network:
        gas = sent(network)
    with pytest.raises(InvalidInput, match=r"made with the overlay 'dearer' \(.*\), but none was given: pass the same"):
        opened(folder)
    with pytest.raises(InvalidInput, match=r"made with the overlay 'dearer' .*, not with 'without CLZ'"):
        opened(folder, overlay=WITHOUT_CLZ)
    with opened(folder, overlay=DEARER) as network:
        assert sent(network) == gas
        assert price_values(network.machine.context.network.prices)["transfer"] == NV29.prices.transfer + 7_000
    executed = heights(folder)
    assert executed
    assert not any(replay(folder, height).difference for height in executed)  # which finds the overlay in the folder
    plain = tmp_path / "plain"
    opened(plain).close()
    with pytest.raises(InvalidInput, match="made without an overlay, not with 'dearer'"):
        opened(plain, overlay=DEARER)


@pytest.mark.slow
def test_a_machines_folder_is_as_strict(tmp_path: Path) -> None:
    Hypervisor.open(tmp_path / "state", genesis=Genesis(), overlay=DEARER).close()
    with pytest.raises(InvalidInput, match="made with the overlay 'dearer'"):
        Hypervisor.open(tmp_path / "state")
    with Hypervisor.open(tmp_path / "state", overlay=DEARER) as machine:
        assert machine.context.network.prices.transfer == NV29.prices.transfer + 7_000


@pytest.mark.slow
def test_an_overlay_of_the_next_version_begins_with_the_upgrade() -> None:
    later = Overlay("later", 29, None, DEARER.prices)
    with opened(network=28, upgrades={8: 29}) as plain, opened(network=28, upgrades={8: 29}, overlay=later) as other:
        assert (plain.version, other.version) == (28, 28)
        assert sent(other) == sent(plain)
        for network in (plain, other):
            network.mine(10 - network.block_number)
        assert (plain.version, other.version) == (29, 29)
        assert sent(other) == sent(plain) + 7


def test_a_base_fee_rule_of_an_overlay_is_the_chains() -> None:
    fullness = Overlay("fullness", 28, None, rules=(("base_fee", "FULLNESS"),))
    with opened(overlay=fullness) as network:
        network.send_native(network.accounts[1].native, value=1, gas_limit=9_000_000_000)
        # By hand: nine tenths of a block are four fifths above a half, of an eighth of 100.
        assert network.base_fee == 110


def test_questions_and_traces_have_the_overlays_prices() -> None:
    with opened(overlay=DEARER) as network, opened() as plain:
        counters = [each.deploy(ARTIFACTS / "Counter.json") for each in (network, plain)]
        receipts = [counter.send("increment") for counter in counters]
        assert receipts[0].gas_used > receipts[1].gas_used
        assert receipts[0].trace.reproduced
        assert receipts[1].trace.reproduced


@pytest.mark.slow
def test_a_folder_with_an_overlay_is_executed_again_under_it(tmp_path: Path) -> None:
    with opened(tmp_path, overlay=DEARER) as network:
        network.send(network.accounts[1].address, 5)
    found = heights_of_folder(tmp_path)
    try:
        assert found
        assert [replay_in_folder(tmp_path, height).difference for height in found] == [""] * len(found)
    finally:
        close_sources()
