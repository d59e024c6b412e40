"""Senders without keys: impersonated accounts and contracts, and their nonces."""

from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount

from bridge.ethereum.addresses import EthAddress, create_address, to_filecoin
from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, COUNTER, NOBODY, calldata, deploy
from tests.localnet.rpc.conftest import Client, Failed, refusal

ONE = f"0x{1:064x}"


class TestImpersonation:
    """eth_sendTransaction without a key."""

    def test_another_account_sends_while_it_lasts(self, rpc: Client) -> None:
        rpc("anvil_setBalance", NOBODY, hex(10**18))
        payment = {"from": NOBODY, "to": BOB, "value": "0x5"}
        with refusal(-32000, "unknown account"):
            rpc("eth_sendTransaction", payment)
        assert rpc("hardhat_impersonateAccount", NOBODY) is None
        receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", payment))
        assert (receipt["from"], receipt["status"], receipt["type"]) == (NOBODY, "0x1", "0x2")
        found = rpc("eth_getTransactionByHash", receipt["transactionHash"])
        assert (found["from"], found["nonce"], found["value"], found["r"]) == (NOBODY, "0x0", "0x5", "0x0")
        assert rpc("anvil_stopImpersonatingAccount", NOBODY) is None
        assert rpc("anvil_stopImpersonatingAccount", NOBODY) is None
        with pytest.raises(Failed, match="unknown account"):
            rpc("eth_sendTransaction", payment)

    def test_every_account_sends(self, fresh: Client) -> None:
        counter = deploy(fresh, COUNTER)
        assert fresh("anvil_autoImpersonateAccount", True) is None
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


FACTORY_CODE = "0x5f5f5ff05f5260205ff3"

"""PUSH0 PUSH0 PUSH0 CREATE; returns the new contract's address."""


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_a_contract_that_is_impersonated_has_one_nonce(rules: str) -> None:
    """Nonces and new contracts' addresses are anvil's: a transaction uses up the nonce before its execution."""
    with Network(clock=Clock(), rules=rules) as network:
        rpc = Client(Node(network))
        init = f"0x69{FACTORY_CODE[2:]}5f52600a6016f3"  # returns the code that it pushed
        sent = rpc("eth_sendTransaction", {"from": ALICE, "data": init})
        factory = rpc("eth_getTransactionReceipt", sent)["contractAddress"]
        assert rpc("eth_getCode", factory) == FACTORY_CODE
        rpc("anvil_impersonateAccount", factory)
        owner = EthAddress(bytes.fromhex(factory[2:]))

        def carry_out(request: dict[str, str]) -> dict[str, Any]:
            """Send a transaction from the contract as a client does, with the reported nonce."""
            nonces = {rpc("eth_getTransactionCount", factory, tag) for tag in ("latest", "pending")}
            nonces.add(hex(rpc("Filecoin.MpoolGetNonce", str(to_filecoin(owner)))))
            nonce = nonces.pop()
            assert not nonces, "one nonce, whichever way it is asked for"
            gas = rpc("eth_estimateGas", {**request, "from": factory})
            hash_ = rpc("eth_sendTransaction", {**request, "from": factory, "nonce": nonce, "gas": gas})
            found: dict[str, Any] = rpc("eth_getTransactionReceipt", hash_)
            assert (found["status"], rpc("eth_getTransactionByHash", hash_)["nonce"]) == ("0x1", nonce)
            return found

        def created(nonce: int) -> str:
            return "0x" + create_address(owner, nonce).hex()

        assert rpc("eth_getTransactionCount", factory) == "0x1"
        carry_out({"to": BOB})
        if rules == "ethereum":
            assert carry_out({"data": init})["contractAddress"] == created(2)
        else:
            with pytest.raises(Failed, match="is no account: it may not deploy"):
                carry_out({"data": init})
            rpc("anvil_setNonce", factory, "0x3")
        assert rpc("eth_call", {"to": factory})[-40:] == created(3)[2:]
        rpc("eth_sendTransaction", {"from": ALICE, "to": factory})
        assert rpc("eth_getTransactionCount", factory) == "0x4"
        carry_out({"to": factory})  # at nonce 4: what it creates has 5
        assert rpc("eth_getTransactionCount", factory) == "0x6"
        assert rpc("eth_getTransactionCount", created(5)) == "0x1"
        assert rpc("eth_getTransactionCount", created(4)) == "0x0"
        with pytest.raises(Failed, match="nonce too low"):
            rpc("eth_sendTransaction", {"from": factory, "to": BOB, "nonce": "0x5"})


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_pending_transactions_of_contract_have_successive_nonces(rules: str) -> None:
    with Network(clock=Clock(), rules=rules) as network:
        rpc = Client(Node(network))
        counter = deploy(rpc, COUNTER)
        rpc("anvil_impersonateAccount", counter)
        rpc("evm_setAutomine", False)
        sent = [rpc("eth_sendTransaction", {"from": counter, "to": BOB}) for _ in range(3)]
        assert rpc("eth_getTransactionCount", counter, "pending") == "0x4"
        assert rpc("txpool_status") == {"pending": "0x3", "queued": "0x0"}
        rpc("evm_mine")
        assert [rpc("eth_getTransactionReceipt", hash_)["status"] for hash_ in sent] == ["0x1"] * 3
        assert rpc("eth_getTransactionCount", counter) == "0x4"


