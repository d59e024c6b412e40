"""Gas computed by hand from the proposals' tables, and compared with py-evm."""

from collections.abc import Mapping
from typing import Any

import pytest
from eth.precompiles.bls12_381.constants import G1_MSM_DISCOUNTS, G2_MSM_DISCOUNTS
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.errors import OutOfGas
from hypervisor.gas import GasTracker
from runtimes.evm.ethereum import precompiles, prices
from runtimes.evm.ethereum.forks import CANCUN, OSAKA, PRAGUE
from runtimes.evm.gas_table import CANCUN_GAS

# (original, current, new) -> price and refund of a warm slot, the table of EIP-2200 under EIP-2929 and EIP-3529
SSTORE = [
    (0, 0, 0, 100, 0),
    (0, 0, 1, 20_000, 0),
    (0, 1, 0, 100, 19_900),
    (0, 1, 2, 100, 0),
    (0, 1, 1, 100, 0),
    (1, 0, 0, 100, 0),
    (1, 0, 1, 100, -4_800 + 2_800),
    (1, 0, 2, 100, -4_800),
    (1, 2, 0, 100, 4_800),
    (1, 2, 3, 100, 0),
    (1, 2, 1, 100, 2_800),
    (1, 1, 0, 2_900, 4_800),
    (1, 1, 2, 2_900, 0),
    (1, 1, 1, 100, 0),
]


@pytest.mark.parametrize(("original", "current", "new", "price", "refund"), SSTORE)
def test_writing_a_warm_slot(original: int, current: int, new: int, price: int, refund: int) -> None:
    assert CANCUN_GAS.sstore(original, current, new) == (price, refund)


@pytest.mark.parametrize(("count", "gas"), [(0, 0), (1, 3), (22, 66), (23, 70), (724, 3195), (32_768, 2_195_456)])
def test_memory_expansion_costs_match_yellow_paper(count: int, gas: int) -> None:
    assert CANCUN_GAS.memory(count) == gas


@given(st.integers(min_value=0, max_value=1 << 63))
def test_call_receives_all_but_one_64th_of_gas(gas: int) -> None:
    assert prices.all_but_one_64th(gas) == gas - gas // 64


@pytest.mark.parametrize(
    ("excess", "fraction", "fee"),
    [
        (0, 3_338_477, 1),
        (2_314_057, 3_338_477, 1),
        (2_314_058, 3_338_477, 2),
        (10 * 1024 * 1024, 3_338_477, 23),
        (148_099_578, 3_338_477, 18_446_739_238_971_471_609),
    ],
)
def test_blob_base_fee_matches_eip_4844_examples(excess: int, fraction: int, fee: int) -> None:
    assert prices.fake_exponential(1, excess, fraction) == fee


def test_static_gas_costs_match_py_evm() -> None:
    dynamic = {"SSTORE", "SLOAD", "EXTCODESIZE", "EXTCODEHASH", "EXTCODECOPY", "BALANCE"}
    dynamic |= {"CALL", "CALLCODE", "DELEGATECALL", "STATICCALL", "CREATE", "CREATE2", "SELFDESTRUCT"}
    dynamic |= {"LOG1", "LOG2", "LOG3", "LOG4"}  # py-evm's functions charge 375 per topic
    compared = 0
    theirs: Mapping[int, Any] = CANCUN_OPCODES
    for number, opcode in CANCUN.opcodes.items():
        if opcode.name not in dynamic and number in theirs:
            assert opcode.gas == theirs[number].gas_cost, opcode.name
            compared += 1
    assert compared > 120


def test_forks_differ_only_in_their_eips() -> None:
    assert set(OSAKA.opcodes) - set(PRAGUE.opcodes) == {0x1E}
    assert PRAGUE.opcodes == CANCUN.opcodes
    assert [name for name in PRAGUE.precompiles.values() if name not in CANCUN.precompiles.values()] == [
        name for name in PRAGUE.precompiles.values() if name.startswith("bls12")
    ]
    assert set(OSAKA.precompiles) - set(PRAGUE.precompiles) == {bytes(18) + b"\x01\x00"}


def test_msm_discounts_match_py_evm() -> None:
    point, scalar = 128, 32
    for count in (*range(1, 129), 200):
        g1 = G1_MSM_DISCOUNTS[min(count, 128) - 1]
        g2 = G2_MSM_DISCOUNTS[min(count, 128) - 1]
        first, second = bytes(count * (point + scalar)), bytes(count * (2 * point + scalar))
        assert precompiles.PRICES["bls12_g1msm"](CANCUN_GAS, first) == count * 12_000 * g1 // 1000
        assert precompiles.PRICES["bls12_g2msm"](CANCUN_GAS, second) == count * 22_500 * g2 // 1000


@pytest.mark.parametrize(
    ("lengths", "head", "before", "after"),
    [
        ((0, 0, 0), 0, 200, 500),
        ((32, 32, 32), (1 << 256) - 1, 1360, 4080),
        ((64, 64, 64), (1 << 256) - 1, 10_901, 98_176),
        ((1024, 1, 1024), 3, 5461, 32_768),
        ((1, 1, 1), 2, 200, 500),
    ],
)
def test_modexp_gas_matches_eip_2565_and_eip_7883(
    lengths: tuple[int, int, int], head: int, before: int, after: int
) -> None:
    assert precompiles.modexp_price(lengths, head, CANCUN) == before
    assert precompiles.modexp_price(lengths, head, OSAKA) == after


def test_modexp_with_oversized_result_runs_out_of_gas() -> None:
    lengths = b"".join(length.to_bytes(32, "big") for length in (0, 0, 8 * 10**9))
    with pytest.raises(OutOfGas, match="a result of 8000000000 bytes"):
        precompiles.run_precompile(CANCUN, "modexp", lengths, GasTracker(2**62))
