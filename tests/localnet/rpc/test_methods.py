"""JSON-RPC methods."""

import json
from typing import Any

import pytest
from eth_account import Account as Oracle
from eth_account.messages import encode_defunct

from bridge.ethereum.addresses import masked_id
from localnet import Network, TransactionReceipt
from tests.localnet.conftest import START
from tests.localnet.rpc.asking import (
    ALICE,
    ALICE_KEY,
    BOB,
    COUNTER,
    FUNDS,
    INBOX,
    NO_HASH,
    NOBODY,
    calldata,
    deploy,
    greet,
)
from tests.localnet.rpc.conftest import Client, Failed, refusal

# Fields of lotus' objects (chain/types/ethtypes).
BLOCK = (
    "hash parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom difficulty totalDifficulty "
    "number gasLimit gasUsed timestamp extraData mixHash nonce baseFeePerGas size transactions uncles"
)
TRANSACTION = "chainId nonce hash blockHash blockNumber transactionIndex from to value type input gas v r s"
RECEIPT = (
    "transactionHash transactionIndex blockHash blockNumber from to root status contractAddress cumulativeGasUsed "
    "gasUsed effectiveGasPrice logsBloom logs type"
)


class TestState:
    """Reading the state."""

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("eth_getBalance", [ALICE]), ("eth_getTransactionCount", [ALICE]), ("eth_getCode", ["COUNTER"]),
            ("eth_getStorageAt", ["COUNTER", "0x0"]), ("eth_call", ["CALL"]), ("eth_estimateGas", ["CALL"]),
            ("eth_createAccessList", ["CALL"]), ("eth_getProof", ["COUNTER", ["0x0"]]),
            ("eth_getAccount", ["COUNTER"]), ("eth_getAccountInfo", [ALICE]),
            ("eth_getStorageValues", [{"COUNTER": ["0x0"]}]), ("eth_simulateV1", [{"blockStateCalls": [{}]}]),
            ("debug_traceCall", ["CALL"]), ("trace_call", ["CALL", ["trace"]]),
            ("hypervisor_traceCall", ["CALL"]), ("ots_hasCode", ["COUNTER"]),
        ],
    )  # fmt: skip
    def test_state_at_null_round_is_that_of_the_older_tipset(self, rpc: Client, method: str, params: list[Any]) -> None:
        """Lotus resolves these block parameters with strict=false (node/impl/eth), Forest with TakeOlder."""
        counter = deploy(rpc, COUNTER)
        rpc("hypervisor_mineAfterNullRounds", 2)  # heights 2 and 3
        rpc("eth_sendTransaction", {"from": ALICE, "to": counter, "data": calldata(COUNTER, "setNumber", 7)})
        call = json.dumps({"from": ALICE, "to": counter, "data": calldata(COUNTER, "number")})
        text = json.dumps(params).replace('"CALL"', call).replace("COUNTER", counter)
        expected = rpc(method, *json.loads(text), "0x1")
        for at in ("0x2", "0x3", {"blockNumber": "0x3"}):
            assert rpc(method, *json.loads(text), at) == expected


