"""A price is a number in one row: changing it changes the charge of every engine; expected sums by hand."""

from collections import Counter
from dataclasses import fields, replace
from typing import Final

import pytest

import runtimes.evm.ethereum.forks
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.filecoin.parameters import INVOKE_EVM
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.types import Gas
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc
from runtimes.evm.ethereum.forks import FORKS, LATEST_FORK, Fork
from runtimes.evm.gas_table import GasTable
from runtimes.evm.opcodes import Opcode
from tests.runtimes.evm.assembler import assemble

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
    """Return the program's gas under a modified fork."""
    monkeypatch.setattr(runtimes.evm.ethereum.forks, "FORKS", {**FORKS, fork.name: fork})
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
    gas = replace(LATEST_FORK.gas, **{name: value})
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
    assert TIMES.keys() | OTHERS == {field.name for field in fields(GasTable)}


@pytest.mark.parametrize("evm", ["py-evm", "fast", "both"])
@pytest.mark.parametrize("name", TIMES)
def test_repriced_gas_cost_is_charged(
    name: str, evm: str, usual: int, monkeypatch: pytest.MonkeyPatch, trees: Counter[str]
) -> None:
    dearer = repriced(name, getattr(LATEST_FORK.gas, name) + MORE)
    assert gas_under(dearer, evm, monkeypatch) - usual == TIMES[name] * MORE
    if evm == "fast":
        assert trees["left"] == 0, "the guest has its own form of these prices"


@pytest.mark.parametrize("evm", ["py-evm", "fast", "both"])
def test_the_square_of_memory_has_another_divisor(evm: str, usual: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gas_under(repriced("memory_quotient", 256), evm, monkeypatch) - usual == 1024 * 1024 // 512


@pytest.mark.parametrize("evm", ["py-evm", "fast", "both"])
def test_repriced_flat_opcode_cost_is_charged(evm: str, usual: int, monkeypatch: pytest.MonkeyPatch) -> None:
    opcodes = {**LATEST_FORK.opcodes, 0x50: Opcode("POP", LATEST_FORK.opcodes[0x50].gas + MORE)}
    dearer = LATEST_FORK.successor("dearer POP", opcodes=opcodes)
    assert gas_under(dearer, evm, monkeypatch) - usual == PROGRAM.count("POP") * MORE
