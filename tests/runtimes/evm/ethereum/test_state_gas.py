"""State gas of EIP-8037 that a failed creation gives back."""

import itertools

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.filecoin.parameters import INVOKE_EVM, unwrap_return
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.types import Gas
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc
from tests.hypervisor.world import IgnoringTracer
from tests.runtimes.evm.assembler import assemble

SENDER, CONTRACT = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB))
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
