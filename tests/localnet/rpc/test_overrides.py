"""Calls with overridden accounts and blocks, and access lists."""

from typing import Any

import pytest

from localnet import Network
from tests.localnet.conftest import START
from tests.localnet.rpc.asking import ALICE, BOB, COUNTER, NOBODY, calldata, deploy
from tests.localnet.rpc.conftest import Client, Failed, refusal

BALANCE_OF_BOB = "0x73" + BOB[2:] + "315f5260205ff3"
NUMBER, TIMESTAMP, BASE_FEE = ("0x" + opcode + "5f5260205ff3" for opcode in ("43", "42", "48"))
SLOT_OF_CALLDATA = "0x5f35545f5260205ff3"


def word(number: int) -> str:
    return f"0x{number:064x}"


class TestAccounts:
    """Overrides of balance, code, slots and nonce."""

    @pytest.mark.parametrize("amount", [0, 5, 10**26])
    def test_balance_override_applies(self, rpc: Client, amount: int) -> None:
        supposed = {NOBODY: {"code": BALANCE_OF_BOB}, BOB: {"balance": hex(amount)}}
        assert rpc("eth_call", {"to": NOBODY}, "latest", supposed) == word(amount)

    def test_code_and_slot_overrides_apply(self, rpc: Client) -> None:
        asked = {"to": NOBODY, "data": word(7)}
        code = {"code": SLOT_OF_CALLDATA}
        assert rpc("eth_call", asked, "latest", {NOBODY: code}) == word(0)
        assert rpc("eth_call", asked, "latest", {NOBODY: {**code, "stateDiff": {word(7): word(9)}}}) == word(9)

    def test_state_diff_and_full_state_overrides_differ(self, rpc: Client) -> None:
        counter = deploy(rpc, COUNTER)
        rpc("anvil_setStorageAt", counter, "0x0", word(3))
        number = {"to": counter, "data": calldata(COUNTER, "number")}
        assert rpc("eth_call", number, "latest", {counter: {"stateDiff": {word(1): word(1)}}}) == word(3)
        assert rpc("eth_call", number, "latest", {counter: {"state": {word(1): word(1)}}}) == word(0)
        assert rpc("eth_call", number, "latest", {counter: {"state": {word(0): word(8)}}}) == word(8)
        assert rpc("eth_call", number) == word(3)

    def test_overrides_do_not_persist(self, rpc: Client) -> None:
        before = (rpc.node.network.machine.root, rpc("eth_getBalance", ALICE))
        rpc(
            "eth_call",
            {"to": NOBODY},
            "latest",
            {ALICE: {"balance": "0x0", "nonce": "0x9"}, NOBODY: {"code": NUMBER}},
        )
        assert (rpc.node.network.machine.root, rpc("eth_getBalance", ALICE)) == before
        assert rpc("eth_getCode", NOBODY) == "0x"

    def test_balance_override_funds_caller(self, rpc: Client) -> None:
        payment = {"from": NOBODY, "to": ALICE, "value": "0x5"}
        with pytest.raises(Failed, match="SYS_INSUFFICIENT_FUNDS"):
            rpc("eth_call", payment)
        assert rpc("eth_call", payment, "latest", {NOBODY: {"balance": "0x5"}}) == "0x"
        assert int(rpc("eth_estimateGas", payment, "latest", {NOBODY: {"balance": "0x5"}}), 16) > 1_000_000

    def test_overrides_apply_to_older_block(self, rpc: Client) -> None:
        rpc("anvil_mine", 3)
        supposed = {NOBODY: {"code": NUMBER}}
        older = int(rpc("eth_blockNumber"), 16) - 2
        assert rpc("eth_call", {"to": NOBODY}, hex(older), supposed) == word(older)

    @pytest.mark.parametrize(
        ("supposed", "words"),
        [
            ([], "is not a valid set of state overrides"),
            ({"0x12": {}}, "is not a valid address"),
            ({NOBODY: 3}, "is not a valid account override"),
            ({NOBODY: {"balance": "1"}}, "balance"),
            ({NOBODY: {"balance": hex(1 << 127)}}, "cannot be a balance"),
            ({NOBODY: {"nonce": hex(1 << 64)}}, "cannot be a nonce"),
            ({NOBODY: {"state": {}, "stateDiff": {}}}, "cannot be used together"),
            ({NOBODY: {"stateDiff": {"0x0": word(1)}}}, "stateDiff: "),
            ({NOBODY: {"stateDiff": {word(0): word(1)}}}, "has no storage"),
            ({NOBODY: {"movePrecompileToAddress": ALICE}}, "cannot be moved"),
            ({NOBODY: {"cod": "0x"}}, "is not a field of an account override"),
            ({"0xff00000000000000000000000000000000000004": {"code": "0x00"}}, "cannot be given EVM code"),
            ({"0xff00000000000000000000000000000000999999": {"balance": "0x1"}}, "none can be created"),
        ],
    )
    def test_invalid_values_are_refused(self, rpc: Client, supposed: Any, words: str) -> None:
        before = rpc.node.network.machine.root
        with refusal(-32602, words):
            rpc("eth_call", {"to": ALICE}, "latest", supposed)
        assert rpc.node.network.machine.root == before


