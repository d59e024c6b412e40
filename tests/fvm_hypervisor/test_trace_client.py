"""Malformed traces from a node: a one-line error without terminal escape sequences."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fvm_hypervisor.cli.trace_client import request_trace
from localnet import Network
from localnet.fork.node_client import NodeError
from localnet.traces.trace_report import explain_trace
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


def test_the_answer_of_a_node_of_ours_is_passed_on_as_it_is(node: Answering, good: str) -> None:
    found = request_trace(node(json.loads(good)), HASH)
    assert found == json.loads(good)
    assert explain_trace(found)["why"] is None


@pytest.mark.parametrize("answer", [None, "0x", [], {}, 5, {"calls": []}])
def test_an_answer_of_another_shape_is_one_sentence(node: Answering, answer: Any) -> None:
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
def test_a_call_with_a_wrong_field_is_refused_by_the_fields_name(node: Answering, good: str, case: str) -> None:
    response, (name, value) = json.loads(good), WRONG[case]
    response["calls"][0][name] = value
    with pytest.raises(NodeError, match="returned an invalid call tree: ") as refused:
        request_trace(node(response), HASH)
    assert str(refused.value).isprintable()
