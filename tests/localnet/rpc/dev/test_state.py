"""Manual state changes over RPC, and senders without keys."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from hypervisor.bundles.bundle import Bundle
from localnet import Artifact, Network
from localnet.chain.clock import LATEST_TIME
from localnet.rpc.dev.state import MAX_SLOTS
from localnet.rpc.node import BlockTimer, Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, COUNTER, NO_HASH, NOBODY, calldata, deploy
from tests.localnet.rpc.conftest import Client, Failed, refusal

ONE = f"0x{1:064x}"


class TestChanges:
    """Methods by the names of anvil and Hardhat."""

    def test_code_storage_and_nonce(self, rpc: Client) -> None:
        counter = deploy(rpc, COUNTER)
        assert rpc("hardhat_setCode", NOBODY, rpc("eth_getCode", counter)) is None
        assert rpc("anvil_setStorageAt", NOBODY, "0x0", ONE) is True
        assert rpc("eth_getStorageAt", NOBODY, "0x0") == ONE
        assert rpc("eth_call", {"to": NOBODY, "data": calldata(COUNTER, "number")}) == ONE
        assert rpc("anvil_setNonce", BOB, "0x7") is None
        assert rpc("eth_getTransactionCount", BOB) == "0x7"
        assert rpc("eth_getTransactionCount", BOB, "pending") == "0x7"

    def test_balances_of_either_kind_of_address(self, rpc: Client) -> None:
        native = str(rpc.node.network.accounts[0].native)
        assert rpc("anvil_setBalance", native, "0x5") is None
        assert rpc("anvil_addBalance", native, "0x6") is None
        assert rpc.node.network.balance(native) == 11
        with refusal(-32602, "invalid address: 'f1abc' has an invalid length"):
            rpc("anvil_setBalance", "f1abc", "0x5")

    def test_a_state_goes_out_and_in(self, rpc: Client) -> None:
        with Network(bundle=Bundle.embedded("supply-share"), clock=Clock()) as network:
            of_others = f"0x{network.dump_state().hex()}"
        rpc("anvil_setBalance", NOBODY, "0x64")
        state = rpc("anvil_dumpState")
        rpc("anvil_setBalance", NOBODY, "0x0")
        assert rpc("anvil_loadState", state) is True
        assert rpc("eth_getBalance", NOBODY) == "0x64"
        for refused in (of_others, "0x", "0x00", "0x1f8b"):
            with refusal(-32602):
                rpc("anvil_loadState", refused)
        with pytest.raises(Failed, match="not a state dump of a network: it is not compressed with gzip"):
            rpc("anvil_loadState", "0x00")
        assert rpc("eth_getBalance", NOBODY) == "0x64"


class TestTheChain:
    """Reverted blocks and pending transactions."""

    def test_blocks_are_rolled_back(self, fresh: Client) -> None:
        before = fresh("eth_getBlockByNumber", "latest", False)
        sent = fresh("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
        fresh("evm_mine")
        assert fresh("anvil_rollback", 2) is None
        assert fresh("eth_getBlockByNumber", "latest", False) == before
        assert fresh("eth_getTransactionReceipt", sent) is None
        with refusal(-32602, "the chain has"):
            fresh("anvil_rollback", 10**6)

    def test_snapshot_of_rolled_back_block_is_invalid(self, fresh: Client) -> None:
        fresh("evm_mine")
        snapshot = fresh("evm_snapshot")
        assert fresh("anvil_rollback") is None
        assert fresh("evm_revert", snapshot) is False

    def test_reset_restarts_chain_at_genesis(self, fresh: Client) -> None:
        fresh("evm_increaseTime", 1_000)
        fresh("anvil_mine", 3)
        assert fresh("anvil_reset") is None
        assert fresh("eth_blockNumber") == "0x0"
        with refusal(-32602, "start a node with --fork-url"):
            fresh("anvil_reset", {"forking": {"jsonRpcUrl": "http://127.0.0.1:1"}})

    def test_drop_transaction_removes_pending_ones(self, rpc: Client) -> None:
        rpc("evm_setAutomine", False)
        sent = [rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "nonce": hex(_nonce(rpc) + n)}) for n in range(3)]
        assert rpc("anvil_dropTransaction", sent[0]) == sent[0]
        assert rpc("anvil_dropTransaction", NO_HASH) is None
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
        assert rpc("hardhat_setNextBlockBaseFeePerGas", "0x1388") is None
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

    def test_node_info_matches_chain(self, rpc: Client) -> None:
        info, about = rpc("anvil_nodeInfo"), rpc("hardhat_metadata")
        assert (
            info["currentBlockNumber"] == rpc("eth_blockNumber") == hex(about["latestBlockNumber"])
        )  # as anvil 1.7 has it
        assert info["environment"]["chainId"] == about["chainId"] == 31415926
        assert info["environment"]["gasPrice"] == rpc("eth_gasPrice")
        assert len(about["instanceId"]) == 66


def _nonce(rpc: Client) -> int:
    return int(rpc("eth_getTransactionCount", ALICE), 16)


TOKEN = Artifact.load(Path(__file__).resolve().parents[4] / "examples" / "dual-token" / "DualToken.json")


def _token(rpc: Client) -> str:
    """Deploy a token whose whole supply, 1,000, belongs to the first account."""
    data = TOKEN.interface.encode_constructor(TOKEN.bytecode, 1_000)
    sent = rpc("eth_sendTransaction", {"from": ALICE, "data": f"0x{data.hex()}"})
    return str(rpc("eth_getTransactionReceipt", sent)["contractAddress"])


class TestTokens:
    """Balances and allowances set as in anvil, whose result is null; here it is true."""

    def test_erc20_balance_equals_dealt_amount(self, rpc: Client) -> None:
        token = _token(rpc)
        supply = rpc("eth_call", {"to": token, "data": calldata(TOKEN, "totalSupply")})
        for method, amount in (("anvil_dealERC20", 5), ("hardhat_dealERC20", 0), ("anvil_setERC20Balance", 2**200)):
            assert rpc(method, BOB, token, hex(amount)) is None
            assert int(rpc("eth_call", {"to": token, "data": calldata(TOKEN, "balanceOf", BOB)}), 16) == amount
        assert rpc("eth_call", {"to": token, "data": calldata(TOKEN, "totalSupply")}) == supply

    def test_anvil_set_erc20_allowance_sets_allowance(self, rpc: Client) -> None:
        token = _token(rpc)
        assert rpc("anvil_setERC20Allowance", BOB, ALICE, token, "0x7") is None
        assert int(rpc("eth_call", {"to": token, "data": calldata(TOKEN, "allowance", BOB, ALICE)}), 16) == 7
        assert int(rpc("eth_call", {"to": token, "data": calldata(TOKEN, "allowance", ALICE, BOB)}), 16) == 0

    def test_deal_erc20_leaves_other_slots_read_unchanged(self, rpc: Client) -> None:
        # SLOAD 0, POP, SLOAD 1, return the word: what a token does that may be paused
        rpc("anvil_setCode", NOBODY, "0x5f54506001545f5260205ff3")
        rpc("anvil_dealERC20", BOB, NOBODY, "0x9")
        slots = [int(rpc("eth_getStorageAt", NOBODY, hex(slot), "latest"), 16) for slot in range(2)]
        assert slots == [0, 9]

    @pytest.mark.slow
    def test_deal_erc20_tries_at_most_one_hundred_slots(self, rpc: Client) -> None:
        def answering_200_behind(others: int) -> str:
            """Return code that reads other slots (PUSH1, SLOAD, POP) before the one that it returns, 200."""
            return "0x" + "".join(f"60{slot:02x}5450" for slot in range(others)) + "60c8545f5260205ff3"

        rpc("anvil_setCode", NOBODY, answering_200_behind(MAX_SLOTS - 1))
        rpc("anvil_dealERC20", BOB, NOBODY, "0x9")
        rpc("anvil_setCode", NOBODY, answering_200_behind(MAX_SLOTS))
        with pytest.raises(Failed, match="cannot be set: no storage slot contains it"):
            rpc("anvil_dealERC20", BOB, NOBODY, "0x8")
        assert int(rpc("eth_getStorageAt", NOBODY, "0xc8", "latest"), 16) == 9

    def test_deal_erc20_rejects_non_token(self, rpc: Client) -> None:
        for address in (deploy(rpc, COUNTER), BOB):
            before = rpc("eth_getStorageAt", address, "0x0", "latest")
            with refusal(-32000, "cannot be set: no storage slot contains it"):
                rpc("anvil_dealERC20", BOB, address, "0x1")
            assert rpc("eth_getStorageAt", address, "0x0", "latest") == before
        with pytest.raises(Failed, match="more than 256 bits"):
            rpc("anvil_dealERC20", BOB, _token(rpc), hex(1 << 256))


class TestReorganisation:
    """anvil_reorg: replacement of the newest blocks."""

    def test_anvil_reorg_replaces_blocks_at_same_heights(self, fresh: Client) -> None:
        counter = deploy(fresh, COUNTER)
        fresh("anvil_mine", 3)
        head, before = fresh("eth_blockNumber"), fresh("eth_getBlockByNumber", "latest", False)
        gone = fresh("eth_getBlockByNumber", hex(int(head, 16) - 1), False)
        increment = {"from": ALICE, "to": counter, "data": calldata(COUNTER, "increment")}
        signed = fresh("eth_signTransaction", {"from": BOB, "to": ALICE, "value": "0x1"})
        assert fresh("anvil_reorg", 2, [[increment, 1], [signed, 0], [increment, 1]]) is None
        assert fresh("eth_blockNumber") == head
        assert fresh("anvil_getAutomine") is True
        assert fresh("eth_call", {"to": counter, "data": calldata(COUNTER, "number")}) == f"0x{2:064x}"
        counts = [fresh("eth_getBlockTransactionCountByNumber", hex(int(head, 16) - back)) for back in (2, 1, 0)]
        assert counts == ["0x0", "0x1", "0x2"]
        for block in (before, gone):
            assert fresh("eth_getBlockByHash", block["hash"], False) is None

    @pytest.mark.parametrize("depth", [1, 2])
    def test_empty_blocks_are_other_ones_too(self, fresh: Client, depth: int) -> None:
        fresh("anvil_mine", 3)
        before = [fresh("eth_getBlockByNumber", hex(height), False)["hash"] for height in range(4)]
        fresh("anvil_reorg", depth)
        after = [fresh("eth_getBlockByNumber", hex(height), False)["hash"] for height in range(4)]
        stays = 4 - depth
        assert [one == other for one, other in zip(before, after, strict=True)] == [True] * stays + [False] * depth

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ([5], "the chain has 2 blocks"),
            ([1, [[{"from": ALICE}, 1]]], "the new blocks have the numbers 0 to 0"),
            ([1, [["0x00"]]], "expected pairs"),
            ([1, 7], "is not a list"),
            ([1, [[7, 0]]], "transaction"),
        ],
    )
    def test_invalid_reorg_changes_nothing(self, fresh: Client, params: list[Any], message: str) -> None:
        fresh("anvil_mine", 2)
        before = fresh("eth_getBlockByNumber", "latest", False)
        with refusal(-32602, message):
            fresh("anvil_reorg", *params)
        assert fresh("eth_getBlockByNumber", "latest", False) == before

    def test_reorg_depth_is_limited_to_blocks_per_request(self, narrow_rpc: Client) -> None:
        with refusal(-32000, "11 epochs in one request, at most 10"):
            narrow_rpc("anvil_reorg", 11)


def test_genesis_time_is_reported(rpc: Client) -> None:
    assert rpc("anvil_getGenesisTime") == int(rpc("eth_getBlockByNumber", "0x0", False)["timestamp"], 16)


@pytest.mark.parametrize("method", ["eth_getWork", "debug_getRawBlock", "eth_getBlockAccessList"])
def test_unsupported_method_is_refused_with_reason_code(rpc: Client, method: str) -> None:
    with refusal(-32004):
        rpc(method, "0x1")


def test_a_transaction_and_its_receipt_are_one_request(rpc: Client) -> None:
    receipt = rpc("eth_sendTransactionSync", {"from": ALICE, "to": BOB, "value": "0x5"})
    assert receipt == rpc("eth_getTransactionReceipt", receipt["transactionHash"])
    assert receipt["status"] == "0x1"


@pytest.mark.parametrize("timeout", [1, "0x1"])
@pytest.mark.parametrize("method", ["eth_sendRawTransactionSync", "eth_sendTransactionSync"])
def test_receipt_that_is_not_there_in_time_is_error_4_with_the_hash(rpc: Client, method: str, timeout: Any) -> None:
    """Specification: EIP-7966, whose timeout is in milliseconds."""
    request = {"from": ALICE, "to": BOB, "gas": hex(10**7)}
    sent = rpc("eth_signTransaction", request) if "Raw" in method else request
    rpc("evm_setAutomine", False)
    with refusal(4, "has no block after 0.001 seconds") as failed:
        rpc(method, sent, timeout)
    assert rpc("eth_getTransactionByHash", failed.value.data)["blockHash"] is None
    rpc("evm_mine")
    assert rpc("eth_getTransactionReceipt", failed.value.data)["status"] == "0x1"
    rpc("evm_setAutomine", True)


@pytest.mark.parametrize("form", ["%s", "[%s]"])
def test_receipt_is_awaited_until_the_block(rpc: Client, form: str) -> None:
    def body(method: str, *params: Any) -> bytes:
        return (form % json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).encode()

    async def both(sent: str) -> bytes:
        waiting = asyncio.ensure_future(rpc.dispatcher.dispatch(body("eth_sendRawTransactionSync", sent, 10_000)))
        await asyncio.sleep(0)
        await rpc.dispatcher.dispatch(body("evm_mine"))
        return await waiting

    raw = rpc("eth_signTransaction", {"from": ALICE, "to": BOB, "gas": hex(10**7)})
    rpc("evm_setAutomine", False)
    assert b'"status":"0x1"' in asyncio.run(both(raw))
    rpc("evm_setAutomine", True)


def test_blocks_at_an_interval_advance_the_clock_before_each(rpc: Client) -> None:
    """anvil_mine(10, 60) takes 600 seconds in anvil, which advances the clock before the first block, too."""

    def time() -> int:
        return int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    rpc("evm_mine")
    before, height = time(), int(rpc("eth_blockNumber"), 16)
    assert rpc("anvil_mine", 10, 60) is None
    assert (time() - before, int(rpc("eth_blockNumber"), 16) - height) == (600, 10)


@pytest.mark.parametrize(
    ("before", "options", "expected"),
    [
        (None, ["0x3", "0x258"], [1, 601, 1201]),
        (None, ["0x3"], [1, 2, 3]),
        (None, ["0x3", "0x0"], [1, 2, 3]),
        (("evm_increaseTime", 100), ["0x3", "0x258"], [100, 700, 1300]),
        (("evm_setNextBlockTimestamp", 1_000), ["0x3", "0x258"], [1_000, 1_600, 2_200]),
    ],
)
def test_hardhat_mine_applies_the_interval_after_its_first_block(
    before: tuple[str, int] | None, options: list[str], expected: list[int]
) -> None:
    """The times are those of hardhat 2.28.4's network (`npx hardhat node`)."""
    with Network(clock=Clock(), rules="ethereum") as network:
        rpc, head = Client(Node(network)), network.head.timestamp
        if before is not None:
            method, seconds = before
            rpc(method, seconds + (head if method == "evm_setNextBlockTimestamp" else 0))
        assert rpc("hardhat_mine", *options) is True
        assert [network.block(height).timestamp - head for height in (1, 2, 3)] == expected
        assert rpc("hardhat_mine", "0x0") is True
        assert network.block_number == 3


