"""Tests of several forks under Filecoin's rules: two local networks with different chains, heights and versions.

Tests that forge runs on forks of anvil must give the same results, except for features that only Ethereum has. Expected
values of native actors come from the forked networks themselves.
"""

from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from hypervisor import Hypervisor
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor_tools.debugger import views
from hypervisor_tools.debugger.breakpoints import SourceLines
from hypervisor_tools.debugger.session import Session
from hypervisor_tools.debugger.subjects import Subject
from hypervisor_tools.soltest.cheatcodes.fork.tipset_forks import executed_message
from hypervisor_tools.soltest.forks.origin import ForkMarkers
from hypervisor_tools.soltest.forks.remotes import Remotes
from hypervisor_tools.soltest.forks.tipsets import TipsetNodes
from hypervisor_tools.soltest.run.staged_test import staged_test
from localnet import Network
from localnet.fork.node_client import NodeClient, NodeError
from localnet.ledger.headers import IncludedMessage
from localnet.replay.tipset_execution import MinedBlock, TipsetWork
from localnet.rpc.server.server import serving
from store.cid import cid_of
from tests.hypervisor_tools.soltest.forks import chains
from tests.hypervisor_tools.soltest.forks.conftest import CREATION
from tests.hypervisor_tools.soltest.forks.golden import GOLDEN
from tests.hypervisor_tools.soltest.forks.running import prepare, run
from tests.web_server import replying

_GAS: Final = 100_000_000


@pytest.fixture(scope="module")
def tipsets() -> Iterator[Mapping[str, str]]:
    """The environment that the contracts read: the nodes, and the content of their networks."""
    first, second = Network(chain_id=31337), Network(chain_id=777, network=28)
    with serving(first) as one, serving(second) as two:
        hashes = chains.build(one, CREATION, 8601, _GAS)
        chains.build(two, CREATION, 8602, _GAS)
        yield {
            **chains.environment(one, hashes, two),
            "FIRST_REWARD": _reward(one, 7),
            "SECOND_REWARD": _reward(two, 3),
            "FIRST_SET": "8601",
            "SECOND_SET": "86020",
            "SECOND_EPOCH": "3",
        }


def _reward(url: str, epoch: int) -> str:
    """Return the balance of the reward actor f02, as the node reports it."""
    with NodeClient(url) as node:
        return str(int(node.request("eth_getBalance", "0xff" + "00" * 18 + "02", hex(epoch)), 16))


@pytest.mark.slow
def test_each_fork_has_its_own_actors(tipsets: Mapping[str, str], tmp_path: Path) -> None:
    found = run(tmp_path, "^TipsetForks$", tipsets, rules="filecoin")["TipsetForks"]
    assert "cannot be forked: " in (found.pop("test_future()").reason or "")
    assert found.pop("test_none()").reason == "vm.activeFork: no active fork"
    assert {name: test.reason for name, test in found.items() if test.reason} == {}


_FUTURE: Final = "epoch {} cannot be forked: FIRST_URL is at epoch 7"
OTHER_WORDS: Final = {
    "test_bigBlock()": f"vm.createFork: {_FUTURE.format((1 << 64) - 1)}",
    "test_future()": f"vm.createFork: {_FUTURE.format(999999)}",
    "test_futureSelect()": f"vm.createSelectFork: {_FUTURE.format(999999)}",
    "test_rollDown()": f"vm.rollFork: {_FUTURE.format(999999)}",
    # a node has its own message for an unknown method
    "test_rpcError()": 'vm.rpc: "eth_nothing": server returned an error response: error code -32601: the method '
    "'eth_nothing' does not exist or is not available",
    # it looks for a message, not a transaction
    "test_transactUnknown()": f"vm.transact: FIRST_URL has no transaction 0x{5:064x}",
}
"""Tests that fail with other messages than in forge."""
OTHER_LOGS: Final = {"test_remotePersistent()": ["n 86017", "seen 86010"]}
"""A contract is carried with all of its slots."""


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("contract", ["ForksTest", "SetUpFork", "AccessTest"])
def test_tests_on_forks_end_as_in_forge(contract: str, evm: str, tipsets: Mapping[str, str], tmp_path: Path) -> None:
    wanted, found = (
        GOLDEN["forge"][contract],
        run(tmp_path, f"^{contract}$", tipsets, rules="filecoin", evm=evm)[contract],
    )
    ours = {name: (test.status.value, test.reason or "", list(test.logs)) for name, test in found.items()}
    said = {name: (test["status"], test["reason"], test["logs"]) for name, test in wanted.items()}
    for name in ours.keys() & (OTHER_WORDS.keys() | OTHER_LOGS.keys()):
        (status, words, logs), (their_status, their_words, their_logs) = ours.pop(name), said.pop(name)
        assert status == their_status
        expected = OTHER_WORDS.get(name, their_words).replace("FIRST_URL", tipsets["FIRST_URL"])
        assert (words, logs) == (expected, OTHER_LOGS.get(name, their_logs)), name
    assert ours == said


