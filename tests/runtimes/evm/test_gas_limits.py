"""Gas limits at the ends of number ranges, under both rules and on every engine.

Expected: Ethereum's transaction tests (ttGasLimit: a limit of 2^64 is GASLIMIT_OVERFLOW) and ref-fvm's messages, whose
limit is a signed 64-bit number.
"""

from dataclasses import replace

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import LEGACY, Transaction, parse_transaction
from bridge.filecoin.parameters import INVOKE_EVM
from hypervisor.errors import MessageError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.types import Gas
from runtimes.evm.ethereum import EthereumExecutor
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc
from runtimes.evm.ethereum.validation import InvalidTransaction, RejectionReason
from tests.runtimes.evm.assembler import assemble

SENDER, LIMITS_CONTRACT = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB))
ENGINES = ("py-evm", "fast", "both")

OVERFLOW_64 = bytes.fromhex(
    "f86680018901000000000000000094095e7baea6a6c7c4c2dfeb977efac326af552d870b801ba048b55bfa915ac795c431978d8a6a992b628d"
    "557da5ff759b307d495a36649353a01fffd310ac743f371de3b9f7f9cb56c0b28ad43601b4ab949f53faa07bd2c804"
)
"""ttGasLimit/TransactionWithGasLimitOverflow64."""


def limits_machine(rules: str, engine: str) -> Hypervisor:
    made = Hypervisor.open(rules=rules, evm=engine)
    if rules == "ethereum":
        made.advance(block=EthereumBlock("Prague", gas_limit=1 << 200))
    install_alloc(made, {SENDER: AllocAccount(1 << 90), LIMITS_CONTRACT: AllocAccount(0, 1, assemble("GAS 0 SSTORE"))})
    made.flush()
    return made


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("limit", [1 << 64, (1 << 64) + 21_000, 1 << 128, 1 << 256])
def test_a_transaction_with_gas_of_more_than_64_bits_is_none(engine: str, limit: int) -> None:
    with limits_machine("ethereum", engine) as made:
        before, transaction = made.flush(), Transaction(LEGACY, None, 0, LIMITS_CONTRACT, 0, b"", limit, 0, 0)
        with pytest.raises(InvalidTransaction) as refused:
            EthereumExecutor(made).apply_transaction(transaction, SENDER)
        assert refused.value.refusal is RejectionReason.GASLIMIT_OVERFLOW
        assert made.flush() == before
        most = replace(transaction, gas_limit=(1 << 64) - 1)
        result = EthereumExecutor(made).apply_transaction(most, SENDER)
        assert (result.success, result.gas_used) == (True, 21_000 + 2 + 2 + 22_100)  # GAS, PUSH0, SSTORE of a cold slot


def test_the_official_bytes_of_such_a_transaction_are_refused() -> None:
    signed = parse_transaction(OVERFLOW_64)
    with limits_machine("ethereum", "fast") as made, pytest.raises(InvalidTransaction, match="GASLIMIT_OVERFLOW"):
        EthereumExecutor(made).apply_signed(signed, signed.sender())


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("limit", [-1, 0, 1 << 63, 1 << 64, 1 << 65])
def test_a_message_has_gas_of_63_bits(rules: str, engine: str, limit: int) -> None:
    with limits_machine(rules, engine) as made:
        before = made.flush()
        message = Message(to_filecoin(LIMITS_CONTRACT), to_filecoin(SENDER), method=INVOKE_EVM, gas_limit=Gas(limit))
        with pytest.raises(MessageError, match="gas limit"):
            made.apply(message)
        assert made.flush() == before
        most = made.apply(replace(message, gas_limit=Gas((1 << 63) - 1)))
        assert most.exit_code == 0
