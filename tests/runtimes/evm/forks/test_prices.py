"""Prices of Ethereum's forks.

- Gas computed by hand from the proposals' tables, and compared with py-evm.
- A price is a number in one row: changing it changes the charge of every engine; expected sums by hand.
- State gas of EIP-8037 that a failed creation gives back.
"""

import itertools
from collections.abc import Mapping
from typing import Any, Final

import pytest
from eth.precompiles.bls12_381.constants import G1_MSM_DISCOUNTS, G2_MSM_DISCOUNTS
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES

import runtimes.evm.forks.forks
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import unwrap_return
from hypervisor.errors import OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import GasTracker
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.types import Gas
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from runtimes.evm.contracts import gas_table
from runtimes.evm.contracts.gas_table import CANCUN_GAS, GasTable
from runtimes.evm.contracts.opcodes import Opcode
from runtimes.evm.forks.forks import CANCUN, FORKS, LATEST_FORK, OSAKA, PRAGUE, Fork
from runtimes.evm.revm import precompiles
from runtimes.evm.revm.guest_rules import _OWN_PRICES
from tests.hypervisor.world import IgnoringTracer
from tests.runtimes.evm.assembler import assemble


@pytest.mark.parametrize(("count", "gas"), [(0, 0), (1, 3), (22, 66), (23, 70), (724, 3195), (32_768, 2_195_456)])
def test_memory_expansion_costs_match_yellow_paper(count: int, gas: int) -> None:
    assert CANCUN_GAS.memory(count) == gas


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
    assert gas_table.fake_exponential(1, excess, fraction) == fee


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


SENDER, CONTRACT = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB))
NOBODY, OTHER = "0x" + "dd" * 20, "0x" + "ee" * 20
MORE: Final = 7

# init code that returns five zeros: PUSH1 5 PUSH0 RETURN
INIT_CODE: Final = "0x60055ff3" + "00" * 28
PROGRAM: Final = f"""
    5 3 EXP POP
    1 32736 MSTORE
    32 0 64 CALLDATACOPY
    32 0 KECCAK256 POP
    10 0 LOG0
    7 1 SSTORE
    7 1 SSTORE
    2 SLOAD POP
    2 SLOAD POP
    0 3 SSTORE
    {OTHER} BALANCE POP
    {OTHER} BALANCE POP
    {OTHER} EXTCODESIZE POP
    0 0 0 0 1 {NOBODY} GAS CALL POP
    {INIT_CODE} 0 MSTORE 4 0 0 CREATE POP
    0 0 32 0 2 GAS STATICCALL POP
    0 0 32 0 3 GAS STATICCALL POP
    0 0 32 0 4 GAS STATICCALL POP
    0 0 128 2048 6 GAS STATICCALL POP
    0 0 96 2048 7 GAS STATICCALL POP
    0 0 192 2048 8 GAS STATICCALL POP
"""
TIMES: Final = {
    "exp_byte": 1,  # 5 is one byte
    "memory_word": 1025,  # one is of the init code
    "copy_word": 1,
    "keccak_word": 1,
    "log_byte": 10,
    "cold_account": 2,  # one whose balance is asked, one that is paid
    "cold_slot": 1,
    "cold_write": 2,
    "warm": 9,  # a slot again, an account twice again, six precompiles
    "code_read": 1,
    "code_word": 1,
    "state_byte": 120 + 120 + 64 + 5,  # who is paid, a contract, a slot, the contract's code
    "dirty_slot": 1,
    "set_slot": 1,
    "reset_slot": 1,
    "clear_refund": -1,
    "call_stipend": -1,  # who is paid has no code, so the stipend comes back
    "call_value": 1,
    "new_account": 1,
    "code_byte": 5,
    "init_code_word": 1,
    "sha256_base": 1,
    "sha256_word": 1,
    "ripemd160_base": 1,
    "ripemd160_word": 1,
    "identity_base": 1,
    "identity_word": 1,
    "bn254_add": 1,
    "bn254_mul": 1,
    "bn254_pairing_base": 1,
    "bn254_pairing_pair": 1,
}
"""Number of times the program pays each price. Memory's quadratic part is separate."""


