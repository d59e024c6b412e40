"""Client libraries on a fresh node.

- Quick start of each client library on a fresh node: programs of named checks.
- web3.py on a fresh node.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import AsyncWeb3, HTTPProvider, Web3, WebSocketProvider
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError
from web3.types import RPCEndpoint

from localnet import Network
from localnet.rpc.server.server import serving
from tests.clients.conftest import node_process, start
from tests.localnet.conftest import ARTIFACTS

PROGRAMS = {
    "ethers": "ethers",
    "viem": "viem",
    "web3.js": "web3js",
    "OpenZeppelin": "openzeppelin",
    "filecoin-solidity-api": "filecoin_solidity",
    "iso-filecoin": "iso_filecoin",
}


@pytest.mark.long
@pytest.mark.parametrize("client", PROGRAMS)
def test_every_check_holds(
    client: str, clients: Path, node: str, record_property: Callable[[str, object], None]
) -> None:
    assert_checks(PROGRAMS[client], clients, node, record_property)


@pytest.mark.long
def test_uniswap_mints_liquidity_under_ethereums_rules(
    clients: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with node_process(tmp_path, "--rules", "ethereum") as url:
        assert_checks("uniswap", clients, url, record_property)


def assert_checks(program: str, clients: Path, url: str, record_property: Callable[[str, object], None]) -> None:
    """Run a program on a node, count its checks, and fail if one of them does."""
    done = start(clients, "node", clients / "programs" / f"{program}.mjs", url)
    output = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    checks = [line for line in output if "check" in line]
    failed = [line for line in checks if line["error"] is not None]
    record_property("checks", len(checks))
    record_property("failures", len(failed))
    assert not failed, "\n\n".join(f"{line['check']}: {line['error'][:2000]}" for line in failed)
    assert done.returncode == 0, done.stderr
    assert output[-1] == {"done": len(checks)}, done.stderr


KEY = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"


@pytest.fixture
def web3(url: str) -> Web3:
    return Web3(HTTPProvider(url))


def accounts(web3: Web3) -> list[Any]:
    """Return the node's accounts (web3.py declares them as a tuple without items)."""
    return list(web3.eth.accounts)


@pytest.fixture
def inbox(web3: Web3) -> Any:
    content = json.loads((ARTIFACTS / "Inbox.json").read_text(encoding="utf-8"))
    factory: Any = web3.eth.contract(abi=content["abi"], bytecode=content["bytecode"])
    receipt = web3.eth.wait_for_transaction_receipt(factory.constructor().transact({"from": accounts(web3)[3]}))
    return web3.eth.contract(address=receipt["contractAddress"], abi=content["abi"])


def test_web3_reads_chain_and_accounts(web3: Web3, network: Network) -> None:
    assert web3.is_connected()
    assert web3.eth.chain_id == 31415926
    assert len(web3.eth.accounts) == 10
    block: Any = web3.eth.get_block("latest", full_transactions=True)
    assert block["number"] == network.block_number
    assert "hypervisor/" in web3.client_version
    assert web3.eth.gas_price == 200_100


@pytest.mark.slow
def test_a_contract_is_called_and_its_events_found(web3: Web3, inbox: Any) -> None:
    sent = inbox.functions.greet("hello").transact({"from": accounts(web3)[3], "value": 5})
    receipt = web3.eth.wait_for_transaction_receipt(sent)
    (event,) = inbox.events.Greeted().process_receipt(receipt)
    assert (event["args"]["text"], event["args"]["value"]) == ("hello", 5)
    assert [log["args"]["text"] for log in inbox.events.Greeted().get_logs(from_block=0)] == ["hello"]
    assert inbox.functions.greetings().call() == 1


def test_a_filter_is_polled(web3: Web3, inbox: Any) -> None:
    name = inbox.events.Greeted().create_filter(from_block="latest")
    assert name.get_new_entries() == []
    inbox.functions.greet("new").transact({"from": accounts(web3)[3]})
    assert [log["args"]["text"] for log in name.get_new_entries()] == ["new"]
    assert web3.eth.uninstall_filter(name.filter_id)


def test_a_revert_is_an_exception(inbox: Any) -> None:
    with pytest.raises((ContractLogicError, Web3RPCError), match="not today"):
        inbox.functions.refuse("not today").call()


