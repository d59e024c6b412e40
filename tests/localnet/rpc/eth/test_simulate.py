"""Simulated blocks of calls. The cases are those of the execution-apis, with Filecoin's gas."""

from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
from localnet import Network
from localnet.rpc.node import Node
from store.keccak import keccak
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, COUNTER, NOBODY, calldata, deploy
from tests.localnet.rpc.conftest import Client, Failed, client_fixture, refusal

FIRST, SECOND, THIRD, FOURTH = (f"0xc{number}" + "0" * 38 for number in range(4))
NUMBER, TIMESTAMP = "0x435f5260205ff3", "0x425f5260205ff3"
TRANSFER = "0x" + keccak(b"Transfer(address,address,uint256)").hex()


def word(number: int) -> str:
    return f"0x{number:064x}"


def simulated(rpc: Client, *blocks: dict[str, Any], **options: bool) -> list[dict[str, Any]]:
    response: list[dict[str, Any]] = rpc("eth_simulateV1", {"blockStateCalls": list(blocks), **options}, "latest")
    return response


def refused(rpc: Client, *blocks: dict[str, Any], **options: bool) -> tuple[int, str]:
    with pytest.raises(Failed) as failed:
        simulated(rpc, *blocks, **options)
    return failed.value.code, failed.value.message


