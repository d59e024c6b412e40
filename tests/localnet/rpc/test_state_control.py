"""States that are changed by hand over RPC, and senders without keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, COUNTER, NO_HASH, NOBODY, calldata, deploy
from tests.localnet.rpc.conftest import Client, Failed

ONE = f"0x{1:064x}"


@pytest.fixture
def fresh() -> Iterator[Client]:
    """A client of a network that no other test goes on with: it may go back to where it began."""
    with Network(clock=Clock()) as network:
        yield Client(Node(network))


class TestImpersonation:
    """eth_sendTransaction without a key."""

    def test_somebody_else_sends_while_it_lasts(self, rpc: Client) -> None:
        rpc("anvil_setBalance", NOBODY, hex(10**18))
        payment = {"from": NOBODY, "to": BOB, "value": "0x5"}
        with pytest.raises(Failed, match="unknown account") as failed:
            rpc("eth_sendTransaction", payment)
        assert failed.value.code == -32000
        assert rpc("hardhat_impersonateAccount", NOBODY) is True
        receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", payment))
        assert (receipt["from"], receipt["status"], receipt["type"]) == (NOBODY, "0x1", "0x2")
        found = rpc("eth_getTransactionByHash", receipt["transactionHash"])
        assert (found["from"], found["nonce"], found["value"], found["r"]) == (NOBODY, "0x0", "0x5", "0x0")
        assert rpc("anvil_stopImpersonatingAccount", NOBODY) is True
        assert rpc("anvil_stopImpersonatingAccount", NOBODY) is False
        with pytest.raises(Failed, match="unknown account"):
            rpc("eth_sendTransaction", payment)

    def test_everybody_sends(self, fresh: Client) -> None:
        counter = deploy(fresh, COUNTER)
        assert fresh("anvil_autoImpersonateAccount", True) is True
        sent = fresh("eth_sendTransaction", {"from": counter, "to": counter, "data": calldata(COUNTER, "increment")})
        assert fresh("eth_getTransactionReceipt", sent)["status"] == "0x1"
        assert fresh("eth_call", {"to": counter, "data": calldata(COUNTER, "number")}) == ONE
        assert fresh("debug_traceTransaction", sent, {"tracer": "callTracer"})["from"] == counter
        fresh("anvil_reset")
        with pytest.raises(Failed, match="unknown account"):
            fresh("eth_sendTransaction", {"from": counter, "to": counter})

    def test_a_transaction_that_needs_no_permission(self, rpc: Client) -> None:
        system = "0xff00000000000000000000000000000000000000"
        sent = rpc("eth_sendUnsignedTransaction", {"from": system, "to": BOB})
        assert rpc("eth_getTransactionReceipt", sent)["from"] == system


class TestChanges:
    """anvil's and Hardhat's names of them."""

    def test_code_storage_and_nonce(self, rpc: Client) -> None:
        counter = deploy(rpc, COUNTER)
        assert rpc("hardhat_setCode", NOBODY, rpc("eth_getCode", counter)) is True
        assert rpc("anvil_setStorageAt", NOBODY, "0x0", ONE) is True
        assert rpc("eth_getStorageAt", NOBODY, "0x0") == ONE
        assert rpc("eth_call", {"to": NOBODY, "data": calldata(COUNTER, "number")}) == ONE
        assert rpc("anvil_setNonce", BOB, "0x7") is True
        assert rpc("eth_getTransactionCount", BOB) == "0x7"
        assert rpc("eth_getTransactionCount", BOB, "pending") == "0x7"

    def test_balances_of_either_kind_of_address(self, rpc: Client) -> None:
        native = str(rpc.node.network.accounts[0].native)
        assert rpc("anvil_setBalance", native, "0x5") is True
        assert rpc("anvil_addBalance", native, "0x6") is True
        assert rpc.node.network.balance(native) == 11
        with pytest.raises(Failed, match="is no address") as failed:
            rpc("anvil_setBalance", "f1abc", "0x5")
        assert failed.value.code == -32602

    def test_a_state_goes_out_and_in(self, rpc: Client, official_rpc: Client) -> None:
        rpc("anvil_setBalance", NOBODY, "0x64")
        state = rpc("anvil_dumpState")
        rpc("anvil_setBalance", NOBODY, "0x0")
        assert rpc("anvil_loadState", state) is True
        assert rpc("eth_getBalance", NOBODY) == "0x64"
        for refused in (official_rpc("anvil_dumpState"), "0x", "0x1f8b"):
            with pytest.raises(Failed) as failed:
                rpc("anvil_loadState", refused)
            assert failed.value.code == -32602
        assert rpc("eth_getBalance", NOBODY) == "0x64"


class TestTheChain:
    """Blocks that go, and what waits."""

    def test_blocks_are_rolled_back(self, fresh: Client) -> None:
        before = fresh("eth_getBlockByNumber", "latest", False)
        sent = fresh("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
        fresh("evm_mine")
        assert fresh("anvil_rollback", 2) is None
        assert fresh("eth_getBlockByNumber", "latest", False) == before
        assert fresh("eth_getTransactionReceipt", sent) is None
        with pytest.raises(Failed, match="the chain has") as failed:
            fresh("anvil_rollback", 10**6)
        assert failed.value.code == -32602

    def test_a_snapshot_of_what_is_gone_is_gone(self, fresh: Client) -> None:
        fresh("evm_mine")
        snapshot = fresh("evm_snapshot")
        assert fresh("anvil_rollback") is None
        assert fresh("evm_revert", snapshot) is False

    def test_it_begins_anew(self, fresh: Client) -> None:
        fresh("evm_increaseTime", 1_000)
        fresh("anvil_mine", 3)
        assert fresh("hardhat_reset") is True
        assert fresh("eth_blockNumber") == "0x0"
        with pytest.raises(Failed, match="does not fork") as failed:
            fresh("anvil_reset", {"forking": {"jsonRpcUrl": "http://127.0.0.1:1"}})
        assert failed.value.code == -32602

    def test_what_waits_is_dropped(self, rpc: Client) -> None:
        rpc("evm_setAutomine", False)
        sent = [rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "nonce": hex(_nonce(rpc) + n)}) for n in range(3)]
        assert rpc("hardhat_dropTransaction", sent[0]) is True
        assert rpc("anvil_dropTransaction", NO_HASH) is False
        assert rpc("eth_getTransactionByHash", sent[0]) is None
        rpc("anvil_removePoolTransactions", BOB)
        assert rpc("eth_getTransactionByHash", sent[1])["hash"] == sent[1]
        rpc("anvil_dropAllTransactions")
        assert rpc("eth_getTransactionByHash", sent[1]) is None

    def test_new_blocks_in_detail(self, rpc: Client) -> None:
        rpc("evm_setAutomine", False)
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        blocks = rpc("evm_mine_detailed", {"blocks": 2})
        assert [len(block["transactions"]) for block in blocks] == [1, 0]
        assert blocks[0]["transactions"][0]["hash"] == sent

    def test_a_receipt_at_once(self, rpc: Client) -> None:
        raw = rpc("eth_signTransaction", {"from": ALICE, "to": BOB})
        assert rpc("eth_sendRawTransactionSync", raw)["status"] == "0x1"

    def test_fees_and_times(self, rpc: Client) -> None:
        assert rpc("hardhat_setNextBlockBaseFeePerGas", "0x1388") is True
        rpc("anvil_setBlockTimestampInterval", 12)
        rpc("anvil_mine", 2)
        blocks = [rpc("eth_getBlockByNumber", hex(int(rpc("eth_blockNumber"), 16) - back), False) for back in (1, 0)]
        assert blocks[0]["baseFeePerGas"] == "0x1388"
        assert int(blocks[1]["timestamp"], 16) - int(blocks[0]["timestamp"], 16) == 12
        assert rpc("anvil_removeBlockTimestampInterval") is True
        later = int(blocks[1]["timestamp"], 16) + 5_000
        rpc("evm_setTime", later)
        rpc("evm_mine")
        assert int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) == later

    def test_what_the_node_is(self, rpc: Client) -> None:
        info, about = rpc("anvil_nodeInfo"), rpc("hardhat_metadata")
        assert info["currentBlockNumber"] == int(rpc("eth_blockNumber"), 16) == about["latestBlockNumber"]
        assert info["environment"]["chainId"] == about["chainId"] == 31415926
        assert info["environment"]["gasPrice"] == rpc("eth_gasPrice")
        assert len(about["instanceId"]) == 66


def _nonce(rpc: Client) -> int:
    return int(rpc("eth_getTransactionCount", ALICE), 16)
