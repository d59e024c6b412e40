"""Gas estimates with refunds: the required gas limit exceeds the gas used.

The figures are anvil's, whose search may stop one gas above the minimum. By hand: 21,000 for a transaction, 25,000 for
each authorization, 5,000 for a cleared slot, refunds of 12,500 and 4,800.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account as EthAccount

from localnet import Network
from localnet.rpc.node import Node
from store.cid import cid_of
from store.trees.paths import Path, verify
from tests.localnet.conftest import ARTIFACTS, START, Clock
from tests.localnet.rpc.asking import ALICE, BOB, COUNTER, NOBODY, calldata, deploy
from tests.localnet.rpc.conftest import Client, Failed, refusal

SETTER = "0x" + "cc" * 20
SETTER_CODE = "0x6020356000355500"
"""Code that stores the second word of the calldata in the slot named by the first."""
CLEAR = "0x" + "00" * 64


@pytest.fixture(params=["py-evm", "fast"])
def estimates_rpc(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Network(clock=Clock(), rules="ethereum", evm=request.param) as network:
        client = Client(Node(network))
        client("anvil_setCode", SETTER, SETTER_CODE)
        client("anvil_setStorageAt", SETTER, "0x0", f"0x{7:064x}")
        yield client


def authorizations(rpc: Client, count: int, nonce: int = 0) -> list[dict[str, str]]:
    """Return authorizations of the accounts after the first one, each for the setter."""
    found = []
    for account in rpc.node.network.accounts[1 : 1 + count]:
        signed = EthAccount.from_key(account.private_key).sign_authorization(
            {"chainId": 31337, "address": SETTER, "nonce": nonce}
        )
        numbers = {"yParity": signed.y_parity, "r": signed.r, "s": signed.s, "nonce": nonce, "chainId": 31337}
        found.append({"address": SETTER, **{name: hex(number) for name, number in numbers.items()}})
    return found


@pytest.mark.parametrize(
    ("count", "to", "data", "gas"),
    [
        (0, ALICE, "0x", 21_000),
        (1, ALICE, "0x", 46_000),
        (2, ALICE, "0x", 71_000),
        (0, SETTER, CLEAR, 0x669C),
        (1, SETTER, CLEAR, 0xC844),
        (2, SETTER, CLEAR, 0x129EC),
        (0, SETTER, "0x" + "ff" * 2_000, 0x18A88),
    ],
)
def test_an_estimate_suffices_though_gas_is_refunded(
    estimates_rpc: Client, count: int, to: str, data: str, gas: int
) -> None:
    request: dict[str, Any] = {"from": ALICE, "to": to, "data": data}
    if count:
        request["authorizationList"] = authorizations(estimates_rpc, count)
    assert int(estimates_rpc("eth_estimateGas", request), 16) == gas
    sent = estimates_rpc("eth_sendTransaction", {**request, "gas": hex(gas)})
    receipt = estimates_rpc("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    assert int(receipt["gasUsed"], 16) <= gas


def test_ineffective_authorization_costs_same_gas(estimates_rpc: Client) -> None:
    request = {"from": ALICE, "to": ALICE, "authorizationList": authorizations(estimates_rpc, 1, nonce=7)}
    assert int(estimates_rpc("eth_estimateGas", request), 16) == 46_000


def test_insufficient_gas_is_reported(estimates_rpc: Client) -> None:
    request = {"from": ALICE, "to": ALICE, "authorizationList": authorizations(estimates_rpc, 1), "gas": hex(45_999)}
    with pytest.raises(Failed, match="intrinsic gas too low"):
        estimates_rpc("eth_estimateGas", request)


def test_lotus_gas_estimate_stays_within_transaction_limit(estimates_rpc: Client) -> None:
    owner = estimates_rpc("Filecoin.WalletDefaultAddress")
    assert estimates_rpc("Filecoin.GasEstimateGasLimit", {"To": "f099", "From": owner, "Value": "1"}, None) == 21_000


@pytest.mark.parametrize(
    ("gas", "error"),
    [
        (1_000, "-32000: gas required exceeds allowance (1000)"),
        (1_000_000, "-32003: out of gas: gas required exceeds: 1000000"),
    ],
)
def test_filecoins_estimates_fail_with_lotus_texts(gas: int, error: str) -> None:
    """Texts and codes: lotus#13911, also in Forest 0.39."""
    with Network(clock=Clock()) as network:
        rpc = Client(Node(network))
        request = {"from": rpc("eth_accounts")[0], "to": "0x" + "77" * 20, "gas": hex(gas)}
        with pytest.raises(Failed) as failed:
            rpc("eth_estimateGas", request)
        assert str(failed.value) == error


POOR = "0x" + "77" * 20


