"""Malformed traces from a node: a one-line error without terminal escape sequences."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.cli.node_client import request_places, request_trace
from localnet import Artifact, Network, TransactionFailed
from localnet.fork.node_client import NodeError
from localnet.rpc.server.server import serving
from localnet.traces.call_text import DEEPEST, MAX_CALLS, call_line, call_lines, tree_console
from localnet.traces.trace_report import explain_trace
from tests.command import run
from tests.conftest import data_file, kinds
from tests.localnet.contracts.test_artifacts import PROJECT, SOURCES
from tests.localnet.test_console import GAS, line_of
from tests.localnet.traces.lookup import found, plain_call
from tests.web_server import replying

HASH = "0x" + "11" * 32
Answering = Callable[[Any], str]


@pytest.fixture
def node() -> Iterator[Answering]:
    """Return `node(answer)`, which serves this response to every request and returns the URL."""
    results: list[Any] = []

    with replying(lambda _: {"jsonrpc": "2.0", "id": 1, "result": results[-1]}) as url:

        def answering(answer: Any) -> str:
            results.append(answer)
            return url

        yield answering


@pytest.fixture(scope="module")
def good() -> str:
    """Return a network's trace of a payment as JSON."""
    with Network() as network:
        return json.dumps(network.send(network.accounts[1], 5).trace.as_json())


def test_valid_trace_is_returned_unchanged(node: Answering, good: str) -> None:
    found = request_trace(node(json.loads(good)), HASH)
    assert found == json.loads(good)
    assert explain_trace(found)["why"] is None


@pytest.mark.parametrize("answer", [None, "0x", [], {}, 5, {"calls": []}])
def test_malformed_trace_is_one_sentence_error(node: Answering, answer: Any) -> None:
    with pytest.raises(NodeError, match="returned an invalid call tree: "):
        request_trace(node(answer), HASH)


WRONG: dict[str, tuple[str, Any]] = {
    "a call that is none": ("calls", [5]),
    "a colour in an address": ("to", "\x1b[31mf05"),
    "a name without end": ("actor", "a" * 300),
    "digits that are none": ("params", "0xzz"),
    "a value in words": ("value", "much"),
    "less than no gas": ("gas", -1),
    "truth in place of gas": ("gas", True),
    "charges in words": ("charges", {"OnEvmGas": "1"}),
    "half a character": ("words", "\ud800"),
    "events that are none": ("events", {}),
    "an event that is none": ("events", [[]]),
    "an entry that is none": ("events", [{"emitter": "f01", "address": None, "entries": [{}]}]),
}


@pytest.mark.parametrize("case", WRONG)
def test_call_with_a_wrong_field_is_refused_by_the_fields_name(node: Answering, good: str, case: str) -> None:
    response, (name, value) = json.loads(good), WRONG[case]
    response["calls"][0][name] = value
    with pytest.raises(NodeError, match="returned an invalid call tree: ") as refused:
        request_trace(node(response), HASH)
    assert str(refused.value).isprintable()


OUT = PROJECT / "out"
VAULT, CALLER = (Artifact.load(OUT / "Vault.sol" / f"{name}.json") for name in ("Vault", "Caller"))
PUT = CALLER.interface.encode_call("put", 6)
PLACE: dict[str, Any] = {"code": 0, "creation": False, "made": [], "ended": [1], "calls": []}
PLACES = {"codes": ["0x00"], "calls": [PLACE]}


def put_too_much(network: Network) -> tuple[bytes, bytes]:
    made = network.send(None, 0, CALLER.bytecode)
    with pytest.raises(TransactionFailed) as failed:
        network.send(made.contract_address, 0, PUT, gas_limit=GAS)
    return made.hash, failed.value.receipt.hash


def traced(transaction: bytes, *options: str) -> str:
    done = run("trace", f"0x{transaction.hex()}", *options)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(params=kinds())
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    official = request.param == "official"
    with Network(bundle=data_file("bundles/v18-devnet.car") if official else None) as found:
        yield found


@pytest.mark.slow
def test_trace_shows_source_lines_of_calls_and_failure(network: Network) -> None:
    made, failed = put_too_much(network)
    with serving(network) as url:
        output = traced(failed, "--rpc-url", url, "--artifacts", str(OUT))
        deployment = traced(made, "--rpc-url", url, "--artifacts", str(OUT))
        without = traced(failed, "--rpc-url", url, "--artifacts", str(PROJECT / "src"))
    put = next(line for line in output.splitlines() if "Vault put(amount=6)" in line)
    assert put.endswith(f"from {line_of('src/Vault.sol', 'vault.put(amount)')}")
    assert f"\nat {line_of('src/Lib.sol', 'revert TooMuch')}\n" in output
    assert "Caller put(amount=6)" in output
    assert "console.log: put 6" in output
    creation = line_of("src/Vault.sol", "new Vault(5)")
    assert any(line.endswith(f"from {creation}") for line in deployment.splitlines() if " f010 " in line)
    assert ".sol:" not in without


