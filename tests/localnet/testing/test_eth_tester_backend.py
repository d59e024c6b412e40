"""eth-tester's backend test suite, and a comparison with its `PyEVMBackend`."""

import json
from typing import Any

import pytest
from eth_account import Account
from eth_account import Account as Signer
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed, ValidationError
from eth_tester.utils.backend_testing import BaseTestBackendDirect
from eth_tester.utils.emitter_contract import EMITTER_ENUM, _call_emitter, _deploy_emitter
from web3 import Web3
from web3.exceptions import ContractLogicError

from hypervisor.errors import InvalidInput
from localnet import Artifact, Network
from localnet.accounts import TEST_MNEMONIC
from localnet.testing.eth_tester_backend import CHAIN_ID, HypervisorBackend
from localnet.testing.web3_provider import NetworkProvider
from tests.localnet.conftest import ARTIFACTS

DEAD = "0x000000000000000000000000000000000000dEaD"
ACCESS = {"access_list": ({"address": DEAD, "storage_keys": ("0x" + "00" * 31 + "07",)},)}
DYNAMIC = {"max_fee_per_gas": 3 * 10**9, "max_priority_fee_per_gas": 10**9}
SIGNED = Account.sign_authorization({"chainId": CHAIN_ID, "address": DEAD, "nonce": 0}, (2).to_bytes(32))
AUTHORIZATION = {
    "authorization_list": (
        {
            "chain_id": CHAIN_ID,
            "address": DEAD,
            "nonce": 0,
            "y_parity": SIGNED.y_parity,
            "r": SIGNED.r,
            "s": SIGNED.s,
        },
    )
}
KINDS: dict[str, dict[str, Any]] = {
    "without fees": {},
    "legacy": {"gas_price": 10**9},
    "legacy with data": {"gas_price": 2 * 10**9, "data": "0xc0ffee"},
    "access list": {"gas_price": 10**9, "chain_id": CHAIN_ID, **ACCESS},
    "dynamic fee": DYNAMIC,
    "dynamic fee with an access list": {**DYNAMIC, **ACCESS},
    "only a priority fee": {"max_priority_fee_per_gas": 7},
    "set code": {**DYNAMIC, **AUTHORIZATION},
}


@pytest.fixture
def eth_tester() -> EthereumTester:
    return EthereumTester(backend=HypervisorBackend())


class TestHypervisorBackend(BaseTestBackendDirect):
    """All tests of eth-tester for a backend that executes EVM code."""


@pytest.fixture
def testers() -> tuple[EthereumTester, EthereumTester]:
    return EthereumTester(backend=HypervisorBackend(hardfork="prague")), EthereumTester(backend=PyEVMBackend())


def sent(tester: EthereumTester, more: dict[str, Any], automine: bool) -> list[dict[str, Any]]:
    """Return a transaction, before and after it is mined, and its receipt, without the block's hash."""
    request = {"from": tester.get_accounts()[0], "to": tester.get_accounts()[2], "value": 5, "gas": 90_000, **more}
    if not automine:
        tester.disable_auto_mine_transactions()
    sent = tester.send_transaction(request)
    found = [tester.get_transaction_by_hash(sent)]
    if not automine:
        tester.mine_block()
        found.append(tester.get_transaction_by_hash(sent))
    found.append(tester.get_transaction_receipt(sent))
    return [{name: value for name, value in each.items() if name != "block_hash"} for each in found]