@pytest.mark.parametrize(
    ("price", "value", "error"),
    [
        (10**9, 0, "-32003: out of gas: gas required exceeds: 1000000"),
        (2 * 10**10, 0, "-32000: gas required exceeds allowance (50000)"),
        (10**15 + 1, 0, "-32000: gas required exceeds allowance (0)"),
        (1, 10**15 + 1, "-32003: insufficient funds for gas * price + value"),
        (10**8, 10**15 - 10**14, "-32003: out of gas: gas required exceeds: 1000000"),
    ],
)
def test_a_price_limits_an_estimate_to_what_the_sender_affords(price: int, value: int, error: str) -> None:
    """Codes and texts: lotus#13911, also in Forest 0.39. The sender has 10^15 attoFIL; the transfer needs 5.7 M gas."""
    with Network(clock=Clock()) as network:
        rpc = Client(Node(network))
        rpc("anvil_setBalance", POOR, hex(10**15))
        request = {"from": POOR, "to": "0x" + "78" * 20, "value": hex(value)}
        for name in ("gasPrice", "maxFeePerGas"):
            with pytest.raises(Failed) as failed:
                rpc("eth_estimateGas", {**request, name: hex(price)})
            assert str(failed.value).startswith(error)
        assert int(rpc("eth_estimateGas", {**request, "value": "0x1"}), 16) > 10**6


def test_an_affordable_estimate_is_that_without_a_price(estimates_rpc: Client) -> None:
    """The balance pays for a transfer, but not for the block's gas at this price, as geth and anvil handle it."""
    estimates_rpc("anvil_setBalance", POOR, hex(10**15))
    request = {"from": POOR, "to": ALICE, "value": "0x1", "gasPrice": hex(10**10)}
    assert int(estimates_rpc("eth_estimateGas", request), 16) == 21_000


LATER, BELOW = "0x" + "dd" * 20, "0x" + "ee" * 20
STORES_LATER = "0x5f35421160085700" + "5b60015f5500"
"""Code that writes slot 0 if TIMESTAMP is after the calldata's word."""
FAILS_AT_GENESIS = "0x4315600657005bfe"
"""Code that executes INVALID if NUMBER is 0."""


@pytest.mark.parametrize("at", [(), ("pending",)])
def test_estimate_is_that_of_the_next_block(estimates_rpc: Client, at: tuple[str, ...]) -> None:
    """Its number and time apply by default; figures of anvil 1.7.1."""
    estimates_rpc("anvil_setCode", BELOW, FAILS_AT_GENESIS)
    assert estimates_rpc("eth_estimateGas", {"to": BELOW}, *at) == "0x521a"
    for other in (("latest",), (*(at or (None,)), {}, {"number": "0x0"})):
        with refusal(-32000, "INVALID"):
            estimates_rpc("eth_estimateGas", {"to": BELOW}, *other)
    estimates_rpc("evm_mine", 0x7B0A2B30)
    estimates_rpc("anvil_setCode", LATER, STORES_LATER)
    stores = {"from": ALICE, "to": LATER, "data": f"0x{0x7B0A2B30:064x}"}
    assert estimates_rpc("eth_estimateGas", stores, *at) == "0xa929"
    assert estimates_rpc("eth_estimateGas", stores, "latest") == "0x53c0"
    sent = estimates_rpc("eth_sendTransaction", stores)
    assert estimates_rpc("eth_getTransactionByHash", sent)["gas"] == "0xa929"
    assert estimates_rpc("eth_getTransactionReceipt", sent)["status"] == "0x1"


@pytest.mark.slow
def test_pool_counts_for_default_and_pending_estimates_only(estimates_rpc: Client) -> None:
    """Figures of anvil 1.7.1: 0x5b9a for a slot that a pending transaction has written, else 0xa8f1."""
    estimates_rpc("anvil_setCode", SETTER, "0x600035600055")
    estimates_rpc("evm_setAutomine", False)
    write = {"from": ALICE, "to": SETTER, "data": f"0x{10:064x}"}
    estimates_rpc("anvil_setStorageAt", SETTER, "0x0", f"0x{0:064x}")
    estimates_rpc("eth_sendTransaction", {**write, "gas": "0x186a0"})
    head = estimates_rpc("eth_getBlockByNumber", "latest", False)
    for sender in (ALICE, BOB):
        request = {**write, "from": sender}
        assert {estimates_rpc("eth_estimateGas", request, *at) for at in ((), (None,), ("pending",))} == {"0x5b9a"}
        for at in ("latest", "safe", head["number"], head["hash"], {"blockNumber": head["number"]}):
            assert estimates_rpc("eth_estimateGas", request, at) == "0xa8f1", at
    overrides = {SETTER: {"stateDiff": {f"0x{0:064x}": f"0x{1:064x}"}}}
    assert estimates_rpc("eth_estimateGas", write, "latest", overrides) == hex(21_140 + 9 + 5_000)


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
            ({NOBODY: {"nonce": hex(1 << 64)}}, "more than 64 bits"),
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
            ({"baseFeePerGas": hex(1 << 127)}, "is above the maximum"),
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


PROOFS_NOBODY = "0x" + "09" * 20


