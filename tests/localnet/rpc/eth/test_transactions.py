"""Pending transactions, raw transactions, headers, uncles, and methods without a Filecoin equivalent."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account as Oracle
from eth_utils.address import to_checksum_address

from hypervisor.messages.message import Message
from hypervisor.types import Gas, TokenAmount
from localnet import Network
from localnet.chain.retention import forget_states
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node
from localnet.rpc.refused import REASONS, UNDER_ETHEREUMS_RULES
from store.rocks.database import RocksStore
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, ALICE_KEY, BOB, NO_HASH, NOBODY
from tests.localnet.rpc.conftest import Client, Failed, refusal
from tests.localnet.test_accounts import MAIL

CHECKSUMMED = to_checksum_address(ALICE)


def waiting(rpc: Client, *nonces: int) -> list[str]:
    """Send transactions with these nonces that stay pending; return their hashes."""
    rpc("evm_setAutomine", False)
    requests = ({"from": ALICE, "to": BOB, "value": "0x5", "nonce": hex(nonce), "gas": "0x500000"} for nonce in nonces)
    return [rpc("eth_sendTransaction", request) for request in requests]


class TestThePool:
    """txpool_ and related methods."""

    def test_a_transaction_by_its_sender_and_nonce(self, rpc: Client) -> None:
        first, second = waiting(rpc, 0, 1)
        rpc("evm_mine")
        assert rpc("eth_getTransactionBySenderAndNonce", ALICE, "0x0")["hash"] == first
        assert rpc("eth_getTransactionBySenderAndNonce", ALICE, "0x1")["hash"] == second
        (third,) = waiting(rpc, 2)
        assert rpc("eth_getTransactionBySenderAndNonce", ALICE, "0x2")["hash"] == third
        assert rpc("eth_getTransactionBySenderAndNonce", ALICE, "0x3") is None


class TestRawTransactions:
    """Signed bytes of transactions."""

    def test_raw_transactions_match_sent_bytes_pending_and_mined(self, rpc: Client) -> None:
        transaction = {
            "to": Oracle.from_key(ALICE_KEY).address, "value": 1, "gas": 5_000_000, "nonce": 0, "chainId": 31415926,
            "maxFeePerGas": 10**6, "maxPriorityFeePerGas": 10**5, "type": 2,
        }  # fmt: skip
        signed = Oracle.sign_transaction(transaction, ALICE_KEY)
        raw, name = "0x" + signed.raw_transaction.hex(), "0x" + signed.hash.hex()
        rpc("evm_setAutomine", False)
        rpc("eth_sendRawTransaction", raw)
        assert rpc("eth_getRawTransactionByHash", name) == rpc("debug_getRawTransaction", name) == raw
        rpc("evm_mine")
        block = rpc("eth_getBlockByNumber", "latest", False)
        assert rpc("eth_getRawTransactionByHash", name) == raw
        assert rpc("eth_getRawTransactionByBlockHashAndIndex", block["hash"], "0x0") == raw
        assert rpc("eth_getRawTransactionByBlockNumberAndIndex", block["number"], "0x0") == raw
        assert rpc("eth_getRawTransactionByBlockNumberAndIndex", block["number"], "0x1") == "0x"
        assert rpc("debug_getRawTransactions", "latest") == [raw]

    def test_message_without_transaction_has_no_raw_bytes(self, rpc: Client) -> None:
        network = rpc.node.network
        receipt = network.send_native(network.accounts[1].native, value=1)
        sender, receiver = network.accounts[1].native, network.accounts[2].native
        message = Message(receiver, sender, gas_limit=Gas(10**8), gas_fee_cap=TokenAmount(10**6))
        unsigned = network.submit_unsigned(replace(message, nonce=network.nonce(sender)))
        for found in (receipt.hash, unsigned):
            assert rpc("eth_getRawTransactionByHash", "0x" + found.hex()) is None
        assert rpc("eth_getRawTransactionByHash", NO_HASH) == "0x"


class TestTheNode:
    """Facts about the node."""

    def test_mining_methods_report_no_work(self, rpc: Client) -> None:
        assert rpc("eth_coinbase") == "0x" + "00" * 20
        assert rpc("eth_mining") is False
        assert rpc("eth_hashrate") == "0x0"

    def test_rpc_modules_are_method_prefixes(self, rpc: Client) -> None:
        prefixes = {name.split("_")[0] for name in method_table() if "." not in name}
        assert set(rpc("rpc_modules")) == prefixes

    def test_oldest_available_block_is_reported(self, rpc: Client) -> None:
        rpc("evm_mine")
        found = rpc("eth_capabilities")
        assert found["head"]["number"] == "0x1"
        assert found["state"] == {"disabled": False, "oldestBlock": "0x0"}
        assert found["stateproofs"] == {"disabled": True}

    @pytest.mark.slow
    def test_oldest_available_block_after_collection_is_reported(self, tmp_path: Path) -> None:
        with Network(tmp_path) as network:
            network.mine(5)
        with RocksStore.open(tmp_path) as store:
            forget_states(store, 2)
        with Network(tmp_path) as network:
            found = Client(Node(network))("eth_capabilities")
        assert (found["state"]["oldestBlock"], found["logs"]["oldestBlock"]) == ("0x4", "0x0")


GOOD = {
    "Coinbase": ALICE,
    "GasLimit": "0x1c9c380",
    "GasPrice": "0x1",
    "PrevRandao": "0x" + "11" * 32,
    "ChainId": "0x1",
    "AccessList": "latest",
    "RawReceipts": "latest",
}
"""Valid parameters of methods under Ethereum's rules, by a part of the method name."""