def test_accounts_that_are_impersonated_are_listed_as_anvil_does(rpc: Client) -> None:
    """ethers' `getSigner` refuses accounts that eth_accounts does not list. anvil lists none for auto-impersonation."""
    own = rpc("eth_accounts")
    rpc("anvil_impersonateAccount", NOBODY)
    rpc("anvil_impersonateAccount", ALICE)
    assert rpc("eth_accounts") == [*own, NOBODY]
    rpc("anvil_stopImpersonatingAccount", NOBODY)
    rpc("anvil_autoImpersonateAccount", True)
    assert rpc("eth_accounts") == own


LISTED = [{"address": BOB, "storageKeys": [ONE]}]
PRICE, CAP = {"gasPrice": hex(3 * 10**9)}, {"maxFeePerGas": hex(3 * 10**9)}
FUNDS = hex(10**20)


def chosen_types() -> list[Any]:
    """Return requests with anvil's type and gas used; without fees before London, those of go-ethereum."""
    london = [
        ({}, "0x2", 21_000), ({"accessList": LISTED}, "0x2", 25_300), ({"accessList": LISTED, **PRICE}, "0x1", 25_300),
        ({"accessList": LISTED, **CAP}, "0x2", 25_300), ({"accessList": LISTED, "type": "0x1"}, "0x1", 25_300),
        (PRICE, "0x0", 21_000), ({"accessList": [], **PRICE}, "0x1", 21_000),
    ]  # fmt: skip
    berlin = [
        ({}, "0x0", 21_000), ({"accessList": LISTED}, "0x1", 25_300), ({"accessList": LISTED, **PRICE}, "0x1", 25_300),
        ({"accessList": []}, "0x1", 21_000), ({"type": "0x1"}, "0x1", 21_000), (PRICE, "0x0", 21_000),
    ]  # fmt: skip
    return [
        *(("osaka", *row) for row in london),
        *(("berlin", *row) for row in berlin),
        ("istanbul", {}, "0x0", 21_000),
    ]