class TestCalls:
    """Calls: visible state and effects."""

    def test_state_carries_over_between_simulated_blocks(self, rpc: Client) -> None:
        head, root = rpc.node.network.head, rpc.node.network.machine.root
        blocks = simulated(
            rpc,
            {
                "stateOverrides": {FIRST: {"balance": "0x1388"}},
                "calls": [
                    {"from": FIRST, "to": SECOND, "value": "0x7d0"},
                    {"from": FIRST, "to": THIRD, "value": "0x7d0"},
                ],
            },
            {
                "stateOverrides": {
                    THIRD: {"balance": "0x1388"},
                    NOBODY: {"code": f"0x73{FOURTH[2:]}315f5260205ff3"},
                },
                "calls": [
                    {"from": SECOND, "to": FOURTH, "value": "0x3e8"},
                    {"from": THIRD, "to": FOURTH, "value": "0x3e8"},
                    {"to": NOBODY},
                ],
            },
        )
        assert [call["status"] for block in blocks for call in block["calls"]] == ["0x1"] * 5
        assert blocks[1]["calls"][2]["returnData"] == word(2_000)
        assert [int(block["number"], 16) for block in blocks] == [head.height + 1, head.height + 2]
        assert blocks[0]["parentHash"] == "0x" + head.hash.hex()
        assert blocks[1]["parentHash"] == blocks[0]["hash"]
        assert (rpc.node.network.head, rpc.node.network.machine.root) == (head, root)

    def test_a_contract_remembers_and_logs(self, rpc: Client) -> None:
        counter = deploy(rpc, COUNTER)
        increment = {"from": ALICE, "to": counter, "data": calldata(COUNTER, "increment")}
        (block,) = simulated(
            rpc, {"calls": [increment, increment, {"to": counter, "data": calldata(COUNTER, "number")}]}
        )
        assert block["calls"][2]["returnData"] == word(2)
        (receipt,) = [rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", increment))]
        assert [log["topics"] for log in block["calls"][0]["logs"]] == [log["topics"] for log in receipt["logs"]]
        for place, call in enumerate(block["calls"][:2]):
            for log in call["logs"]:
                assert (log["blockHash"], log["transactionIndex"]) == (block["hash"], hex(place))
                assert log["transactionHash"] == block["transactions"][place]

    def test_failed_call_is_reported_and_next_call_executes(self, rpc: Client) -> None:
        codes = {FIRST: {"code": "0x60aa5f5260205ffd"}, SECOND: {"code": "0xfe"}, THIRD: {"code": NUMBER}}
        calls = [{"to": FIRST}, {"to": SECOND}, {"to": THIRD}]
        (block,) = simulated(rpc, {"stateOverrides": codes, "calls": calls})
        reverted, invalid, fine = block["calls"]
        assert (reverted["status"], reverted["error"]["code"], reverted["error"]["data"]) == ("0x0", 3, word(0xAA))
        assert reverted["error"]["message"].startswith("execution reverted")
        assert (invalid["status"], invalid["error"]["code"]) == ("0x0", -32015)
        assert invalid["error"]["message"].startswith("vm execution error")
        assert (fine["status"], "error" in fine) == ("0x1", False)

    def test_a_block_that_the_network_makes_has_the_same_receipts(self, rpc: Client) -> None:
        counter = deploy(rpc, COUNTER)
        request = {"from": ALICE, "to": counter, "data": calldata(COUNTER, "increment"), "gas": "0x5f5e100"}
        fees = {"maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x186a0"}
        (block,) = simulated(rpc, {"calls": [{**request, **fees}]}, validation=True)
        receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", {**request, **fees}))
        made = rpc("eth_getBlockByNumber", receipt["blockNumber"], False)
        assert block["baseFeePerGas"] == made["baseFeePerGas"]
        assert (block["number"], block["parentHash"]) == (made["number"], made["parentHash"])
        # Nobody signed the simulated one: its message on chain is five bytes of prefix and tag shorter or longer.
        assert int(block["calls"][0]["gasUsed"], 16) == pytest.approx(int(receipt["gasUsed"], 16), rel=0.01)

    def test_full_transactions_are_returned(self, rpc: Client) -> None:
        (block,) = simulated(rpc, {"calls": [{"from": ALICE, "to": BOB, "value": "0x5"}]}, returnFullTransactions=True)
        (found,) = block["transactions"]
        assert (found["from"], found["to"], found["value"], found["blockHash"]) == (ALICE, BOB, "0x5", block["hash"])


class TestBlocks:
    """Numbers and fields of simulated blocks."""

    def test_numbers_and_times_are_chosen(self, rpc: Client) -> None:
        head = rpc.node.network.head
        codes = {FIRST: {"code": NUMBER}, SECOND: {"code": TIMESTAMP}}
        places = [{"number": hex(head.height + 10)}, {"time": hex(head.timestamp + 500)}, {}]
        blocks = simulated(
            rpc,
            *(
                {"stateOverrides": codes, "blockOverrides": place, "calls": [{"to": FIRST}, {"to": SECOND}]}
                for place in places
            ),
        )
        results = [[int(call["returnData"], 16) for call in block["calls"]] for block in blocks]
        assert results == [
            [head.height + 10, head.timestamp + 1],
            [head.height + 11, head.timestamp + 500],
            [head.height + 12, head.timestamp + 501],
        ]

    def test_order_and_number_are_bounded(self, rpc: Client) -> None:
        head = rpc.node.network.head
        assert refused(rpc, {"blockOverrides": {"number": hex(head.height)}})[0] == -38020
        assert refused(rpc, {"blockOverrides": {"time": hex(head.timestamp)}})[0] == -38021
        assert refused(rpc, {"blockOverrides": {"number": hex(head.height + 257)}})[0] == -38026
        assert refused(rpc, *[{}] * 257)[0] == -38026
        assert len(simulated(rpc, *[{}] * 3)) == 3

    def test_base_fee_of_simulated_blocks(self, rpc: Client) -> None:
        paid = {"from": ALICE, "to": BOB, "maxFeePerGas": "0x3b9aca00"}
        free, dear, checked = (
            simulated(rpc, {"calls": [paid]})[0],
            simulated(rpc, {"calls": [paid], "blockOverrides": {"baseFeePerGas": "0x9"}})[0],
            simulated(rpc, {"calls": [paid]}, validation=True)[0],
        )
        assert (free["baseFeePerGas"], dear["baseFeePerGas"]) == ("0x0", "0x9")
        assert checked["baseFeePerGas"] == rpc("eth_baseFee")


class TestValidation:
    """Checks with validation only, and checks of all calls."""

    def test_value_above_balance_is_refused(self, rpc: Client) -> None:
        assert refused(rpc, {"calls": [{"from": FIRST, "to": SECOND, "value": "0x1"}]})[0] == -38014

    def test_nonce_and_fees_are_checked_only_with_validation(self, rpc: Client) -> None:
        fees = {"maxFeePerGas": "0x3b9aca00"}
        nonce = int(rpc("eth_getTransactionCount", ALICE), 16)
        rpc("anvil_setNonce", ALICE, hex(nonce + 5))
        for given, code in ((nonce, -38010), (nonce + 9, -38011)):
            call = {"from": ALICE, "to": BOB, "nonce": hex(given), **fees}
            assert refused(rpc, {"calls": [call]}, validation=True)[0] == code
            assert simulated(rpc, {"calls": [call]})[0]["calls"][0]["status"] == "0x1"
        assert refused(rpc, {"calls": [{"from": ALICE, "to": BOB}]}, validation=True)[0] == -38012
        assert refused(rpc, {"calls": [{"from": ALICE, "to": BOB, "gas": "0x1", **fees}]}, validation=True)[0] == -38013
        poor = {"from": FIRST, "to": BOB, "gas": "0x5f5e100", **fees}
        assert refused(rpc, {"calls": [poor]}, validation=True)[0] == -38014

    def test_calls_share_the_block_gas_limit(self, rpc: Client) -> None:
        assert refused(rpc, {"calls": [{"to": BOB, "gas": hex(10_000_000_001)}]})[0] == -38015

    @pytest.mark.parametrize("payload", [None, 3, {}, {"blockStateCalls": 3}, {"blockStateCalls": []},
                                         {"blockStateCalls": [3]},
                                         {"blockStateCalls": [{"calls": [{"to": "0x"}]}]},
                                         {"blockStateCalls": [{}], "validation": 1}])  # fmt: skip
    def test_malformed_simulation_is_refused(self, rpc: Client, payload: Any) -> None:
        with refusal(-32602):
            rpc("eth_simulateV1", payload)


class TestTransfers:
    """Logs of transfers in the form of the execution-apis' traceTransfers cases."""

    def test_each_transfer_is_logged(self, rpc: Client) -> None:
        # Forwards the value that it gets to THIRD.
        forward = f"0x5f5f5f5f3473{THIRD[2:]}5af1"
        supposed = {FIRST: {"balance": "0x3e8"}, SECOND: {"code": forward}}
        call = {"from": FIRST, "to": SECOND, "value": "0x3e8"}
        (block,) = simulated(rpc, {"stateOverrides": supposed, "calls": [call]}, traceTransfers=True)
        logs = block["calls"][0]["logs"]
        assert [log["address"] for log in logs] == ["0x" + "ee" * 20] * 2
        assert [log["topics"] for log in logs] == [
            [TRANSFER, "0x" + "00" * 12 + FIRST[2:], "0x" + "00" * 12 + SECOND[2:]],
            [TRANSFER, "0x" + "00" * 12 + SECOND[2:], "0x" + "00" * 12 + THIRD[2:]],
        ]
        assert [log["data"] for log in logs] == [word(1_000)] * 2
        assert [log["logIndex"] for log in logs] == ["0x0", "0x1"]
        assert simulated(rpc, {"stateOverrides": supposed, "calls": [call]})[0]["calls"][0]["logs"] == []

    def test_reverted_transfers_are_not_traced(self, rpc: Client) -> None:
        supposed = {FIRST: {"balance": "0x3e8"}, SECOND: {"code": f"0x5f5f5f5f3473{THIRD[2:]}5af15f5ffd"}}
        call = {"from": FIRST, "to": SECOND, "value": "0x3e8"}
        (block,) = simulated(rpc, {"stateOverrides": supposed, "calls": [call]}, traceTransfers=True)
        assert (block["calls"][0]["status"], block["calls"][0]["logs"]) == ("0x0", [])


def test_official_actors_simulate_too(official_rpc: Client) -> None:
    call = {"from": ALICE, "to": BOB, "value": "0x5"}
    (block,) = simulated(official_rpc, {"calls": [call]}, traceTransfers=True)
    assert block["calls"][0]["status"] == "0x1"
    assert len(block["calls"][0]["logs"]) == 1


ethereum = client_fixture(lambda: Network(clock=Clock(), rules="ethereum"))


class TestCallsUnderEthereumRules:
    """Calls as go-ethereum 1.17.10 simulates them."""

    def test_blockhash_is_the_hash_of_a_simulated_block(self, ethereum: Client) -> None:
        codes = {FIRST: {"code": "0x6001405f5260205ff3"}}  # returns BLOCKHASH(1)
        first, _, third = simulated(ethereum, {}, {}, {"stateOverrides": codes, "calls": [{"to": FIRST}]})
        assert third["calls"][0]["returnData"] == first["hash"]

    def test_priced_call_pays_without_validation(self, ethereum: Client) -> None:
        state = {FIRST: {"code": f"0x73{SECOND[2:]}315f5260205ff3"}}
        calls = [{"from": ALICE, "to": BOB, "gasPrice": "0x2", "gas": "0x5208"}, {"to": FIRST}]
        block = {"blockOverrides": {"feeRecipient": SECOND}, "stateOverrides": state, "calls": calls}
        assert simulated(ethereum, block)[0]["calls"][1]["returnData"] == word(2 * 21_000)
        assert refused(ethereum, {"calls": [{"from": FIRST, "to": BOB, "gasPrice": "0x1"}]})[0] == -38014

    def test_highest_nonce_can_be_overridden_but_not_used(self, ethereum: Client) -> None:
        state = {FIRST: {"nonce": hex((1 << 64) - 1)}}
        assert refused(ethereum, {"stateOverrides": state, "calls": [{"from": FIRST, "to": BOB}]})[0] == -32603
        block = {"stateOverrides": state, "calls": [{"from": ALICE, "to": FIRST}]}
        assert simulated(ethereum, block)[0]["calls"][0]["status"] == "0x1"

    def test_index_of_a_reverted_log_is_used_again(self, ethereum: Client) -> None:
        """As in go-ethereum since 1.17.10 (internal/ethapi/logtracer.go, `onExit`)."""
        inner = {"code": "0x5f5fa05f5ffd"}  # LOG0 REVERT
        outer = {"code": f"0x5f5fa05f5f5f5f5f73{FIRST[2:]}5af1505f5fa000"}  # LOG0 CALL LOG0
        block = {"stateOverrides": {FIRST: inner, SECOND: outer}, "calls": [{"to": SECOND}, {"to": SECOND}]}
        calls = simulated(ethereum, block)[0]["calls"]
        assert [log["logIndex"] for call in calls for log in call["logs"]] == ["0x0", "0x1", "0x2", "0x3"]


LISTED = [{"address": BOB, "storageKeys": []}]
PRICED = {"gasPrice": hex(10**10)}


@pytest.mark.parametrize(
    ("hardfork", "fields", "kind"),
    [
        ("berlin", {}, "0x0"), ("berlin", {"accessList": LISTED}, "0x1"), ("osaka", {}, "0x2"),
        ("osaka", PRICED, "0x0"), ("osaka", {"accessList": LISTED}, "0x2"), ("osaka", {"type": "0x1"}, "0x2"),
    ],
)  # fmt: skip
def test_type_of_simulated_transaction_follows_fork_and_fields(
    hardfork: str, fields: dict[str, Any], kind: str
) -> None:
    """Without an explicit type it is that of go-ethereum internal/ethapi, `TransactionArgs.ToTransaction`."""
    with Network(clock=Clock(), rules="ethereum", hardfork=hardfork) as network:
        calls = [{"from": ALICE, "to": BOB, **fields}]
        (block,) = simulated(Client(Node(network)), {"calls": calls}, returnFullTransactions=True)
    (found,) = block["transactions"]
    assert (found["type"], found.get("accessList", [])) == (kind, fields.get("accessList", []))


def test_an_authorization_lets_an_account_run_code(ethereum: Client) -> None:
    """EIP-7702: an authorization costs 25,000 gas, of which 12,500 are refunded for an account that exists."""
    owner = ethereum.node.network.accounts[1]
    signed = owner.sign_authorization(EthAddress(bytes.fromhex(FIRST[2:])), 0, ethereum.node.network.chain_id)
    item = {
        "chainId": hex(signed.chain_id),
        "address": FIRST,
        "nonce": hex(signed.nonce),
        "yParity": hex(signed.y_parity),
        "r": hex(signed.r),
        "s": hex(signed.s),
    }
    calls = [
        {"from": ALICE, "to": NOBODY, "authorizationList": [item]},
        {"from": ALICE, "to": f"0x{owner.address.hex()}"},
    ]
    (block,) = simulated(ethereum, {"stateOverrides": {FIRST: {"code": NUMBER}}, "calls": calls})
    used = 21_000 + 25_000
    assert int(block["calls"][0]["gasUsed"], 16) == used - min(12_500, used // 5)
    assert block["calls"][1]["returnData"] == word(1)


def test_filecoins_rules_refuse_access_lists(rpc: Client) -> None:
    access = [{"address": SECOND, "storageKeys": []}]
    assert refused(rpc, {"calls": [{"to": BOB, "accessList": access}]}) == (
        -32602,
        "invalid params: accessList is not supported under these rules: a Filecoin message cannot carry one; omit it",
    )
