"""Encoded receipts and ranges of storage; tests/judges compares them with geth's."""

from localnet import Network
from localnet.rpc.node import Node
from store.keccak import keccak
from tests.localnet.rpc.asking import ALICE
from tests.localnet.rpc.conftest import Client, refusal
from tests.runtimes.evm.assembler import assemble, deployer


def key(slot: int) -> str:
    return f"0x{keccak(slot.to_bytes(32, 'big')).hex()}"


def word(value: int) -> str:
    return f"0x{value:064x}"


def test_storage_is_that_before_a_transaction(either: Network) -> None:
    rpc = Client(Node(either))
    init = deployer(assemble("CALLDATASIZE DUP1 SSTORE STOP"))
    contract = either.send(None, 0, init, gas_limit=10**9).contract_address
    assert contract is not None
    rpc("evm_setAutomine", False)
    for size in (1, 2):
        sent = {"from": ALICE, "to": f"0x{contract.hex()}", "data": f"0x{'00' * size}", "gas": hex(10**8)}
        rpc("eth_sendTransaction", sent)
    rpc("evm_mine")
    asked = "latest", 1, f"0x{contract.hex()}", "0x", 9
    assert rpc("debug_storageRangeAt", *asked) == {
        "storage": {key(1): {"key": word(1), "value": word(1)}},
        "nextKey": None,
    }
    with refusal(-32000, "transaction index 2 out of range: block . has 2"):
        rpc("debug_storageRangeAt", "latest", 2, *asked[2:])
    with refusal(-32602, "maxResult: 10,001 slots, at most 10,000"):
        rpc("debug_storageRangeAt", *asked[:-1], 10_001)
