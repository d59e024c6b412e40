"""Tests of docs/architecture.md: its functions exist, and messages pass them in its order."""

from __future__ import annotations

import re
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from eth_account import Account as EthAccount

from fvm_hypervisor.demo import scenario
from hypervisor.deep_stack import ExecutionThread, large_stacks
from hypervisor.tracing import CallEnded, CallStarted, Dispatched, Flushed, KernelSend, MessageEnded, MessageStarted
from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client

PAGE = Path(__file__).parent.parent.parent / "docs" / "architecture.md"
ROW = re.compile(r"^\| (\w+) \| .* \| `([\w/.]+)` \| `([\w.]+)` \|$", re.MULTILINE)


def arrows() -> list[tuple[str, str, str]]:
    """Return (number, file, function) of each row of the page's table."""
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def resolve(file: str, function: str) -> Any:
    module = import_module(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    found: Any = module
    for name in function.split("."):
        found = getattr(found, name)
    return found


def test_diagram_has_arrow_for_every_step() -> None:
    assert [number for number, _, _ in arrows()] == ["1", "2", "3", "4", "5a", "5b", "6", "7", "8", "9", *"ABCDEFGH"]


@pytest.mark.parametrize(("number", "file", "function"), arrows())
def test_every_arrow_names_a_function_that_exists(number: str, file: str, function: str) -> None:
    assert callable(resolve(file, function)), number


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the arrows that each step of the demo passed, according to its trace."""
    demo = scenario.run(tmp_path_factory.mktemp("architecture") / "state")
    return {step.name: [number for event in step.trace for number in _arrows_of(event)] for step in demo.steps}


def _arrows_of(event: object) -> list[str]:
    match event:
        case MessageStarted():
            return ["1", "2"]
        case CallStarted():
            return ["3"]
        case Dispatched(runtime=runtime):
            return ["4", "5a" if runtime == "wasm" else "5b"]
        case KernelSend():
            return ["6"]
        case CallEnded():
            return ["7"]
        case MessageEnded():
            return ["8"]
        case Flushed():
            return ["9"]
        case _:
            return []


def test_a_transaction_passes_the_lettered_arrows_in_their_order() -> None:
    codes = {resolve(file, function).__code__: number for number, file, function in arrows() if number.isalpha()}
    met: list[str] = []

    def watch(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and (number := codes.get(frame.f_code)) is not None and number not in met:
            met.append(number)

    with Network(clock=Clock()) as network:
        client = Client(Node(network))
        (alice, bob), nonce = network.accounts[:2], network.nonce(network.accounts[0])
        fields = {
            "type": 2, "chainId": network.chain_id, "nonce": nonce, "gas": 10_000_000, "value": 1,
            "to": bytes(bob.address), "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**6,
        }  # fmt: skip
        raw = bytes(EthAccount.sign_transaction(fields, alice.private_key).raw_transaction)

        def ask() -> None:
            ExecutionThread().adopt()  # as the node's own thread: what it executes begins on it
            sys.setprofile(watch)
            client("eth_sendRawTransaction", f"0x{raw.hex()}")

        with large_stacks():
            thread = threading.Thread(target=ask)
            thread.start()
        thread.join()
    assert met == list("ABCDEFGH")


def test_a_call_two_borders_deep_passes_the_arrows_in_order(passed: dict[str, list[str]]) -> None:
    into = ["3", "4"]
    way = ["1", "2", *into, "5b", "6", *into, "5a", "6", *into, "5b", "7", "7", "7", "8", "9"]
    assert passed["two_borders_deep"] == way


def test_demo_messages_pass_through_every_layer_in_and_out(passed: dict[str, list[str]]) -> None:
    for name, way in passed.items():
        assert way[:2] == ["1", "2"] or way[0] == "9", name
        assert way[-2:] == ["8", "9"], name
        assert way.count("3") == way.count("7"), name
        assert way.count("3") == way.count("6") + way.count("1"), name