def gas_under(fork: Fork, evm: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(runtimes.evm.forks.forks, "FORKS", {**FORKS, fork.name: fork})
    with Hypervisor.open(rules="ethereum", evm=evm) as machine:
        machine.advance(block=EthereumBlock(fork.name, gas_limit=1 << 40))
        install_alloc(machine, {
            SENDER: AllocAccount(10**20),
            CONTRACT: AllocAccount(5, 1, assemble(PROGRAM), {3: 9}),
        })  # fmt: skip
        message = Message(
            to_filecoin(CONTRACT), to_filecoin(SENDER), 0, method=INVOKE_EVM, gas_limit=Gas(5_000_000)
        )  # fmt: skip
        result = machine.apply(message)
        assert result.exit_code == 0, result.message
        return result.gas_used


def repriced(name: str, value: int) -> Fork:
    gas = LATEST_FORK.gas._replace(**{name: value})
    return LATEST_FORK.successor(f"{name} {value}", gas=gas, state_gas=name == "state_byte")


@pytest.fixture(scope="module")
def usual() -> int:
    with pytest.MonkeyPatch.context() as patch:
        return gas_under(LATEST_FORK, "py-evm", patch)


OTHERS: Final = {
    "memory_quotient",
    "net_slots",
    "slot_sentry",
    "destroy_refund",
    "heir_account",
    "account_bytes",
    "slot_bytes",
}
"""Fields that are no prices, or that only the state tests of older forks use, or that count only with state gas."""


def test_the_program_pays_every_price() -> None:
    assert TIMES.keys() | OTHERS == {*GasTable._fields}


FIXED: Final = {*_OWN_PRICES, "code_word", "state_byte", "call_stipend"}
"""Prices that revm has by itself, or with others."""


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("name", [name for name in TIMES if name not in FIXED])
def test_repriced_gas_cost_is_charged(name: str, evm: str, usual: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dearer = repriced(name, getattr(LATEST_FORK.gas, name) + MORE)
    assert gas_under(dearer, evm, monkeypatch) - usual == TIMES[name] * MORE


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_the_square_of_memory_has_another_divisor(evm: str, usual: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gas_under(repriced("memory_quotient", 256), evm, monkeypatch) - usual == 1024 * 1024 // 512


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_repriced_flat_opcode_cost_is_charged(evm: str, usual: int, monkeypatch: pytest.MonkeyPatch) -> None:
    opcodes = {**LATEST_FORK.opcodes, 0x50: Opcode("POP", LATEST_FORK.opcodes[0x50].gas + MORE)}
    dearer = LATEST_FORK.successor("dearer POP", opcodes=opcodes)
    assert gas_under(dearer, evm, monkeypatch) - usual == PROGRAM.count("POP") * MORE


CREATING_PROGRAM = f"{'0xfe' + '00' * 31} 0 MSTORE 1 0 0 CREATE POP GAS 0 MSTORE 32 0 RETURN"
"""Creates a contract whose init code is INVALID; returns the gas that is left."""

NEW_ACCOUNT = 120 * 1530
"""State gas of a new account: its bytes times the price of a byte."""


def returned_gas(machine: Hypervisor, nonce: int, gas_limit: int) -> int | None:
    """Return the gas that the program reports, None if it runs out of gas."""
    message = Message(
        to_filecoin(CONTRACT), to_filecoin(SENDER), nonce, method=INVOKE_EVM, gas_limit=Gas(gas_limit)
    )  # fmt: skip
    result = machine.apply(message)
    if result.exit_code != ExitCode.OK:
        return None
    return int.from_bytes(unwrap_return(result.return_data), "big")


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("framed", [False, True], ids=["tree", "framed"])
def test_refund_reaches_a_frame_without_gas(evm: str, framed: bool) -> None:
    with Hypervisor.open(rules="ethereum", evm=evm) as machine:
        machine.tracer = IgnoringTracer() if framed else None
        machine.advance(block=EthereumBlock("Amsterdam", gas_limit=1 << 40))
        accounts = {SENDER: AllocAccount(10**20), CONTRACT: AllocAccount(0, 1, assemble(CREATING_PROGRAM))}
        install_alloc(machine, accounts)
        nonces = itertools.count()
        low, high = 21_000, 1_000_000
        while high - low > 1:
            middle = (low + high) // 2
            if returned_gas(machine, next(nonces), middle) is None:
                low = middle
            else:
                high = middle
        # with the least gas limit, nothing is left after the creation; the refund has paid for POP and GAS
        assert returned_gas(machine, next(nonces), high) == NEW_ACCOUNT - 4