class TestCalls:
    """eth_call and eth_estimateGas."""

    def test_a_revert_has_code_3_and_its_data(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        request = {"from": ALICE, "to": inbox, "data": calldata(INBOX, "refuse", "no")}
        for method in ("eth_call", "eth_estimateGas"):
            with refusal(3, r"revert reason=\[Error\(no\)\]") as failed:
                rpc(method, request)
            assert INBOX.interface.decode_revert(bytes.fromhex(failed.value.data[2:])) == "no"

    @pytest.mark.parametrize("at", [1, True, ["latest"]])
    def test_invalid_block_error_lists_valid_forms(self, rpc: Client, at: object) -> None:
        with refusal(-32602, r"is not a block: expected latest, .*, a hash or an object"):
            rpc("eth_call", {"to": NOBODY}, at)

    def test_gas_estimate_includes_pending_transactions(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        rpc("evm_setAutomine", False)
        request = {"from": ALICE, "to": inbox, "data": calldata(INBOX, "greet", "x")}
        first = int(rpc("eth_estimateGas", request), 16)
        greet(rpc, inbox, gas="0x5000000")  # the first greeting writes a slot that was empty, the next ones do not
        head = rpc("eth_getBlockByNumber", "latest", False)
        later = {int(rpc("eth_estimateGas", request, at), 16) for at in ("latest", "pending", head["number"])}
        assert len(later) == 1
        assert later != {first}


class TestTransactions:
    """Sending and looking up."""

    def test_signing_without_sending(self, rpc: Client) -> None:
        raw = rpc("eth_signTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
        assert Oracle.recover_transaction(raw).lower() == ALICE
        assert rpc("eth_blockNumber") == "0x0"

    def test_texts_are_signed_as_wallets_do(self, rpc: Client) -> None:
        expected = "0x" + Oracle.sign_message(encode_defunct(b"hello"), ALICE_KEY).signature.hex()
        assert rpc("eth_sign", ALICE, "0x68656c6c6f") == expected
        assert rpc("personal_sign", "0x68656c6c6f", ALICE) == expected

    def test_a_stranger_cannot_sign(self, rpc: Client) -> None:
        words = f"the node has no private key for {NOBODY}: use one of eth_accounts"
        for method, params in (
            ("eth_sendTransaction", [{"from": NOBODY, "to": BOB}]),
            ("eth_sign", [NOBODY, "0x"]),
        ):
            with refusal(-32000, words):
                rpc(method, *params)
        with refusal(-32602, "from is missing"):
            rpc("eth_sendTransaction", {"to": BOB})

    def test_transaction_is_found_while_its_block_is_mined(self, rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        rpc("evm_setAutomine", False)
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        network = rpc.node.network
        find = network.find_receipt

        def and_then_its_block_is_made(transaction_hash: bytes) -> TransactionReceipt | None:
            found = find(transaction_hash)
            if found is None:
                network.mine()
            return found

        monkeypatch.setattr(network, "find_receipt", and_then_its_block_is_made)
        assert rpc("eth_getTransactionByHash", sent)["blockNumber"] == hex(network.block_number)

    def test_native_message_is_shown_as_unsigned_transaction(self, official_rpc: Client) -> None:
        network = official_rpc.node.network
        receipt = network.send_native(network.accounts[1].native, value=9)
        found = official_rpc("eth_getTransactionByHash", "0x" + receipt.hash.hex())
        assert (found["type"], found["v"], found["r"], found["s"]) == ("0x2", "0x0", "0x0", "0x0")
        assert found["accessList"] == []
        assert found["from"] == "0x" + network.address(network.accounts[0].native).hex()
        assert found["input"].startswith("0x868e10c4")


class TestBlocks:
    """Blocks."""

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("eth_getBlockByNumber", [False]), ("eth_getBlockTransactionCountByNumber", []),
            ("eth_getBlockReceipts", []), ("eth_getTransactionByBlockNumberAndIndex", ["0x0"]), ("trace_block", []),
            ("trace_replayBlockTransactions", [["trace"]]), ("debug_traceBlockByNumber", []),
        ],
    )  # fmt: skip
    def test_block_at_null_round_is_error_12(self, rpc: Client, method: str, params: list[Any]) -> None:
        """The error is Lotus' ErrNullRound (api/api_errors.go), whose data is the epoch."""
        assert rpc("hypervisor_mineAfterNullRounds", 2) == "0x3"
        with refusal(12, r"requested epoch was a null round \(1\)") as failed:
            rpc(method, "0x1", *params)
        assert failed.value.data == 1


class TestFees:
    """Prices."""

    def test_the_history_ends_at_genesis_and_leaves_out_null_rounds(self, rpc: Client) -> None:
        rpc("hypervisor_mineAfterNullRounds", 3)
        history = rpc("eth_feeHistory", 1024, "latest")
        assert (history["oldestBlock"], len(history["baseFeePerGas"])) == ("0x0", 3)
        assert "reward" not in history
        assert rpc("eth_feeHistory", 1, "0x2") == rpc("eth_feeHistory", 1, "0x0")  # from the older tipset


class TestControls:
    """Snapshots, mining, time, balances."""

    def test_evm_revert_restores_snapshot(self, rpc: Client) -> None:
        snapshot = rpc("evm_snapshot")
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5"})
        assert rpc("evm_revert", snapshot) is True
        assert (rpc("eth_getBalance", BOB), rpc("eth_blockNumber")) == (FUNDS, "0x0")
        assert rpc("evm_revert", snapshot) is False
        assert rpc("evm_revert", "0x999") is False

    def test_evm_mine_makes_blocks(self, rpc: Client) -> None:
        assert rpc("evm_mine") == "0x0"
        assert rpc("eth_blockNumber") == "0x1"
        assert rpc("anvil_mine", "0x5") is None
        assert rpc("hardhat_mine", 2, 60) is True
        assert rpc("eth_blockNumber") == "0x8"
        times = [int(rpc("eth_getBlockByNumber", at, False)["timestamp"], 16) for at in ("0x7", "0x8")]
        assert times[1] - times[0] == 60
        rpc("evm_mine", {"blocks": 3, "timestamp": START + 500})
        assert int(rpc("eth_getBlockByNumber", "0x9", False)["timestamp"], 16) == START + 500
        assert rpc("eth_blockNumber") == "0xb"

    def test_blocks_mined_per_request_are_limited(self, narrow_rpc: Client) -> None:
        for method in ("anvil_mine", "hypervisor_mineAfterNullRounds"):
            with refusal(-32000, "at most 10"):
                narrow_rpc(method, 11)

    def test_time(self, rpc: Client) -> None:
        assert rpc("evm_increaseTime", 100) == 100
        assert rpc("evm_increaseTime", "0xa") == 110
        rpc("evm_mine")
        assert int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) == START + 110
        assert rpc("evm_setNextBlockTimestamp", START + 900) is None
        rpc("evm_mine")
        assert int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) == START + 900
        with refusal(-32602, "is not after the head's"):
            rpc("evm_setNextBlockTimestamp", START)

    def test_set_balance_changes_balances(self, rpc: Client) -> None:
        assert rpc("anvil_setBalance", NOBODY, "0x64") is None
        assert rpc("eth_getBalance", NOBODY) == "0x64"
        with refusal(-32602, "cannot be a balance"):
            rpc("anvil_setBalance", NOBODY, hex(1 << 127))
        assert rpc("hardhat_setBalance", ALICE, "0x0") is None
        with pytest.raises(Failed, match="insufficient funds"):
            rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": "0x500000"})

    def test_a_call_tree(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        sent = greet(rpc, inbox)
        found = rpc("hypervisor_trace", sent)
        assert (found["transactionHash"], found["exitCode"], found["reproduced"]) == (sent, 0, True)
        assert found["calls"][0]["address"] == inbox
        with refusal(-32001, "is not on this chain"):
            rpc("hypervisor_trace", NO_HASH)

    def test_trace_epoch_shows_implicit_messages(self, rpc: Client, network: Network) -> None:
        rpc("evm_mine")
        found = rpc("hypervisor_traceEpoch", network.head.height)
        assert (found["epoch"], found["reproduced"]) == (network.head.height, True)
        assert [(call["to"], call["method"]) for call in found["calls"]] == [("f02", 2), ("f03", 2)]
        with pytest.raises(Failed, match="no tipset was executed at epoch"):
            rpc("hypervisor_traceEpoch", network.head.height + 1)

    def test_addresses_of_both_worlds(self, rpc: Client, network: Network) -> None:
        account = network.accounts[0]
        filecoin = rpc("Filecoin.EthAddressToFilecoinAddress", ALICE)
        assert filecoin == f"t{str(account.delegated)[1:]}"  # as on every network but the main one
        assert rpc("Filecoin.FilecoinAddressToEthAddress", filecoin) == ALICE
        native = rpc("Filecoin.FilecoinAddressToEthAddress", str(account.native), "latest")
        assert native == "0x" + masked_id(100).hex()
        for nobody, code in (("f9nobody", -32602), ("f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za", 11)):
            with refusal(code):
                rpc("Filecoin.FilecoinAddressToEthAddress", nobody)