@pytest.mark.parametrize("automine", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_transaction_is_that_of_eth_testers_own_backend(
    testers: tuple[EthereumTester, EthereumTester], kind: str, automine: bool
) -> None:
    if kind == "set code" and not automine:
        pytest.skip("eth-tester cannot send a pending transaction of type 4 again: it does not know the type")
    ours, theirs = (sent(tester, KINDS[kind], automine) for tester in testers)
    assert ours == theirs


@pytest.mark.slow
def test_logs_reach_filters_as_with_eth_testers_own_backend(testers: tuple[EthereumTester, EthereumTester]) -> None:
    logs = []
    for tester in testers:
        emitter = _deploy_emitter(tester)
        chosen = tester.create_log_filter()
        for value in (1, 2):
            _call_emitter(tester, emitter, "logDouble", [EMITTER_ENUM["LogDoubleWithIndex"], value, 9])
        found = tester.get_only_filter_changes(chosen)
        logs.append([{name: value for name, value in log.items() if name != "block_hash"} for log in found])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 2


def test_a_snapshot_is_used_repeatedly(eth_tester: EthereumTester) -> None:
    first, second = eth_tester.get_accounts()[:2]
    before = eth_tester.get_balance(second)
    snapshot = eth_tester.take_snapshot()
    for _ in range(2):
        eth_tester.send_transaction({"from": first, "to": second, "value": 3, "gas": 21_000})
        assert eth_tester.get_balance(second) == before + 3
        eth_tester.revert_to_snapshot(snapshot)
        assert eth_tester.get_balance(second) == before


def test_the_accounts_are_those_of_the_mnemonic() -> None:
    tester = EthereumTester(HypervisorBackend(mnemonic=TEST_MNEMONIC, account_count=2))
    assert tester.get_accounts() == [
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    ]


@pytest.mark.parametrize("mnemonic", [None, TEST_MNEMONIC])
def test_a_backend_without_accounts_is_refused(mnemonic: str | None) -> None:
    with pytest.raises(InvalidInput, match="0 cannot be the number of accounts"):
        HypervisorBackend(mnemonic=mnemonic, account_count=0)


def test_refused_transaction_reports_reason(eth_tester: EthereumTester) -> None:
    first = eth_tester.get_accounts()[0]
    with pytest.raises(ValidationError, match="nonce"):
        eth_tester.send_transaction({"from": first, "to": first, "gas": 21_000, "nonce": 1})
    with pytest.raises(ValidationError, match="call add_account"):
        eth_tester.send_transaction({"from": DEAD, "to": first, "gas": 21_000})


def test_a_custom_error_shows_its_data_as_web3_reads_it(eth_tester: EthereumTester) -> None:
    reverts = "0x63deadbeef60e01b5f5260045ffd"  # deploys nothing: reverts with 0xdeadbeef
    with pytest.raises(TransactionFailed) as failed:
        eth_tester.call({"from": eth_tester.get_accounts()[0], "to": "", "data": reverts, "gas": 100_000})
    assert failed.value.args == (str(bytes.fromhex("deadbeef")),)


COUNTER = ARTIFACTS / "Counter.json"


@pytest.fixture
def w3(network: Network) -> Web3:
    """Return a Web3 object."""
    return Web3(NetworkProvider(network))


def test_web3_reads_chain_id_and_balances(w3: Web3, network: Network) -> None:
    assert w3.is_connected()
    assert w3.eth.chain_id == network.chain_id
    assert [bytes.fromhex(account[2:]) for account in w3.eth.accounts] == [each.address for each in network.accounts]


def test_web3_deploys_and_calls_contract(w3: Web3) -> None:
    compiled = json.loads(COUNTER.read_text(encoding="utf-8"))
    factory = w3.eth.contract(abi=compiled["abi"], bytecode=Artifact.load(COUNTER).bytecode)
    created = w3.eth.wait_for_transaction_receipt(factory.constructor().transact({"from": w3.eth.accounts[0]}))
    counter = w3.eth.contract(address=created["contractAddress"], abi=compiled["abi"])
    w3.eth.wait_for_transaction_receipt(counter.functions.increment().transact({"from": w3.eth.accounts[0]}))
    assert counter.functions.number().call() == 1


def test_web3_sends_with_users_key(w3: Web3, network: Network) -> None:
    signer = Signer.create()
    network.set_balance(bytes.fromhex(signer.address[2:]), 10**18)
    request = {
        "to": network.accounts[1].address, "value": 5, "gas": 10_000_000, "nonce": 0, "chainId": w3.eth.chain_id,
        "maxFeePerGas": 10**9, "maxPriorityFeePerGas": 10**5,
    }  # fmt: skip
    sent = w3.eth.send_raw_transaction(signer.sign_transaction(request).raw_transaction)
    assert w3.eth.wait_for_transaction_receipt(sent)["status"] == 1


def test_a_revert_is_web3s_error(w3: Web3, network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    data = inbox.interface.encode_call("refuse", "no")
    with pytest.raises(ContractLogicError):
        w3.eth.call({"to": Web3.to_checksum_address(inbox.address), "data": data})