@pytest.mark.parametrize("method", sorted(REASONS))
def test_method_without_filecoin_equivalent_is_refused(rpc: Client, method: str) -> None:
    params: tuple[object, ...] = ALICE, [], "latest"
    if method in UNDER_ETHEREUMS_RULES:
        params = tuple(value for name, value in GOOD.items() if name in method)
    with pytest.raises(Failed) as failed:
        rpc(method, *params)
    assert (failed.value.code, failed.value.message) == (-32004, REASONS[method])


@pytest.mark.parametrize("method", ["eth_signTypedData_v4", "eth_signTypedData_v3", "eth_signTypedData"])
@pytest.mark.parametrize("as_text", [False, True])
def test_unlocked_accounts_sign_as_wallets_do(rpc: Client, method: str, as_text: bool) -> None:
    expected = Oracle.sign_typed_data(ALICE_KEY, full_message=copy.deepcopy(MAIL)).signature.hex()
    assert rpc(method, ALICE, json.dumps(MAIL) if as_text else MAIL) == f"0x{expected}"


@pytest.mark.parametrize("field", ["types", "primaryType", "message"])
def test_missing_typed_data_field_is_named(rpc: Client, field: str) -> None:
    with pytest.raises(Failed, match=f"typed data: {field} is missing"):
        rpc("eth_signTypedData_v4", ALICE, {name: value for name, value in MAIL.items() if name != field})


def test_a_stranger_cannot_sign(rpc: Client) -> None:
    with pytest.raises(Failed, match="the node has no private key"):
        rpc("eth_signTypedData_v4", NOBODY, MAIL)


REVERTS = "0x08c379a0" + f"{32:064x}{2:064x}" + b"no".hex().ljust(64, "0")
"""Solidity's Error("no")."""
FAILING = {
    # CODECOPY of the revert data behind the 12 bytes of code, and REVERT; INVALID; an endless loop
    "revert": (f"0x6064600c60003960646000fd{REVERTS[2:]}", REVERTS),
    "invalid opcode": ("0xfe", "0x"),
    "out of gas": ("0x5b5f56", "0x"),
}


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
@pytest.mark.parametrize("kind", FAILING)
def test_failed_transaction_is_an_error_of_a_node_that_throws(rules: str, kind: str) -> None:
    """The transaction is mined, and the error's data is that of hardhat 2.28.4's network: message, txHash and data."""
    code, output = FAILING[kind]
    with Network(clock=Clock(), rules=rules) as network:
        rpc = Client(Node(network, throws_on_failure=True))
        rpc("anvil_setCode", NOBODY, code)
        request = {"from": ALICE, "to": NOBODY, "gas": hex(10**7)}
        with refusal(3) as failed:
            rpc("eth_sendTransaction", request)
        error = failed.value
        receipt = rpc("eth_getTransactionReceipt", error.data["txHash"])
        assert (receipt["status"], receipt["blockNumber"]) == ("0x0", "0x1")
        assert error.data == {"message": error.message, "txHash": receipt["transactionHash"], "data": output}
        with refusal(3):
            rpc("eth_sendRawTransaction", rpc("eth_signTransaction", request))
        batch = [{"jsonrpc": "2.0", "id": n, "method": "eth_sendTransaction", "params": [request]} for n in range(2)]
        assert [answer["error"]["code"] for answer in rpc.send(json.dumps(batch).encode())] == [3, 3]
        assert rpc("eth_getTransactionCount", ALICE) == "0x4"
        rpc("evm_setAutomine", False)
        assert len(rpc("eth_sendTransaction", request)) == 66
        assert len(rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": hex(10**7)})) == 66
