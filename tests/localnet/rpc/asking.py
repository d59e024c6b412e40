"""Setup of the method tests: the first accounts, two contracts, and calls of them."""

from typing import Any

from localnet.contracts.contract import Artifact
from tests.localnet.conftest import ARTIFACTS
from tests.localnet.rpc.conftest import Client

COUNTER, INBOX = Artifact.load(ARTIFACTS / "Counter.json"), Artifact.load(ARTIFACTS / "Inbox.json")
FUNDS = hex(10_000 * 10**18)
ALICE, BOB = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
ALICE_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
NOBODY, NO_HASH = "0x" + "99" * 20, "0x" + "99" * 32


def calldata(artifact: Artifact, function: str, *arguments: Any) -> str:
    return "0x" + artifact.interface.encode_call(function, *arguments).hex()


def deploy(rpc: Client, artifact: Artifact) -> str:
    """Deploy a contract from the first account and return its address."""
    sent = rpc("eth_sendTransaction", {"from": ALICE, "data": "0x" + artifact.bytecode.hex()})
    address: str = rpc("eth_getTransactionReceipt", sent)["contractAddress"]
    return address


def greet(rpc: Client, inbox: str, text: str = "hi", **fields: str) -> str:
    """Send a transaction that emits a log and return its hash."""
    request = {"from": ALICE, "to": inbox, "data": calldata(INBOX, "greet", text), **fields}
    sent: str = rpc("eth_sendTransaction", request)
    return sent
