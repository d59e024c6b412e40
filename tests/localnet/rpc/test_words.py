"""Failure texts for clients and the node's log, under both rules; Ethereum's are those of anvil 1.7.1."""

from collections.abc import Iterator
from typing import Any

import pytest

from localnet import Network
from localnet.console import Console
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE
from tests.localnet.rpc.conftest import Client, Failed, refusal
from tests.patience import ENDLESS

LOOP = f"0x{ENDLESS.hex()}"
UNDERFLOW = "0x5ffd"
PANIC = "0x634e487b7160e01b5f52600160045260245ffd"
"""Init code that reverts with `Panic(1)`."""
NOBODY_THERE = "0xff00000000000000000000000000000000099999"


def client(rules: str) -> Iterator[Client]:
    with Network(clock=Clock(), rules=rules) as network:
        yield Client(Node(network))


@pytest.fixture
def ethereum() -> Iterator[Client]:
    yield from client("ethereum")


@pytest.fixture(params=["filecoin", "ethereum"])
def rpc(request: pytest.FixtureRequest) -> Iterator[Client]:
    yield from client(request.param)


def creation(code: str, **fields: Any) -> dict[str, Any]:
    return {"from": ALICE, "data": code, **fields}


def log_of(rpc: Client, capsys: pytest.CaptureFixture[str], code: str) -> str:
    """Return the node's output for a failing creation."""
    console = Console(rpc.node.network, folders=[])
    console.listen()
    gas = "0x10000000" if rpc.node.network.rules.name == "filecoin" else "0x100000"
    rpc("eth_sendTransaction", creation(code, gas=gas))
    rpc.node.network.chain.watchers.remove(console)
    return capsys.readouterr().out


@pytest.mark.parametrize(("fields", "allowance"), [({}, 1 << 24), ({"gas": "0x100000"}, 0x100000)])
def test_estimate_without_sufficient_limit_names_the_highest(
    ethereum: Client, fields: dict[str, Any], allowance: int
) -> None:
    with refusal(-32003) as failed:
        ethereum("eth_estimateGas", creation(LOOP, **fields))
    assert str(failed.value) == f"-32003: Out of gas: gas required exceeds allowance: {allowance}"


def test_send_to_missing_actor_omits_lotus_text_for_ethereum(ethereum: Client) -> None:
    with pytest.raises(Failed) as failed:
        ethereum("eth_sendTransaction", {"from": ALICE, "to": NOBODY_THERE, "value": "0x1"})
    assert str(failed.value) == (
        "3: execution failed: exit 5 SYS_INVALID_RECEIVER, the receiver does not exist and cannot be created: "
        "f0629145: actor f0629145 does not exist"
    )


def test_every_receipt_has_its_blocks_time_as_a_number(rpc: Client) -> None:
    sent = rpc("eth_sendTransaction", {"from": ALICE, "to": ALICE})
    time = rpc("eth_getTransactionReceipt", sent)["blockTimestamp"]
    assert time == int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


def test_failed_creation_receipt_has_address_in_ethereum_rules(ethereum: Client) -> None:
    sent = ethereum("eth_sendTransaction", creation(PANIC, gas="0x100000"))
    receipt = ethereum("eth_getTransactionReceipt", sent)
    # of the first account's nonce 0; anvil answers the same
    assert (receipt["status"], receipt["contractAddress"]) == ("0x0", "0x5fbdb2315678afecb367f032d93f642f64180aa3")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (PANIC, "execution reverted: panic: assertion failed (0x01)"),
        (UNDERFLOW, "stack underflow"),
        (LOOP, "out of gas"),
    ],
)
def test_the_log_has_the_words_of_the_rpc_under_ethereums_rules(
    ethereum: Client, capsys: pytest.CaptureFixture[str], code: str, words: str
) -> None:
    with pytest.raises(Failed) as failed:
        ethereum("eth_call", creation(code))
    assert str(failed.value) == f"3: {words}"
    head, *_, why = log_of(ethereum, capsys, code).splitlines()
    assert "new contract 0x5fbdb2315678afecb367f032d93f642f64180aa3  failed: " + words.partition(":")[0] in head
    assert why.endswith(f" evm.Constructor: {words}")


@pytest.mark.parametrize("code", [PANIC, UNDERFLOW, "0x5f5ffd"])
def test_log_names_contract_being_created_and_has_no_duplicates(
    rpc: Client, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    output = log_of(rpc, capsys, code)
    assert "?" not in output
    why = output.splitlines()[-1]
    assert " evm.Constructor: " in why
    assert "contract reverted: contract reverted" not in why
    assert "STACK_UNDERFLOW, stack underflow in the contract: " not in why


@pytest.mark.parametrize("method", ["anvil_setStorageAt", "anvil_setCode"])
@pytest.mark.parametrize("owner", ["0xff00000000000000000000000000000000000064", NOBODY_THERE])
def test_an_address_is_named_as_it_was_given(rpc: Client, method: str, owner: str) -> None:
    rest = ["0x0", f"0x{1:064x}"] if method == "anvil_setStorageAt" else ["0x60"]
    with pytest.raises(Failed, match=owner):
        rpc(method, owner, *rest)
    with pytest.raises(Failed, match=owner):
        rpc("eth_call", {"to": ALICE}, "latest", {owner: {"code": "0x60"}})


def test_another_url_to_fork_from_is_refused_with_the_reason(rpc: Client) -> None:
    with refusal(-32004, "--fork-url"):
        rpc("anvil_setRpcUrl", "http://127.0.0.1:1")
