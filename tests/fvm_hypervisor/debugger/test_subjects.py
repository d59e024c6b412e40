"""Subjects of the debugger: messages of nodes, of vectors, and of networks under other rules."""

from pathlib import Path

import pytest

from fvm_hypervisor.debugger import views
from fvm_hypervisor.debugger.execution import End, Stop
from fvm_hypervisor.debugger.session import Session
from fvm_hypervisor.debugger.sources import SourceLines
from fvm_hypervisor.debugger.subjects import of_source, of_transaction, of_vector
from fvm_hypervisor.laboratory.vectors.bundles import BundleFolder
from fvm_hypervisor.laboratory.vectors.extract import extract_message
from fvm_hypervisor.laboratory.vectors.writing import write_vector
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.chain.folder_source import FolderSource
from localnet.chain.node_source import NodeSource
from localnet.rpc.server import serving
from tests.fvm_hypervisor.debugger.stage import OUT, TELLER, Stage, prepare


def stepped(session: Session) -> tuple[int, End]:
    """Return the number of stops of a message, and its end."""
    state, count = session.start(), 0
    while isinstance(state, Stop):
        state, count = session.step(), count + 1
    return count, state


@pytest.mark.slow
def test_node_message_is_debugged_without_affecting_node(stage: Stage) -> None:
    receipt = stage.network.receipt(stage.failed)
    stage.network.mine()
    head = stage.network.head
    with serving(stage.network) as url:
        source = NodeSource(url)
        session = Session(of_source(source, f"0x{stage.failed.hex()}"), SourceLines([OUT]))
        try:
            count, ended = stepped(session)
            assert (ended.exit_code, ended.gas_used) == (receipt.exit_code, receipt.gas_used)
            assert count > 20
            session.back()
            assert "ends: exit 33" in views.frames(session)[0].where
        finally:
            session.close()
            source.close()
    assert stage.network.head == head


def test_a_contract_under_ethereums_rules() -> None:
    with Network(rules="ethereum") as network:
        teller = network.deploy(TELLER)
        receipt = teller.send("spin", 5)
        session = Session(of_transaction(network, receipt.hash), SourceLines([OUT]))
        try:
            session.start()
            session.breakpoints.add("line Teller.sol:35")
            stop = session.resume()
            assert isinstance(stop, Stop)
            assert views.frames(session)[0].line == 35
            assert views.storage(session, 0).slots == {}
            session.over()
            assert views.storage(session, 0).slots == {0: 30}
            session.breakpoints.remove(1)
            _, ended = stepped(session)
            assert (ended.exit_code, ended.gas_used) == (0, receipt.gas_used)
        finally:
            session.close()


@pytest.mark.slow
def test_a_message_of_a_vector(tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        made = prepare(network)
        receipt = network.receipt(made.failed)
    source = FolderSource(tmp_path / "chain")
    try:
        vector = extract_message(source, BundleFolder(None), f"0x{made.failed.hex()}").vector
    finally:
        source.close()
    write_vector(tmp_path / "message.json", vector)
    session = Session(of_vector(tmp_path / "message.json", tmp_path), SourceLines([OUT]))
    try:
        _, ended = stepped(session)
        assert (ended.exit_code, ended.gas_used) == (receipt.exit_code, receipt.gas_used)
    finally:
        session.close()
    with pytest.raises(InvalidInput, match="has no message 2: it has 1"):
        of_vector(tmp_path / "message.json", tmp_path, 2)
