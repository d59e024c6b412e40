"""Traces, the debugger and the explorer show calls of blobs as those of other contracts."""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from hypervisor.versions.features import with_features
from hypervisor_tools.debugger import views
from hypervisor_tools.debugger.breakpoints import SourceLines
from hypervisor_tools.debugger.execution import Stop
from hypervisor_tools.debugger.session import Session
from hypervisor_tools.debugger.subjects import of_transaction
from localnet import Network
from localnet.addresses import filecoin_address
from localnet.rpc.node import Node
from riscv_tests.contracts import call, create, deploy, forms, with_data
from tests.localnet.explorer.conftest import Visitor

BUMP = call("bump(uint256)", 5)


@pytest.fixture(params=["actor", "contract"])
def network(request: pytest.FixtureRequest) -> Iterator[tuple[Network, bytes]]:
    """A network and a RISC-V counter, by code CID or created by the address manager."""
    with Network(overlay=with_features(["code-formats"])) as network:
        if request.param == "actor":
            address = network.address(create(network, "Counter"))
        else:
            created = network.send(None, 0, forms("Counter").riscv).contract_address
            assert created is not None
            address = created
        network.add_interface(forms("Counter").abi, "Counter", address)
        yield network, address


def test_trace_names_functions_events_and_results(network: tuple[Network, bytes]) -> None:
    net, counter = network
    caller = deploy(net, "Caller")
    receipt = net.send(caller, 0, with_data("call(address,uint256,bytes)", counter, 0, data=BUMP))
    shown = str(net.trace(receipt.hash))
    assert "Counter bump(by=5)" in shown
    assert "event Bumped(who=" in shown
    assert "-> 5" in shown


def test_debugger_steps_through_instructions(network: tuple[Network, bytes]) -> None:
    net, counter = network
    session = Session(of_transaction(net, net.send(counter, 0, BUMP).hash), SourceLines([]))
    seen: list[tuple[int, str]] = []
    try:
        state = session.start()
        while isinstance(state, Stop) and len(seen) < 40:
            step = session.instruction(session.listener.calls[-1])
            if step is not None:
                seen.append((step.pc, step.name))
                assert views.frame(session, 0).where.startswith(f"pc {step.pc} {step.name}"[:20])
            state = session.step(by_instruction=True)
    finally:
        session.close()
    steps = list(dict.fromkeys(seen))
    assert any("jump" in name or name == "ret" for _, name in steps)
    straight = [(left, right) for (left, name), (right, _) in pairwise(steps) if re.fullmatch(r"\w\w = \w\w", name)]
    assert all(right - left == 2 for left, right in straight)  # `move_reg` has two bytes


def test_gas_of_a_traced_call_equals_that_of_the_call(network: tuple[Network, bytes]) -> None:
    net, counter = network
    receipt = net.send(counter, 0, BUMP)
    session = Session(of_transaction(net, receipt.hash), SourceLines([]))
    try:
        state = session.start()
        while isinstance(state, Stop):
            state = session.step()
        assert str(receipt.gas_used) in f"{state!r}".replace(",", "").replace("_", "")
    finally:
        session.close()


def test_explorer_shows_code_slots_and_functions(network: tuple[Network, bytes]) -> None:
    net, counter = network
    net.send(counter, 0, BUMP)
    node = Node(net)
    visit, actor = Visitor(node), filecoin_address(counter)
    try:
        page, forms_ = visit(f"/actor/{actor}"), visit(f"/actor/{actor}/call")
        assert {"bytecode", "its slots", "bump"} <= {text.strip() for text in page.words}
        assert "bump" in forms_.text
    finally:
        node.close()