@pytest.mark.slow
@pytest.mark.parametrize("contract", ["OwnForks", "OwnForksFirst"])
def test_tipset_fork_changes_in_reverted_call_are_rolled_back(
    contract: str, tipsets: Mapping[str, str], tmp_path: Path
) -> None:
    found = run(
        tmp_path, f"^{contract}$", tipsets, tests="test_(reverted|transact|rolled|persistent)", rules="filecoin"
    )
    assert {name: test.reason for name, test in found[contract].items() if test.reason} == {}
    assert len(found[contract]) == (8 if contract == "OwnForks" else 1)


@pytest.mark.slow
def test_node_responses_are_checked_against_hash(tipsets: Mapping[str, str], tmp_path: Path) -> None:
    found = _hostile(tipsets["FIRST_URL"], "Filecoin.ChainReadObj", lambda _: "AAAA", tmp_path)
    assert "that do not match its hash" in found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "answer", "words"),
    [
        ("Filecoin.ChainHead", {"Cids": [], "Height": 7, "Blocks": []}, "returned a malformed response"),
        ("Filecoin.ChainHead", None, "returned a malformed response"),
        ("Filecoin.StateNetworkVersion", 400, "network version nv400 is not known"),
        ("Filecoin.StateNetworkVersion", "28", "returned a malformed response"),
        ("Filecoin.StateCompute", {"Root": {"/": "bafy"}}, "returned a malformed response"),
        ("Filecoin.ChainReadObj", 7, "did not return base64"),
        ("Filecoin.ChainReadObj", "????", "did not return base64"),
        ("hypervisor_rules", "ethereum", "is of a network under the rules 'ethereum'"),
    ],
)
def test_a_wrong_answer_is_named(
    method: str, answer: Any, words: str, tipsets: Mapping[str, str], tmp_path: Path
) -> None:
    assert words in _hostile(tipsets["FIRST_URL"], method, lambda _: answer, tmp_path)


@pytest.mark.slow
def test_an_id_that_another_actor_has_on_a_fork_is_named(tipsets: Mapping[str, str], tmp_path: Path) -> None:
    (test,) = run(tmp_path, "^TipsetElsewhere$", tipsets, rules="filecoin")["TipsetElsewhere"].values()
    assert "that another actor has on this fork: the test contract must call" in (test.reason or "")


@pytest.mark.slow
def test_a_node_of_ethereums_alone_is_refused(networks: Mapping[str, str], tmp_path: Path) -> None:
    found = run(tmp_path, "^ForksTest$", networks, tests=r"test_ids\(", rules="filecoin")["ForksTest"]
    assert found["setUp()"].reason == (
        f"vm.createFork: {networks['FIRST_URL']} is of a network under the rules 'ethereum', and this fork is "
        "under Filecoin's: fork it with --rules ethereum, which reads accounts and slots of any Ethereum node"
    )


