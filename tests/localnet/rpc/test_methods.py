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


class TestTheNode:
    """Facts about the node."""

    def test_client_version_chain_id_and_block_number(self, rpc: Client) -> None:
        assert rpc("eth_chainId") == "0x1df5e76"
        assert rpc("net_version") == "31415926"
        assert rpc("net_listening") is True
        assert rpc("net_peerCount") == "0x0"
        assert rpc("eth_syncing") is False
        assert rpc("eth_protocolVersion") == hex(29)
        assert rpc("web3_clientVersion").startswith("anvil/compatible hypervisor/")

    def test_web3_sha3_returns_keccak(self, rpc: Client) -> None:
        # The example of the execution-apis.
        expected = "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad"
        assert rpc("web3_sha3", "0x68656c6c6f20776f726c64") == expected

    def test_ten_accounts(self, rpc: Client) -> None:
        assert rpc("eth_accounts")[:2] == [ALICE, BOB]
        assert len(rpc("eth_accounts")) == 10


class TestState:
    """Reading the state."""

    def test_account_has_balance_nonce_and_no_code(self, rpc: Client) -> None:
        assert rpc("eth_getBalance", ALICE, "latest") == FUNDS
        assert rpc("eth_getTransactionCount", ALICE, "latest") == "0x0"
        assert rpc("eth_getCode", ALICE, "latest") == "0x"
        assert rpc("eth_getStorageAt", ALICE, "0x0", "latest") == "0x" + "00" * 32

    def test_absent_account_has_zero_balance_and_nonce(self, rpc: Client) -> None:
        assert rpc("eth_getBalance", NOBODY) == "0x0"
        assert rpc("eth_getTransactionCount", NOBODY) == "0x0"
        assert rpc("eth_getCode", NOBODY) == "0x"

    def test_a_built_in_actor_by_its_masked_id(self, official_rpc: Client) -> None:
        # The reward actor's balance at genesis; its code is no EVM code.
        reward = "0x" + masked_id(2).hex()
        assert int(official_rpc("eth_getBalance", reward), 16) > 10**27
        assert official_rpc("eth_getCode", reward) == "0x"

    def test_a_contract(self, rpc: Client) -> None:
        counter = deploy(rpc, COUNTER)
        assert rpc("eth_getCode", counter) != "0x"
        assert rpc("eth_getTransactionCount", counter) == "0x1"
        request = {"from": ALICE, "to": counter, "data": calldata(COUNTER, "setNumber", 258)}
        rpc("eth_sendTransaction", request)
        assert int(rpc("eth_getStorageAt", counter, "0x0"), 16) == 258
        assert rpc("eth_getStorageAt", counter, "0x1") == "0x" + "00" * 32

    def test_an_older_block_has_its_own_state(self, rpc: Client) -> None:
        counter = deploy(rpc, COUNTER)
        heights = []
        for value in (7, 8):
            request = {"from": ALICE, "to": counter, "data": calldata(COUNTER, "setNumber", value)}
            rpc("eth_sendTransaction", request)
            heights.append(rpc("eth_blockNumber"))
        call = {"to": counter, "data": calldata(COUNTER, "number")}
        block_hash = rpc("eth_getBlockByNumber", heights[0], False)["hash"]
        assert [int(rpc("eth_call", call, at), 16) for at in (*heights, "latest")] == [7, 8, 8]
        assert int(rpc("eth_call", call, {"blockHash": block_hash}), 16) == 7
        assert int(rpc("eth_call", call, {"blockNumber": heights[0]}), 16) == 7
        assert int(rpc("eth_getStorageAt", counter, "0x0", heights[0]), 16) == 7
        assert rpc("eth_getTransactionCount", ALICE, heights[0]) == "0x2"
        assert rpc("eth_getCode", counter, "0x0") == "0x"

    def test_a_block_that_is_not_there(self, rpc: Client) -> None:
        head = int(rpc("eth_blockNumber"), 16)
        for at, code, words in (
            ("0xffffff", -32000, rf"future epoch .*: 16777215 was requested, the head is {head}$"),
            (NO_HASH, -32001, "not found"),
            ("newest", -32602, "'newest' is not a block: expected latest, pending, "),
        ):
            with refusal(code, words):
                rpc("eth_getBalance", ALICE, at)

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

    def test_anybody_may_call(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        request = {"to": inbox, "data": calldata(INBOX, "greet", "x")}
        for sender in (None, ALICE, NOBODY, inbox, "0x" + "00" * 20):
            fields = request if sender is None else {**request, "from": sender}
            assert int(rpc("eth_call", fields), 16) == 1

    def test_gas_and_prices_of_a_call_are_ignored(self, rpc: Client) -> None:
        request = {"from": NOBODY, "to": deploy(rpc, COUNTER), "data": calldata(COUNTER, "number"), "gas": "0x1"}
        assert int(rpc("eth_call", {**request, "gasPrice": "0xffffffffffff"}, "latest"), 16) == 0

    def test_value_must_be_there(self, rpc: Client) -> None:
        with pytest.raises(Failed, match="SYS_INSUFFICIENT_FUNDS"):
            rpc("eth_call", {"from": NOBODY, "to": ALICE, "value": "0x1"})

    def test_eth_call_of_contract_creation_returns_empty_data(self, rpc: Client) -> None:
        assert rpc("eth_call", {"from": ALICE, "data": "0x" + COUNTER.bytecode.hex()}) == "0x"

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

    @pytest.mark.parametrize("fields", [{}, {"gasPrice": "0x30000"}, {"gasPrice": "0x30000", "type": "0x1"}])
    def test_a_transaction_of_each_type(self, rpc: Client, fields: dict[str, str]) -> None:
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5", **fields})
        found, receipt = rpc("eth_getTransactionByHash", sent), rpc("eth_getTransactionReceipt", sent)
        kind = fields.get("type", "0x0" if fields else "0x2")
        assert found["type"] == receipt["type"] == kind
        assert set(TRANSACTION.split()) <= set(found)
        assert set(receipt) == {*RECEIPT.split(), "blockTimestamp"}  # the last one is anvil's
        assert (found["hash"], found["from"], found["to"], found["value"]) == (sent, ALICE, BOB, "0x5")
        assert (found["chainId"], found["nonce"]) == ("0x1df5e76", "0x0")
        assert ("maxFeePerGas" in found) == (kind == "0x2")
        assert ("yParity" in found) == (kind != "0x0")
        assert rpc("eth_getBalance", BOB) == hex(int(FUNDS, 16) + 5)

    def test_eth_account_signed_transaction_is_accepted(self, rpc: Client) -> None:
        transaction = {
            "to": Oracle.from_key(ALICE_KEY).address, "value": 1, "gas": 5_000_000, "nonce": 0, "chainId": 31415926,
            "maxFeePerGas": 10**6, "maxPriorityFeePerGas": 10**5, "type": 2,
        }  # fmt: skip
        signed = Oracle.sign_transaction(transaction, ALICE_KEY)
        assert rpc("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex()) == "0x" + signed.hash.hex()
        found = rpc("eth_getTransactionByHash", "0x" + signed.hash.hex())
        assert (int(found["r"], 16), int(found["s"], 16), int(found["v"], 16)) == (signed.r, signed.s, signed.v)

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

    def test_refused_transaction_changes_no_state(self, rpc: Client) -> None:
        before = rpc("eth_getBlockByNumber", "latest", False)
        for fields in ({"value": hex(10**23)}, {"gas": "0x5208"}, {"nonce": "0xffff"}, {"chainId": "0x1"}):
            with refusal(-32003):
                rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": "0x500000", **fields})
        with refusal(-32003, "insufficient funds"):
            rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": hex(10**23)})
        with refusal(-32003, "malformed"):
            rpc("eth_sendRawTransaction", "0x02c0")
        assert rpc("eth_getBlockByNumber", "latest", False) == before

    def test_a_failed_transaction_has_status_0(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        request = {"from": ALICE, "to": inbox, "data": calldata(INBOX, "refuse", "no"), "gas": "0x5000000"}
        receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", request))
        assert (receipt["status"], receipt["logs"]) == ("0x0", [])

    def test_a_created_contract_is_in_the_receipt(self, rpc: Client) -> None:
        sent = rpc("eth_sendTransaction", {"from": BOB, "data": "0x" + COUNTER.bytecode.hex()})
        receipt = rpc("eth_getTransactionReceipt", sent)
        assert (receipt["to"], receipt["status"]) == (None, "0x1")
        assert rpc("eth_getCode", receipt["contractAddress"]) != "0x"

    def test_a_transaction_has_its_place(self, rpc: Client) -> None:
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        found = rpc("eth_getTransactionByHash", sent)
        assert rpc("eth_getTransactionByBlockHashAndIndex", found["blockHash"], "0x0") == found
        assert rpc("eth_getTransactionByBlockNumberAndIndex", found["blockNumber"], "0x0") == found
        assert rpc("eth_getTransactionByBlockNumberAndIndex", "latest", "0x1") is None
        assert rpc("eth_getTransactionByBlockHashAndIndex", NO_HASH, "0x0") is None

    def test_pending_transaction_has_no_block_position(self, rpc: Client) -> None:
        rpc("evm_setAutomine", False)
        assert rpc("anvil_getAutomine") is False
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        found = rpc("eth_getTransactionByHash", sent)
        assert (found["blockHash"], found["blockNumber"], found["transactionIndex"]) == (None, None, None)
        assert rpc("eth_getTransactionReceipt", sent) is None
        assert rpc("eth_getTransactionCount", ALICE, "pending") == "0x1"
        assert rpc("eth_getTransactionCount", ALICE, "latest") == "0x0"
        rpc("evm_mine")
        assert rpc("eth_getTransactionReceipt", sent)["status"] == "0x1"

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

    def test_unknown_transaction_is_null(self, rpc: Client) -> None:
        assert rpc("eth_getTransactionByHash", NO_HASH) is None
        assert rpc("eth_getTransactionReceipt", NO_HASH) is None

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

    def test_the_first_block(self, rpc: Client) -> None:
        found = rpc("eth_getBlockByNumber", "0x0", False)
        assert (found["number"], found["parentHash"], found["transactions"]) == ("0x0", "0x" + "00" * 32, [])

    def test_a_block_has_the_fields_and_constants_of_lotus(self, rpc: Client) -> None:
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        found = rpc("eth_getBlockByNumber", "latest", False)
        assert set(found) == set(BLOCK.split())
        zero = "0x" + "00" * 32
        assert (found["stateRoot"], found["receiptsRoot"], found["mixHash"]) == (zero, zero, zero)
        assert found["sha3Uncles"] == "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
        assert (found["transactionsRoot"], found["gasLimit"]) == (zero, hex(10_000_000_000))
        assert int(found["timestamp"], 16) >= START
        empty = rpc("eth_getBlockByNumber", "0x0", False)
        assert empty["transactionsRoot"] == "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"

    def test_whole_transactions_or_their_hashes(self, rpc: Client) -> None:
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        assert rpc("eth_getBlockByNumber", "latest", False)["transactions"] == [sent]
        assert rpc("eth_getBlockByNumber", "latest", True)["transactions"] == [rpc("eth_getTransactionByHash", sent)]

    def test_hash_and_number_lead_to_the_same_block(self, rpc: Client) -> None:
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        found = rpc("eth_getBlockByNumber", "latest", True)
        assert rpc("eth_getBlockByHash", found["hash"], True) == found
        assert rpc("eth_getBlockByNumber", found["number"], True) == found
        assert found["parentHash"] == rpc("eth_getBlockByNumber", "0x0", False)["hash"]
        assert rpc("eth_getBlockTransactionCountByHash", found["hash"]) == "0x1"
        assert rpc("eth_getBlockTransactionCountByNumber", "latest") == "0x1"
        receipts = [rpc("eth_getTransactionReceipt", entry["hash"]) for entry in found["transactions"]]
        assert rpc("eth_getBlockReceipts", "latest") == receipts

    def test_a_block_that_is_not_there_yet_is_null(self, rpc: Client) -> None:
        for method in ("eth_getBlockByNumber", "eth_getBlockTransactionCountByNumber", "eth_getBlockReceipts"):
            assert rpc(method, "0xfffff") is None
        assert rpc("eth_getBlockByHash", NO_HASH) is None

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("eth_getBlockByNumber", [False]), ("eth_getBlockTransactionCountByNumber", []),
            ("eth_getTransactionByBlockNumberAndIndex", ["0x0"]), ("trace_block", []),
            ("trace_replayBlockTransactions", [["trace"]]), ("debug_traceBlockByNumber", []),
        ],
    )  # fmt: skip
    def test_block_at_null_round_is_error_12(self, rpc: Client, method: str, params: list[Any]) -> None:
        """The error is Lotus' ErrNullRound (api/api_errors.go), whose data is the epoch."""
        assert rpc("hypervisor_mineAfterNullRounds", 2) == "0x3"
        with refusal(12, r"requested epoch was a null round \(1\)") as failed:
            rpc(method, "0x1", *params)
        assert failed.value.data == 1

    @pytest.mark.slow
    def test_block_tags_are_accepted(self, rpc: Client) -> None:
        rpc("anvil_mine", 40)
        numbers = {
            tag: int(rpc("eth_getBlockByNumber", tag, False)["number"], 16)
            for tag in ("latest", "pending", "safe", "finalized")
        }
        assert numbers == {"latest": 40, "pending": 40, "safe": 10, "finalized": 0}


class TestFees:
    """Prices."""

    def test_the_price_is_base_fee_and_premium(self, rpc: Client) -> None:
        assert rpc("eth_baseFee") == hex(100)
        assert rpc("eth_maxPriorityFeePerGas") == hex(200_000)
        assert rpc("eth_gasPrice") == hex(200_100)

    def test_the_history_has_one_base_fee_more_than_blocks(self, rpc: Client) -> None:
        for _ in range(3):
            rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        history = rpc("eth_feeHistory", "0x2", "latest", [0, 50, 100])
        assert history["oldestBlock"] == "0x2"
        assert history["baseFeePerGas"] == [hex(100)] * 3
        assert history["reward"] == [[hex(100_000)] * 3] * 2
        used = [int(rpc("eth_getBlockByNumber", at, False)["gasUsed"], 16) for at in ("0x2", "0x3")]
        assert history["gasUsedRatio"] == [gas / 10**10 for gas in used]

    def test_the_history_ends_at_genesis_and_leaves_out_null_rounds(self, rpc: Client) -> None:
        rpc("hypervisor_mineAfterNullRounds", 3)
        history = rpc("eth_feeHistory", 1024, "latest")
        assert (history["oldestBlock"], len(history["baseFeePerGas"])) == ("0x0", 3)
        assert "reward" not in history
        assert rpc("eth_feeHistory", 1, "0x2") == rpc("eth_feeHistory", 1, "0x0")  # from the older tipset

    @pytest.mark.parametrize("params", [["0x401", "latest"], ["0x1", "latest", [50, 10]], ["0x1", "latest", [101]], ["0x1", "latest", [1] * 101]])  # fmt: skip  # noqa: E501  # a list of cases
    def test_invalid_fee_history_parameters_are_rejected(self, rpc: Client, params: list[Any]) -> None:
        with refusal(-32602):
            rpc("eth_feeHistory", *params)


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


def test_answers_are_plain_json(rpc: Client) -> None:
    json.dumps(rpc("eth_getBlockByNumber", "latest", True))