@pytest.mark.slow
def test_trace_shows_source_lines_in_creations_under_ethereums_rules() -> None:
    with Network(rules="ethereum") as network:
        made = network.send(None, 0, CALLER.bytecode)
        with serving(network) as url:
            deployment = traced(made.hash, "--rpc-url", url, "--artifacts", str(OUT))
    assert f"from {line_of('src/Vault.sol', 'new Vault(5)')}" in deployment


@pytest.mark.slow
def test_folder_is_traced_with_lines_too(tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        _, failed = put_too_much(network)
    found = json.loads(traced(failed, "--state", str(tmp_path / "chain"), "--artifacts", str(OUT), "--json"))
    (top,) = found["calls"]
    assert top["line"] is None
    *_, vault = top["calls"]  # behind the question whether it has code
    assert vault["line"] == line_of("src/Vault.sol", "vault.put(amount)")
    assert vault["failedAt"] == line_of("src/Lib.sol", "revert TooMuch")
    assert set(SOURCES) == {"src/Lib.sol", "src/Vault.sol"}


def test_node_that_has_no_such_method_gives_no_lines(node: Answering) -> None:
    assert request_places(node(None), "0x00") is None
    assert request_places(node(PLACES), "0x00") == PLACES


@pytest.mark.parametrize(
    "wrong",
    [
        7,
        {"codes": ["60"], "calls": []},
        {"codes": ["0x6"], "calls": []},
        {**PLACES, "codes": []},
        {**PLACES, "calls": [{}]},
        {**PLACES, "calls": [{**PLACE, "ended": ["1"]}]},
        {**PLACES, "calls": [{**PLACE, "calls": [None]}]},
    ],
)
def test_malformed_places_are_one_sentence_error(node: Answering, wrong: Any) -> None:
    with pytest.raises(NodeError, match=r"returned (an invalid call tree|invalid locations of calls)"):
        request_places(node(wrong), "0x00")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("wasm", "f01 init", "Exec", 0, 0, "", 1234567), "wasm f01 init Exec  value 0  exit 0  gas 1,234,567"),
        (("evm", "f0102 evm", "f()", 5, 33, "", 7),
         "evm  f0102 evm f()  value 0.000000000000000005 FIL  exit 33 EVM_CONTRACT_REVERTED  gas 7"),
        (("wasm", "f0104 counter", "Fail", 0, 42, "", 7), "wasm f0104 counter Fail  value 0  exit 42  gas 7"),
        (("", "f05 ", "Send", 0, 0, "NOT_FOUND", 7), "-    f05  Send  value 0  exit NOT_FOUND  gas 7"),
    ],
)  # fmt: skip
def test_call_is_one_line(fields: tuple[str, str, str, int, int, str, int], words: str) -> None:
    assert call_line(*fields).plain == words


def shown(calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    tree_console().print(call_lines(explain_trace(found(calls))["calls"]))
    return capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_deep_call_tree_is_shown_completely(capsys: pytest.CaptureFixture[str]) -> None:
    call = plain_call()
    for _ in range(1024):
        call = {**call, "calls": [call]}
    lines = shown([call], capsys)
    assert len(lines) == 1025
    assert lines[0].startswith("wasm f0101 account Send()")
    assert all(line.endswith("value 0  exit 0  gas 7") for line in lines)


@pytest.mark.slow
def test_call_tree_shows_first_calls_and_counts_omitted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inner = plain_call(calls=[plain_call()])
    lines = shown([plain_call(calls=[inner] * MAX_CALLS)], capsys)
    assert len(lines) == MAX_CALLS + 1
    assert lines[-1] == f"... and {MAX_CALLS + 1:,} calls more, which --json has"


def test_contract_output_cannot_control_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"emitter": "f0101", "address": None, "entries": [
        {"flags": 3, "key": "\x1b[2J[red]\u202e\n", "codec": 0x55, "value": "0x01"},
    ]}  # fmt: skip
    lines = shown([plain_call(words="gone\x07\r\nexit 0", exitCode=20, events=[event])], capsys)
    assert lines[1].endswith(r"event \x1b[2J[red]\u202e\n=0x01")
    assert lines[2].endswith(r"-> gone\x07\r\nexit 0")
    assert len(lines) == 3


@pytest.mark.slow
def test_deep_calls_are_printed_with_depth(capsys: pytest.CaptureFixture[str]) -> None:
    deepest = 1_023
    call = {**plain_call(), "return": "0x05"}
    for _ in range(deepest):
        call = {**plain_call(), "calls": [call]}
    lines = [line for line in shown([call], capsys) if "gas" in line]
    assert len(lines) == deepest + 1
    assert max(map(len, lines)) < 400
    assert [line.partition("]")[0].rpartition("[")[2] for line in lines[DEEPEST + 1 :]] == [
        str(depth) for depth in range(DEEPEST + 1, deepest + 1)
    ]
    assert not any("[" in line.partition("f0")[0] for line in lines[: DEEPEST + 1])