@pytest.mark.slow
def test_debugger_shows_setup_state_on_its_fork(tipsets: Mapping[str, str], tmp_path: Path) -> None:
    ready = prepare(tmp_path, "^SetUpFork$", tipsets, tests=r"test_a\(", rules="filecoin", evm="py-evm")
    (suite,) = ready.suites
    with staged_test(ready.job, ready.artifacts, suite, suite.tests[0], fails=False) as staged:
        session = Session(Subject("the test", staged.executor.machine, staged.run, staged.root), SourceLines())
        session.start()
        session.step(by_instruction=True)
        own = views.storage(session, 0).slots
        while len(views.frames(session)) == 1:
            session.step()
        session.step(by_instruction=True)
        counter = views.storage(session, 0).slots
        session.close()
    assert {slot: word for slot, word in own.items() if slot} == {2: 1}, "`a` is 0, `b` is 1"
    assert counter[0] == 42


@pytest.mark.slow
def test_set_prevrandao_overrides_node_randomness_even_if_zero(tipsets: Mapping[str, str], tmp_path: Path) -> None:
    ready = prepare(tmp_path, "^SetUpFork$", tipsets, tests=r"test_a\(", rules="filecoin")
    (suite,) = ready.suites
    with NodeClient(tipsets["FIRST_URL"]) as node:
        blocks = node.request("Filecoin.ChainGetTipSetByHeight", 3, None)["Cids"]
        said = b64decode(node.request("Filecoin.StateGetRandomnessDigestFromBeacon", 3, blocks))
    with staged_test(ready.job, ready.artifacts, suite, suite.tests[0], fails=False) as staged:
        machine, cheats = staged.executor.machine, staged.executor.cheatcodes
        assert machine.context.epoch == 3
        assert machine.externs.beacon_randomness(ChainEpoch(3)) == said != bytes(32)
        cheats.state.block = replace(cheats.state.block, prevrandao=bytes(32))
        assert machine.externs.beacon_randomness(ChainEpoch(3)) == bytes(32)


def test_tipset_forks_of_one_node_share_client(tipsets: Mapping[str, str]) -> None:
    nodes = TipsetNodes()
    try:
        one, two = (nodes.externs(nodes.point(tipsets["FIRST_URL"], epoch)) for epoch in (3, 4))
        assert one is not two
        assert one._client is two._client
        assert one.tipset_cid(2) == two.tipset_cid(2)
    finally:
        nodes.close()


def test_duplicate_message_with_other_signature_is_reported() -> None:
    message = Message(Address.id(101), Address.id(102))
    first, second = (IncludedMessage(message, cid_of(signature), 100) for signature in (b"first", b"second"))
    blocks = tuple(MinedBlock(Address.id(1000), 1, (carried,)) for carried in (first, second))
    work = TipsetWork(ChainEpoch(5), 0, TokenAmount(0), blocks)
    assert executed_message(work, first.cid) is executed_message(work, message.cid()) is first
    with pytest.raises(InvalidInput, match="is not executed at epoch 5: its tipset contains it twice"):
        executed_message(work, second.cid)


@pytest.mark.slow
def test_initial_fork_of_machine_begins_at_position_zero() -> None:
    with Hypervisor.open() as machine:
        marks = ForkMarkers(machine, Remotes())
        marks.first = 7
        assert (marks.active, marks.base) == (7, 0)


def _hostile(url: str, method: str, answer: Callable[[Any], Any], folder: Path) -> str:
    """Return why a test fails on a fork of a node with a changed response to one method."""

    def changed(asked: Any) -> object:
        with NodeClient(url) as node:
            try:
                said = {"result": node.request(asked["method"], *asked["params"])}
            except NodeError as error:
                said = {"error": {"code": error.code, "message": error.node_message}}
        if asked["method"] == method:
            said = {"result": answer(said)}
        return {"jsonrpc": "2.0", "id": asked["id"], **said}

    with replying(changed) as between:
        found = run(folder, "^HostileTipsets$", {"HOSTILE_URL": between}, rules="filecoin")["HostileTipsets"]
    (test,) = found.values()
    assert test.status.value == "Failure"
    return test.reason or ""