def test_a_transaction_of_its_own_key(web3: Web3) -> None:
    account = Account.from_key(KEY)
    to = accounts(web3)[4]
    before = web3.eth.get_balance(to)
    transaction: Any = {
        "from": account.address, "to": to, "value": web3.to_wei(1, "ether"), "chainId": web3.eth.chain_id,
        "nonce": web3.eth.get_transaction_count(account.address), "maxFeePerGas": web3.eth.gas_price * 2,
        "maxPriorityFeePerGas": web3.eth.max_priority_fee,
    }  # fmt: skip
    transaction["gas"] = web3.eth.estimate_gas(transaction)
    sent = web3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)
    receipt = web3.eth.wait_for_transaction_receipt(sent)
    assert receipt["status"] == 1
    assert web3.eth.get_balance(to) == before + 10**18
    assert web3.eth.get_transaction(sent)["from"] == account.address
    history: Any = web3.eth.fee_history(2, "latest", [50])
    assert len(history["reward"]) == 2


def test_unknown_transaction_raises_not_found(web3: Web3) -> None:
    with pytest.raises(TransactionNotFound):
        web3.eth.get_transaction("0x" + "11" * 32)  # type: ignore[arg-type]  # text is accepted, too


def test_websocket_subscriptions_deliver_blocks_and_logs(url: str, inbox: Any, web3: Web3) -> None:
    async def listen() -> tuple[Any, dict[str, Any]]:
        async with AsyncWeb3(WebSocketProvider(url.replace("http", "ws"))) as live:
            names = {
                await live.eth.subscribe("newHeads"): "block",
                await live.eth.subscribe("logs", {"address": inbox.address}): "log",
            }
            contract: Any = live.eth.contract(address=inbox.address, abi=inbox.abi)
            sent = await contract.functions.greet("live").transact({"from": accounts(web3)[3]})
            receipt = await live.eth.wait_for_transaction_receipt(sent)
            heard: dict[str, Any] = {}
            async for message in live.socket.process_subscriptions():
                told: Any = message
                heard[names[told["subscription"]]] = told["result"]
                if len(heard) == 2:
                    break
            return receipt, heard

    receipt, heard = asyncio.run(asyncio.wait_for(listen(), 60))
    assert heard["block"]["number"] == receipt["blockNumber"]
    assert heard["log"]["transactionHash"] == receipt["transactionHash"]


def test_typed_data_are_signed_by_the_node_as_by_the_account(web3: Web3) -> None:
    typed: dict[str, Any] = {
        "domain": {"name": "Notes", "version": "1", "chainId": web3.eth.chain_id},
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
            ],
            "Note": [{"name": "key", "type": "uint256"}, {"name": "text", "type": "string"}],
        },
        "primaryType": "Note",
        "message": {"key": 1, "text": "signed"},
    }  # fmt: skip
    account = Account.from_key(KEY)
    ours = web3.provider.make_request(RPCEndpoint("eth_signTypedData_v4"), [account.address, typed])["result"]
    assert ours == "0x" + account.sign_typed_data(full_message=typed).signature.hex()


@pytest.mark.slow
def test_ten_contracts_with_counted_nonces(web3: Web3) -> None:
    content = json.loads((ARTIFACTS / "Inbox.json").read_text(encoding="utf-8"))
    factory: Any = web3.eth.contract(abi=content["abi"], bytecode=content["bytecode"])
    account = Account.from_key(KEY)
    first = web3.eth.get_transaction_count(account.address)
    made = []
    for nonce in range(first, first + 10):
        transaction = factory.constructor().build_transaction({"from": account.address, "nonce": nonce})
        made.append(web3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction))
    receipts: list[Any] = [web3.eth.wait_for_transaction_receipt(one) for one in made]
    assert [receipt["status"] for receipt in receipts] == [1] * 10
    assert len({receipt["contractAddress"] for receipt in receipts}) == 10


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_pending_transaction_is_modified(rules: str) -> None:
    """web3.py sends the type as the number that it read."""
    with Network(rules=rules) as network, serving(network) as own_url:
        network.automine = False
        web3: Any = Web3(HTTPProvider(own_url))
        alice, bob = accounts(web3)[:2]
        fees = {"maxFeePerGas": 4 * 10**9, "maxPriorityFeePerGas": 10**9}
        sent = web3.eth.send_transaction({"from": alice, "to": bob, "value": 1, "gas": 10**7, **fees})
        doubled = {name: 2 * fee for name, fee in fees.items()}
        modified = web3.eth.modify_transaction(sent, value=2, **doubled)
        network.mine()
        found = web3.eth.get_transaction(modified)
        assert (found["from"], found["to"], found["value"], found["type"]) == (alice, bob, 2, 2)
        with pytest.raises(TransactionNotFound):
            web3.eth.get_transaction(sent)