def test_clients_get_blocks_and_paths(network: Network, rpc: Client) -> None:
    counter = network.deploy(ARTIFACTS / "Counter.json")
    counter.send("increment")
    (before,) = rpc("eth_getProof", "0x" + counter.address.hex(), ["0x0"], hex(network.block_number - 1))[
        "storageProof"
    ]
    assert before["value"] == "0x0"
    found = rpc("eth_getProof", "0x" + counter.address.hex(), ["0x0"], "latest")
    root = cid_of(bytes.fromhex(found["accountProof"][0][2:]))
    assert root == network.machine.root
    (slot,) = found["storageProof"]
    blocks = [bytes.fromhex(data[2:]) for data in slot["proof"]]
    assert slot["value"] == "0x1"
    assert verify(root, Path.parse(slot["path"]), [(cid_of(data), data) for data in blocks]) == b"\x01"


@pytest.mark.parametrize(
    "params",
    [
        [],
        ["0x1"],
        [PROOFS_NOBODY, 5],
        [PROOFS_NOBODY, ["0xg"]],
        [PROOFS_NOBODY, ["0x0"] * 1_025],
        [PROOFS_NOBODY, ["0x" + "1" * 65]],
        [PROOFS_NOBODY, [], {}],
    ],
    ids=["nobody", "no address", "no list", "no slot", "too many slots", "a long slot", "no block"],
)
def test_invalid_proof_request_is_refused(rpc: Client, params: list[object]) -> None:
    with refusal(-32602):
        rpc("eth_getProof", *params)


MAX = (1 << 256) - 1
LARGE_AMOUNTS_BALANCE_OF_BOB = {"code": f"0x73{BOB[2:]}315f5260205ff3"}


@pytest.fixture(params=["fast", "py-evm"])
def ethereum(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Network(clock=Clock(), rules="ethereum", evm=request.param) as network:
        yield Client(Node(network))


def test_an_account_holds_and_sends_up_to_256_bits(ethereum: Client) -> None:
    ethereum("anvil_setBalance", ALICE, hex(MAX))
    assert ethereum("eth_getBalance", ALICE, "latest") == hex(MAX)
    values = 2 * 10**27 + 1, 1 << 255
    for value in values:
        sent = ethereum("eth_sendTransaction", {"from": ALICE, "to": NOBODY, "value": hex(value)})
        assert ethereum("eth_getTransactionReceipt", sent)["status"] == "0x1"
        assert ethereum("eth_getTransactionByHash", sent)["value"] == hex(value)
        assert ethereum("debug_traceTransaction", sent, {"tracer": "callTracer"})["value"] == hex(value)
    assert ethereum("eth_getBalance", NOBODY, "latest") == hex(sum(values))


def test_a_balance_of_256_bits_can_be_supposed(ethereum: Client) -> None:
    supposed = {BOB: {"balance": hex(MAX)}, NOBODY: LARGE_AMOUNTS_BALANCE_OF_BOB}
    assert ethereum("eth_call", {"to": NOBODY}, "latest", supposed) == hex(MAX)
    paid = {"from": BOB, "to": NOBODY, "value": hex(MAX)}
    assert ethereum("eth_call", paid, "latest", supposed) == f"0x{0:064x}"
    payment = {"from": BOB, "to": NOBODY, "value": hex(1 << 250)}
    simulated = {"stateOverrides": {BOB: {"balance": hex(MAX)}}, "calls": [payment]}
    (block,) = ethereum("eth_simulateV1", {"blockStateCalls": [simulated]}, "latest")
    assert block["calls"][0]["status"] == "0x1"


def test_a_transaction_that_would_overflow_its_receiver_fails(ethereum: Client) -> None:
    ethereum("anvil_setBalance", NOBODY, hex(MAX))
    payment = {"from": ALICE, "to": NOBODY, "value": "0x5"}
    words = f"overflow payment: 5 wei would exceed the maximum balance of {NOBODY}"
    with pytest.raises(Failed, match=words):
        ethereum("eth_estimateGas", payment)
    sent = ethereum("eth_sendTransaction", {**payment, "gas": hex(50_000)})
    receipt = ethereum("eth_getTransactionReceipt", sent)
    assert (receipt["status"], receipt["gasUsed"]) == ("0x0", hex(50_000))
    assert ethereum("eth_getBalance", NOBODY, "latest") == hex(MAX)


def test_filecoin_s_limits_say_why(fresh: Client) -> None:
    reason = r"0 to 2\^127 - 1; actors hold amounts as signed 128-bit numbers under Filecoin's rules"
    with pytest.raises(Failed, match=reason):
        fresh("anvil_setBalance", ALICE, hex(1 << 127))
    with pytest.raises(Failed, match=reason):
        fresh("eth_call", {"to": NOBODY}, "latest", {BOB: {"balance": hex(MAX)}})
    fresh("anvil_setBalance", ALICE, hex((1 << 127) - 1))
    with pytest.raises(Failed, match="'Value' field cannot be greater than total filecoin supply"):
        fresh("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": hex(2 * 10**27 + 1)})
    fresh("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": hex(2 * 10**27)})
