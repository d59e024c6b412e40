"""`hypervisor gas grow`: storage that is written at once equals storage that transactions have filled."""

import json
import re
from functools import partial
from pathlib import Path

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor_tools.laboratory.compare.growth import MAPPING, GrowthPoint, growth_svg, measure_growth
from localnet import Network
from localnet.ledger.records import TransactionReceipt
from localnet.state.controls import state_with_storage
from store.cid import Cid
from tests.command import run
from tests.conftest import data_file, fvm_data
from tests.localnet.conftest import ARTIFACTS, Clock
from tests.runtimes.evm.assembler import assemble

ADD = assemble(f"""
    {MAPPING} 0x20 MSTORE
    0 CALLDATALOAD 0 MSTORE
next:
    0x20 CALLDATALOAD 0 MLOAD LT ISZERO @end JUMPI
    0x40 0 KECCAK256 DUP1 DUP1 SLOAD ADD DUP2 SSTORE POP
    0 MLOAD 1 ADD 0 MSTORE
    @next JUMP
end:
""")
"""A contract that adds their slots to entries of the mapping: for keys from one word of its calldata to another."""
ADDRESS = EthAddress(b"\xc1" * 20)
BATCH = 200
"""Number of slots that a transaction fills."""


def keys(first: int, end: int) -> bytes:
    return first.to_bytes(32, "big") + end.to_bytes(32, "big")


def storage_root(network: Network) -> Cid | None:
    actor = network.machine.actor(to_filecoin(ADDRESS))
    assert actor is not None
    state = state_with_storage(network.machine, actor)
    assert state is not None
    return state.storage


@pytest.mark.slow
def test_storage_written_at_once_has_root_and_gas_of_storage_filled_by_transactions() -> None:
    bundle = None if fvm_data() is None else data_file("bundles/v18-devnet.car")
    sizes = (0, 10, 1_000)
    roots: list[Cid | None] = []
    with Network(bundle=bundle, clock=Clock()) as network:
        network.set_code(ADDRESS, ADD)
        call = partial(network.send, ADDRESS, data=keys(2_000, 2_003))

        def observed() -> TransactionReceipt:
            roots.append(storage_root(network))
            return call()

        points = list(measure_growth(network, ADDRESS, sizes, observed))
        filled, base_fee = 0, network.base_fee
        for point, root in zip(points, roots, strict=True):
            while filled < point.slots:
                end = min(point.slots, filled + BATCH)
                network.send(ADDRESS, data=keys(filled, end), sender=network.accounts[1])
                filled = end
            network.set_next_base_fee(base_fee)
            assert storage_root(network) == root
            before = network.snapshot()
            assert call().gas_used == point.gas
            network.revert(before)


@pytest.mark.slow
def test_command_measures_transaction_at_each_size(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", clock=Clock()) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        address = f"0x{counter.address.hex()}"
        before = network.snapshot()
        gas = counter.send("increment").gas_used
        network.revert(before)
    arguments = ("gas", "grow", address, "increment()", "--state", tmp_path / "chain", "--slots", "1000,0")
    chart = tmp_path / "growth.svg"
    found = run(*arguments, "--json", "--svg", chart)
    assert found.exit_code == 0, found.stderr
    first, last = json.loads(found.stdout)["points"]
    assert (first["slots"], first["gas"], last["slots"]) == (0, gas, 1_000)
    read = [point["charges"]["OnBlockOpenBase"][0] for point in (first, last)]
    assert read[1] - read[0] in (1, 2)  # levels of a tree of 1,000 random keys, 32 a node, below its root
    assert [len(re.findall(f">{number:,}<", chart.read_text())) for number in (gas, 1_000)] == [1, 1]
    lines = run(*arguments).stdout
    assert f"\n{1_000:>12,} {last['gas']:>16,} {last['gas'] - gas:>+16,}" in lines
    assert "\nA: 0 more slots, B: 1,000\n" in lines
    assert "\n  OnBlockOpenBase  " in lines


@pytest.mark.slow
def test_failing_transaction_is_reported(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", clock=Clock()) as network:
        address = f"0x{network.deploy(ARTIFACTS / 'Counter.json').address.hex()}"
    found = run("gas", "grow", address, "missing()", "--state", tmp_path / "chain", "--slots", "0")
    assert (found.exit_code, "fails: " in found.stdout) == (1, True)


def test_chart_has_no_untrusted_markup() -> None:
    chart = growth_svg("<script>", [GrowthPoint(1, 5), GrowthPoint(2, failure="out of gas")])
    assert ("<script" in chart, chart.count("<svg")) == (False, 1)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ((), "missing option --state"),
        (("--state", "absent"), "there is no folder absent"),
        (("--state", "absent", "--slots", "1e6"), "--slots '1e6' is not a list of numbers from 0 to 10,000,000"),
    ],
)
def test_invalid_options_are_refused(options: tuple[str, ...], error: str) -> None:
    found = run("gas", "grow", "0x" + "c1" * 20, "add()", *options)
    assert (found.exit_code, error in " ".join(found.stderr.split())) == (2, True), found.stderr
