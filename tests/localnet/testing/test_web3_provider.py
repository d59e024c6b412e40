"""web3.py on a network in this process."""

import json

import pytest
from eth_account import Account as Signer
from web3 import Web3
from web3.exceptions import ContractLogicError

from localnet import Artifact, Network
from localnet.testing.web3_provider import NetworkProvider
from tests.localnet.conftest import ARTIFACTS

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