class TestBlocks:
    """Block overrides."""

    @pytest.mark.parametrize(
        ("code", "block", "expected"),
        [
            (NUMBER, {"number": "0x3039"}, 12_345),
            (TIMESTAMP, {"time": "0x7"}, 7),
            (BASE_FEE, {"baseFeePerGas": "0x63"}, 99),
            (TIMESTAMP, {"number": "0x3039"}, START),
        ],
    )
    def test_block_override_fields_apply(self, rpc: Client, code: str, block: dict[str, str], expected: int) -> None:
        if expected == START:
            expected = rpc.node.network.head.timestamp
        assert rpc("eth_call", {"to": NOBODY}, "latest", {NOBODY: {"code": code}}, block) == word(expected)
        head = rpc.node.network.machine.context
        assert (head.epoch, head.timestamp) == (rpc.node.network.head.height, rpc.node.network.head.timestamp)

    @pytest.mark.parametrize(
        ("block", "words"),
        [
            ({"gasLimit": "0x1"}, "gasLimit: Filecoin blocks have no such field"),
            ({"prevRandao": word(1)}, "prevRandao: Filecoin blocks have no such field"),
            ({"numbr": "0x1"}, "is not a field of a block override"),
            ({"time": hex(1 << 63)}, "more than 63 bits"),
        ],
    )
    def test_invalid_block_overrides_are_refused(self, rpc: Client, block: Any, words: str) -> None:
        with refusal(-32602, words):
            rpc("eth_call", {"to": ALICE}, "latest", {}, block)

    def test_overrides_apply_to_traced_call(self, rpc: Client) -> None:
        options = {
            "tracer": "callTracer",
            "stateOverrides": {NOBODY: {"code": NUMBER}},
            "blockOverrides": {"number": "0x9"},
        }
        assert rpc("debug_traceCall", {"to": NOBODY}, "latest", options)["output"] == word(9)


class TestAccessLists:
    """eth_createAccessList. Expected results follow EIP-2930 and go-ethereum's tracer."""

    def test_slots_that_are_read_and_written(self, rpc: Client) -> None:
        counter = deploy(rpc, COUNTER)
        found = rpc("eth_createAccessList", {"from": ALICE, "to": counter, "data": calldata(COUNTER, "increment")})
        assert found["accessList"] == [{"address": counter, "storageKeys": [word(0)]}]
        receipt = rpc.node.network.contract(counter, COUNTER).send("increment")
        assert int(found["gasUsed"], 16) == pytest.approx(receipt.gas_used, rel=0.02)

    def test_access_list_contains_accounts_read_by_opcode(self, rpc: Client) -> None:
        rpc("anvil_setCode", NOBODY, BALANCE_OF_BOB)
        found = rpc("eth_createAccessList", {"from": ALICE, "to": NOBODY})
        assert found["accessList"] == [{"address": BOB, "storageKeys": []}]

    def test_transfer_has_empty_access_list(self, rpc: Client) -> None:
        assert rpc("eth_createAccessList", {"from": ALICE, "to": BOB, "value": "0x1"})["accessList"] == []

    def test_access_list_of_failing_call_reports_error(self, rpc: Client) -> None:
        rpc("anvil_setCode", NOBODY, "0x60425450" + "5f5ffd")
        found = rpc("eth_createAccessList", {"from": ALICE, "to": NOBODY})
        assert found["error"] == "execution reverted"
        assert found["accessList"] == [{"address": NOBODY, "storageKeys": [word(0x42)]}]


def test_overrides_hold_on_official_actors_too(official: Network, official_rpc: Client) -> None:
    supposed = {NOBODY: {"code": SLOT_OF_CALLDATA, "stateDiff": {word(7): word(9)}}}
    assert official_rpc("eth_call", {"to": NOBODY, "data": word(7)}, "latest", supposed) == word(9)
    assert official.nonce(NOBODY) == 0
