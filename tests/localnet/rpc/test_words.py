"""Failure texts for clients and the node's log, under both rules; Ethereum's are those of anvil 1.7.1."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
from hypervisor.types import Gas
from localnet import Network
from localnet.calls import simulate
from localnet.console import Console
from localnet.errors import CallFailed
from localnet.rpc.node import Node
from localnet.rules.facts import CallRequest
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
        "-32000: execution failed: exit 5 SYS_INVALID_RECEIVER, the receiver does not exist and cannot be created: "
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
    assert str(failed.value) == f"{3 if words.startswith('execution reverted') else -32000}: {words}"
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


LARGE = bytes.fromhex("6160015ff3")
"""Init code that returns 24,577 bytes: one more than EIP-170 allows."""
CONTRACT = "0x" + "c0" * 20
CALL_IT = bytes.fromhex(f"5f5f5f5f5f73{CONTRACT[2:]}5af1")
PASS_ITS_DATA_ON = bytes.fromhex("3d5f5f3e3d5ffd")
CALL_ACTOR_ID = "fe00000000000000000000000000000000000005"


@pytest.fixture(params=["filecoin", "ethereum"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(rules=request.param) as found:
        yield found


def calling(actor: int, method: int, precompile: str = CALL_ACTOR_ID, opcode: str = "f4") -> bytes:
    """Return init code that calls an actor by call_actor_id without parameters, and reverts without data.

    The arguments are method, value, flags, codec, the place of the parameters, the actor, and their length.
    """
    words = (method, 0, 0, 0, 192, actor, 0)
    stored = b"".join(
        b"\x67" + word.to_bytes(8, "big") + b"\x61" + (32 * place).to_bytes(2, "big") + b"\x52"
        for place, word in enumerate(words)
    )
    value = "5f" if opcode == "f1" else ""
    return stored + bytes.fromhex(f"5f5f6100e05f{value}73{precompile}5a{opcode}5f5ffd")


def reason(network: Network, init_code: bytes) -> str:
    with pytest.raises(CallFailed) as failed:
        network.estimate_gas(None, init_code)
    return str(failed.value)


def test_code_above_the_limit_names_its_size_and_the_limit(network: Network) -> None:
    assert "max code size exceeded: code size 24577 limit 24576" in reason(network, LARGE)


CREATING = bytes.fromhex("64") + LARGE + bytes.fromhex("5f526005601b5ff0503d5f5f3e3d5ffd")
"""Code that creates such a contract and reverts with its (empty) revert data."""


@pytest.mark.parametrize("asked", ["estimate_gas", "call"])
@pytest.mark.parametrize("below", [False, True])
def test_a_creators_silent_revert_has_the_reason_of_the_creation(network: Network, asked: str, below: bool) -> None:
    network.set_code(CONTRACT, CREATING)
    code = CALL_IT + PASS_ITS_DATA_ON if below else CREATING
    with pytest.raises(CallFailed, match="max code size exceeded: code size 24577 limit 24576"):
        getattr(network, asked)(None, code)


@pytest.mark.parametrize(
    ("actor", "method", "words"),
    [
        (2, 12345, "f02: method 12345 is internal: f0"),
        (7, 80475954, "f07: this method takes parameters, got none"),
        (7, 99_999_999, "f07: this actor has no method 99999999"),
        (99_999, 0, "f099999: actor f099999 does not exist"),
        (2, 5, "method 5 cannot be called: contracts may call method 0 and methods from 1024"),
    ],
)
def test_actor_or_precompile_refusal_reason_is_in_message(
    network: Network, actor: int, method: int, words: str
) -> None:
    assert words in reason(network, calling(actor, method))


def test_misused_precompile_reports_required_call_type(network: Network) -> None:
    text = reason(network, calling(2, 0, opcode="f1"))
    assert f"precompile 0x{CALL_ACTOR_ID}: call_actor must be delegate-called" in text


def test_a_failure_that_was_followed_by_a_success_is_not_blamed(network: Network) -> None:
    then_well = calling(99_999, 0).removesuffix(bytes.fromhex("5f5ffd")) + calling(99, 0)
    assert "99999" not in reason(network, then_well)


def reverting_with(data: bytes) -> bytes:
    """Return code that reverts with data."""
    padded = data + bytes(-len(data) % 32)
    stored = b"".join(
        b"\x7f" + padded[at : at + 32] + b"\x61" + at.to_bytes(2, "big") + b"\x52" for at in range(0, len(padded), 32)
    )
    return stored + b"\x61" + len(data).to_bytes(2, "big") + bytes.fromhex("5ffd")


def caught(actor: int) -> bytes:
    """Return init code that calls an actor and ignores the result."""
    return calling(actor, 0).removesuffix(bytes.fromhex("5f5ffd"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (4).to_bytes(32, "big") + b"mine".ljust(32, b"\0"),
            "mine",
        ),
        (bytes.fromhex("7dd60c21"), "7dd60c21"),
        (bytes.fromhex("4e487b71") + (17).to_bytes(32, "big"), "verflow"),
    ],
    ids=["Error(string)", "a custom error", "Panic(uint256)"],
)
def test_caught_failure_is_not_blamed_for_later_revert(network: Network, data: bytes, words: str) -> None:
    text = reason(network, caught(99_999) + reverting_with(data))
    assert words in text
    assert "99999" not in text


@pytest.mark.parametrize("end", [bytes.fromhex("5f5ffd"), PASS_ITS_DATA_ON], ids=["nothing", "the data of the callee"])
def test_a_revert_without_words_is_explained_through_its_callers(network: Network, end: bytes) -> None:
    network.set_code(CONTRACT, caught(99_999) + bytes.fromhex("5f5ffd"))
    assert "f099999: actor f099999 does not exist" in reason(network, CALL_IT + end)


def test_bubbled_revert_omits_reason_of_caught_failure(network: Network) -> None:
    network.set_code(CONTRACT, caught(99_999) + reverting_with(bytes.fromhex("7dd60c21")))
    text = reason(network, CALL_IT + PASS_ITS_DATA_ON)
    assert "7dd60c21" in text
    assert "99999" not in text


def test_plain_reverts_have_no_words_but_their_own() -> None:
    with Network(rules="ethereum") as network:
        assert reason(network, bytes.fromhex("5f5ffd")) == "execution reverted"


def test_a_call_that_is_explained_has_the_money_of_one_execution() -> None:
    silent, gas, price = "0x" + "5f" * 20, 100_000, 10**11
    with Network(rules="ethereum") as network:
        network.set_code(silent, bytes.fromhex("5f5ffd"))
        network.set_balance("0x" + "ab" * 20, gas * price)
        request = CallRequest(EthAddress(b"\x5f" * 20), sender=EthAddress(b"\xab" * 20), gas=Gas(gas), max_fee=price)
        with pytest.raises(CallFailed, match=r"^execution reverted$"):
            simulate.call(network.machine, request)
