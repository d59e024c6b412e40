"""A network of a fork before London: transactions of type 0 and 1, and blocks without a base fee."""

import pytest

from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.rpc.conftest import Client, Failed
from tests.runtimes.evm.assembler import assemble

OLDER = ("frontier", "eip158", "istanbul", "berlin")
# returns 32 zeros; the first opcode pushes a zero without PUSH0
RETURNS = "0x" + assemble("32 CALLDATASIZE RETURN").hex()


@pytest.mark.parametrize("hardfork", OLDER)
def test_requests_without_a_type_are_of_type_0(hardfork: str) -> None:
    with Network(rules="ethereum", hardfork=hardfork) as network:
        rpc = Client(Node(network))
        alice, bob = (account.address for account in network.accounts[:2])
        sent = rpc("eth_sendTransaction", {"from": f"0x{alice.hex()}", "to": f"0x{bob.hex()}", "value": "0x5"})
        found = rpc("eth_getTransactionByHash", sent)
        receipt = rpc("eth_getTransactionReceipt", sent)
        block = rpc("eth_getBlockByNumber", "latest", False)
        assert (found["type"], receipt["status"], receipt["gasUsed"]) == ("0x0", "0x1", "0x5208")
        assert not {"baseFeePerGas", "withdrawals", "blobGasUsed"} & set(block)
        assert rpc("eth_call", {"data": RETURNS}, "latest") == "0x" + "00" * 32
        assert network.send(bob, 5).succeeded


@pytest.mark.parametrize("hardfork", OLDER)
def test_a_transaction_with_fees_of_london_is_refused(hardfork: str) -> None:
    with Network(rules="ethereum", hardfork=hardfork) as network:
        rpc, sender = Client(Node(network)), f"0x{network.accounts[0].address.hex()}"
        with pytest.raises(Failed, match="transaction type not supported: type 2; expected type 0"):
            rpc("eth_sendTransaction", {"from": sender, "to": sender, "maxFeePerGas": "0x9"})


def test_transaction_gas_follows_the_fork() -> None:
    """A nonzero byte costs 68 gas, and 16 since Istanbul (EIP-2028)."""
    used = {}
    for hardfork in ("frontier", "istanbul"):
        with Network(rules="ethereum", hardfork=hardfork) as network:
            used[hardfork] = network.send(network.accounts[1], 0, b"\1").gas_used
    assert used == {"frontier": 21_068, "istanbul": 21_016}
