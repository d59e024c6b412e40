"""Several forks under Filecoin's rules: two networks of this project's own, of different chains, heights and versions.

Tests that forge runs on forks of anvil end alike, but for what Ethereum alone has; what native actors hold on each fork
is told by the networks themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from devtools.debugger import views
from devtools.debugger.session import Session
from devtools.debugger.sources import SourceLines
from devtools.debugger.subjects import Subject
from devtools.soltest.staged_test import staged_test
from localnet import Network
from localnet.fork.node_client import NodeClient, NodeError
from localnet.rpc.server import serving
from tests.devtools.soltest.forks import chains
from tests.devtools.soltest.forks.conftest import CREATION
from tests.devtools.soltest.forks.golden import GOLDEN
from tests.devtools.soltest.forks.running import prepare, run
from tests.web_server import Handler
from tests.web_server import serving as web_serving

_GAS: Final = 100_000_000


@pytest.fixture(scope="module")
def tipsets() -> Iterator[Mapping[str, str]]:
    """What the contracts ask of their environment: the nodes, and what their networks hold."""
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
    """What the reward actor f02 has, by the node's own word."""
    with NodeClient(url) as node:
        return str(int(node.ask("eth_getBalance", "0xff" + "00" * 18 + "02", hex(epoch)), 16))


def test_each_fork_has_its_own_actors(tipsets: Mapping[str, str], tmp_path: Path) -> None:
    found = run(tmp_path, "^TipsetForks$", tipsets, rules="filecoin")["TipsetForks"]
    assert "cannot be forked: " in (found.pop("test_future()").reason or "")
    assert found.pop("test_none()").reason == "vm.activeFork: no active fork"
    assert {name: test.reason for name, test in found.items() if test.reason} == {}


OTHER_WORDS: Final = {
    "test_bigBlock()": "the epoch is refused in this project's words",
    "test_future()": "the epoch is refused in this project's words",
    "test_futureSelect()": "the epoch is refused in this project's words",
    "test_make()": "a contract that was etched begins with the nonce 1, so it creates another address",
    "test_rollDown()": "the epoch is refused in this project's words",
    "test_rpcError()": "a node has words of its own for an unknown method",
    "test_transactUnknown()": "a message is looked for, not a transaction",
}  # fmt: skip
"""Tests that fail with other words."""
OTHER_LOGS: Final = {"test_remotePersistent()": "a contract is taken along with all of its slots"}


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
        assert (words != their_words) == (name in OTHER_WORDS), name
        assert (logs != their_logs) == (name in OTHER_LOGS), name
    assert ours == said


@pytest.mark.parametrize("contract", ["OwnForks", "OwnForksFirst"])
def test_a_change_in_a_call_that_reverts_is_taken_back(
    contract: str, tipsets: Mapping[str, str], tmp_path: Path
) -> None:
    found = run(
        tmp_path, f"^{contract}$", tipsets, tests="test_(reverted|transact|rolled|persistent)", rules="filecoin"
    )
    assert {name: test.reason for name, test in found[contract].items() if test.reason} == {}
    assert len(found[contract]) == (8 if contract == "OwnForks" else 1)


def test_what_a_node_answers_is_held_against_its_hash(tipsets: Mapping[str, str], tmp_path: Path) -> None:
    found = _hostile(tipsets["FIRST_URL"], "Filecoin.ChainReadObj", lambda _: "AAAA", tmp_path)
    assert "that do not have its hash" in found


@pytest.mark.parametrize(
    ("method", "answer", "words"),
    [
        ("Filecoin.ChainHead", {"Cids": [], "Height": 7, "Blocks": []}, "answers what no Filecoin node would"),
        ("Filecoin.ChainHead", None, "answers what no Filecoin node would"),
        ("Filecoin.StateNetworkVersion", 400, "network version nv400 is not known"),
        ("Filecoin.StateNetworkVersion", "28", "answers what no Filecoin node would"),
        ("Filecoin.StateCompute", {"Root": {"/": "bafy"}}, "answers what no Filecoin node would"),
        ("Filecoin.ChainReadObj", 7, "answers no base64"),
        ("Filecoin.ChainReadObj", "????", "answers no base64"),
        ("hypervisor_rules", "ethereum", "is of a network under the rules 'ethereum'"),
    ],
)
def test_a_wrong_answer_is_named(
    method: str, answer: Any, words: str, tipsets: Mapping[str, str], tmp_path: Path
) -> None:
    assert words in _hostile(tipsets["FIRST_URL"], method, lambda _: answer, tmp_path)


def test_an_id_that_another_actor_has_on_a_fork_is_named(tipsets: Mapping[str, str], tmp_path: Path) -> None:
    (test,) = run(tmp_path, "^TipsetElsewhere$", tipsets, rules="filecoin")["TipsetElsewhere"].values()
    assert "on this fork another actor has that ID: the test contract has to call" in (test.reason or "")


def test_a_node_of_ethereums_alone_is_refused(networks: Mapping[str, str], tmp_path: Path) -> None:
    found = run(tmp_path, "^ForksTest$", networks, tests=r"test_ids\(", rules="filecoin")["ForksTest"]
    assert "cannot be forked" in (found["setUp()"].reason or "") or "under the rules" in (found["setUp()"].reason or "")


def test_the_debugger_shows_what_setup_left_on_its_fork(tipsets: Mapping[str, str], tmp_path: Path) -> None:
    ready = prepare(tmp_path, "^SetUpFork$", tipsets, tests=r"test_a\(", rules="filecoin", evm="py-evm")
    (suite,) = ready.suites
    with staged_test(ready.job, ready.artifacts, suite, suite.tests[0], fails=False) as staged:
        session = Session(Subject("the test", staged.world.machine, staged.run, staged.root), SourceLines())
        session.start()
        session.step(by_instruction=True)
        own = views.storage(session, 0).words
        while len(views.frames(session)) == 1:
            session.step()
        session.step(by_instruction=True)
        counter = views.storage(session, 0).words
        session.close()
    assert {slot: word for slot, word in own.items() if slot} == {2: 1}, "`a` is 0, `b` is 1"
    assert counter[0] == 42


def _hostile(url: str, method: str, answer: Callable[[Any], Any], folder: Path) -> str:
    """Why a test fails on a fork of a node that answers one method otherwise than a sound one."""

    class Between(Handler):
        def do_POST(self) -> None:
            asked = json.loads(self.posted())
            with NodeClient(url) as node:
                try:
                    said = {"result": node.ask(asked["method"], *asked["params"])}
                except NodeError as error:
                    said = {"error": {"code": error.code, "message": error.words}}
            if asked["method"] == method:
                said = {"result": answer(said)}
            self.answer(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}).encode())

    with web_serving(Between) as between:
        found = run(folder, "^HostileTipsets$", {"HOSTILE_URL": between}, rules="filecoin")["HostileTipsets"]
    (test,) = found.values()
    assert test.status.value == "Failure"
    return test.reason or ""