@pytest.mark.parametrize(("hardfork", "fields", "kind", "gas"), chosen_types())
def test_type_follows_fork_and_fields_for_every_sender(
    hardfork: str, fields: dict[str, Any], kind: str, gas: int
) -> None:
    with Network(clock=Clock(), rules="ethereum", hardfork=hardfork) as network:
        rpc = Client(Node(network))
        rpc("anvil_autoImpersonateAccount", True)
        contract = "0x" + "cc" * 20
        rpc("anvil_setCode", contract, "0x00")
        for sender in (ALICE, NOBODY, contract):
            rpc("anvil_setBalance", sender, FUNDS)
            sent = rpc("eth_sendTransaction", {"from": sender, "to": BOB, "value": "0x1", **fields})
            receipt, found = rpc("eth_getTransactionReceipt", sent), rpc("eth_getTransactionByHash", sent)
            assert (receipt["type"], found["type"], int(receipt["gasUsed"], 16)) == (kind, kind, gas)
            listed = fields.get("accessList", []) if kind != "0x0" else None
            assert found.get("accessList") == listed
            assert ("maxFeePerGas" in found) == (kind == "0x2")
            assert rpc("debug_traceTransaction", sent)["gas"] == gas
        filled = rpc("eth_fillTransaction", {"from": ALICE, "to": BOB, **fields})
        assert filled["tx"]["type"] == kind


@pytest.mark.parametrize(
    ("hardfork", "fields"),
    [("berlin", {"type": "0x2"}), ("berlin", CAP), ("istanbul", {"accessList": LISTED}), ("istanbul", {"type": "0x1"})],
)
def test_type_that_the_fork_lacks_is_refused_for_every_sender(hardfork: str, fields: dict[str, Any]) -> None:
    with Network(clock=Clock(), rules="ethereum", hardfork=hardfork) as network:
        rpc = Client(Node(network))
        rpc("anvil_autoImpersonateAccount", True)
        rpc("anvil_setBalance", NOBODY, FUNDS)
        for sender in (ALICE, NOBODY):
            with refusal(-32003, "transaction type not supported"):
                rpc("eth_sendTransaction", {"from": sender, "to": BOB, **fields})


@pytest.mark.slow
def test_impersonated_sender_carries_authorizations(tmp_path: Path) -> None:
    """The authorizations apply, also after a restart and in a state file. Source: anvil 1.7.1."""
    folder = tmp_path / "chain"
    with Network(folder, clock=Clock(), rules="ethereum") as network:
        rpc = Client(Node(network))
        signed = EthAccount.from_key(network.accounts[1].private_key).sign_authorization(
            {"chainId": 31337, "address": NOBODY, "nonce": 0}
        )
        numbers = {name: hex(getattr(signed, name)) for name in ("nonce", "r", "s")}
        authorization = {"chainId": hex(31337), "address": NOBODY, "yParity": hex(signed.y_parity), **numbers}
        rpc("anvil_impersonateAccount", NOBODY)
        rpc("anvil_setBalance", NOBODY, FUNDS)
        sent = rpc("eth_sendTransaction", {"from": NOBODY, "to": ALICE, "authorizationList": [authorization]})
        assert rpc("eth_getCode", BOB, "latest") == f"0xef0100{NOBODY[2:]}"
    with Network(folder, clock=Clock()) as network:
        rpc = Client(Node(network))
        found = rpc("eth_getTransactionByHash", sent)
        assert (found["type"], found["authorizationList"]) == ("0x4", [authorization])
        assert rpc("debug_traceTransaction", sent)["gas"] == int(rpc("eth_getTransactionReceipt", sent)["gasUsed"], 16)
        state = rpc("anvil_dumpState")
        rpc("anvil_loadState", state)
        assert rpc("eth_getTransactionByHash", sent)["authorizationList"] == [authorization]


def test_actor_without_ethereum_address_carries_no_access_list() -> None:
    with Network(clock=Clock(), rules="ethereum") as network:
        rpc = Client(Node(network))
        request = {"from": "0xff00000000000000000000000000000000000000", "to": BOB, "gas": "0x186a0"}
        assert rpc("eth_sendUnsignedTransaction", request)
        with refusal(-32003, "cannot carry an access list or authorizations: omit them"):
            rpc("eth_sendUnsignedTransaction", {**request, "accessList": LISTED})