@pytest.mark.parametrize("method", ["hardhat_mine", "anvil_mine"])
def test_blocks_of_which_one_would_be_too_late_are_not_mined(method: str) -> None:
    """The time of a block is at most that of the end of the year 9999, 253,402,300,799."""
    with Network(clock=Clock(), rules="ethereum") as network:
        rpc, head = Client(Node(network)), network.head.timestamp
        with pytest.raises(Failed, match="after the year 9999"):
            rpc(method, 4, (LATEST_TIME - head) // 2)
        assert network.block_number == 0
        rpc(method, 2, (LATEST_TIME - head) // 2 - 9)
        assert network.block_number == 2


def test_hardhat_drop_transaction_returns_a_boolean(rpc: Client) -> None:
    mined = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
    rpc("evm_setAutomine", False)
    sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
    assert [rpc("hardhat_dropTransaction", sent) for _ in range(2)] == [True, False]
    with refusal(-32602, "cannot be dropped"):
        rpc("hardhat_dropTransaction", mined)


@pytest.mark.parametrize(("automine", "seconds"), [(True, 0), (False, 0), (False, 1_000)])
def test_hardhat_reset_restores_the_mining_of_the_start(automine: bool, seconds: int) -> None:
    """In hardhat 2.28.4, a node with automine has it again, and timed blocks end."""
    with Network(clock=Clock()) as network:
        network.automine = automine
        rpc = Client(Node(network, interval=BlockTimer(seconds)))
        rpc("evm_setIntervalMining", 7)
        rpc("evm_setAutomine", not automine)
        assert rpc("anvil_reset") is None
        assert rpc("hardhat_getAutomine") is not automine
        assert rpc("hardhat_reset") is True
        assert (rpc("hardhat_getAutomine"), rpc("anvil_getIntervalMining")) == (automine, seconds or None)


def test_evm_set_time_returns_seconds_to_new_time(rpc: Client) -> None:
    rpc("evm_mine")
    now = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert [rpc("evm_setTime", now + seconds) for seconds in (1_000, 3_000, 2_000)] == [1_000, 2_000, 0]


def test_evm_set_time_reads_numbers_above_a_trillion_as_milliseconds(rpc: Client) -> None:
    """Results of anvil 1.7.1, and Ganache's unit (foundry-rs/foundry#4144)."""
    rpc("evm_mine")
    now = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert rpc("anvil_setTime", (now + 1_000) * 1_000) == 1_000
    rpc("evm_mine")
    assert int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) == now + 1_000


def test_receipts_have_anvils_fields_under_ethereums_rules() -> None:
    """The keys are those of a receipt of anvil 1.7.1, whose block timestamp is a number."""
    with Network(clock=Clock(), rules="ethereum") as network:
        rpc = Client(Node(network))
        access: dict[str, Any] = {"gasPrice": hex(3 * 10**9), "accessList": []}
        receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, **access}))
        assert set(receipt) == {
            "type", "status", "cumulativeGasUsed", "logs", "logsBloom", "transactionHash", "transactionIndex",
            "blockHash", "blockNumber", "gasUsed", "effectiveGasPrice", "blobGasPrice", "from", "to", "contractAddress",
            "blockTimestamp",
        }  # fmt: skip
        assert (receipt["type"], receipt["blobGasPrice"]) == ("0x1", "0x1")
        assert receipt["blockTimestamp"] == network.head.timestamp


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("0x634e487b7160e01b5f52600160045260245ffd", "execution reverted: panic: assertion failed (0x01)"),
        ("0x63deadbeef60e01b5f52600760045260245ffd", f"execution reverted: custom error 0xdeadbeef: {7:064x}"),
    ],
)
def test_revert_message_matches_anvil_under_ethereum_rules(code: str, words: str) -> None:
    with Network(clock=Clock(), rules="ethereum") as network:
        rpc = Client(Node(network))
        rpc("anvil_setCode", NOBODY, code)
        for method in ("eth_call", "eth_estimateGas", "eth_sendTransaction"):
            with pytest.raises(Failed) as failed:
                rpc(method, {"from": ALICE, "to": NOBODY})
            assert (failed.value.code, failed.value.message) == (3, words)
