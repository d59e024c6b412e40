"""Forks, tests and scripts on networks with labs: the labs' actors exist and their rules apply."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import masked_id, to_filecoin
from bridge.filecoin.parameters import INVOKE_EVM, invoke_params
from fvm_hypervisor.laboratory.profiles.outbox import OUTBOX, POST, POST_SELECTOR, entries, post_params
from fvm_hypervisor.soltest.cheatcodes.interceptor import Cheatcodes
from fvm_hypervisor.soltest.cheatcodes.state import DEFAULT_SENDER
from fvm_hypervisor.soltest.executor import TestExecutor
from fvm_hypervisor.soltest.executor_settings import ExecutorSettings
from fvm_hypervisor.soltest.job import Options
from fvm_hypervisor.soltest.scripts.plan import _machine
from hypervisor.errors import InvalidInput
from hypervisor.installation import FILECOIN
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import METHOD_SEND, ActorID, TokenAmount
from localnet import Network
from localnet.fork.forking import ForkSource, find_fork_point
from localnet.fork.node_client import NodeClient
from localnet.rpc.node import Node
from localnet.rpc.server import serving
from tests.localnet.conftest import START, Clock
from tests.localnet.rpc.conftest import Client

RULES = "lab:async,lanes=10/30/60"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Network(rules=RULES, clock=Clock()) as network, serving(network) as url:
        yield url


def waiting(network: Network) -> int:
    outbox = network.machine.state_tree.get_actor(OUTBOX)
    assert outbox is not None
    return len(entries(network.machine.store, outbox.head))


def posted(network: Network) -> None:
    """Post a message in the network's next block."""
    before = waiting(network)
    expiry = network.block_number + 9
    params = post_params(Address.id(ActorID(99)), METHOD_SEND, gas=10_000_000, expiry=expiry)
    receipt = network.send_native(Address.id(OUTBOX), POST, params, value=TokenAmount(10**17))
    assert receipt.succeeded, receipt
    assert waiting(network) == before + 1


def test_outbox_exists_at_first_block() -> None:
    """The outbox exists from genesis, so no block must precede a post."""
    with Network(rules="lab:async", clock=Clock()) as network:
        assert network.block_number == 0
        posted(network)


@pytest.mark.slow
def test_a_fork_has_the_labs_of_its_origin(url: str, tmp_path: Path) -> None:
    with Network.fork(url, path=tmp_path, clock=Clock(START + 100)) as network:
        assert network.rules.name == network.machine.context.rules == RULES
        posted(network)
    with Network(tmp_path, clock=Clock(START + 200)) as network:
        assert network.rules.name == RULES
        network.mine()
        assert waiting(network) == 0


@pytest.mark.slow
def test_a_fork_of_a_network_without_labs_has_none() -> None:
    with Network(clock=Clock()) as there, serving(there) as url:
        assert Client(Node(there))("hypervisor_rules") == FILECOIN
        with pytest.raises(InvalidInput, match=r"the rules of the forked network, 'filecoin', not 'lab:async'"):
            Network.fork(url, rules="lab:async")


@pytest.mark.parametrize("rules", [FILECOIN, "lab:async"])
def test_other_rules_than_the_origins_are_refused(url: str, rules: str) -> None:
    with pytest.raises(InvalidInput, match=rf"'{RULES}', not '{rules}': omit the rules"):
        Network.fork(url, rules=rules)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("lab:unheard", "under the rules 'lab:unheard': lab 'unheard' is not known"),
        ("lab:", "require the name of a lab: expected one of accounts, async"),
    ],
)
def test_a_lab_that_is_not_installed_here_is_named(answer: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers_as(monkeypatch, answer)
    with Network(clock=Clock()) as there, serving(there) as url, pytest.raises(InvalidInput, match=words):
        Network.fork(url)


@pytest.mark.slow
@pytest.mark.parametrize("answer", [None, 5, "no rules of ours", ["lab:async"]])
def test_unrecognized_node_answer_implies_filecoin_rules(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers_as(monkeypatch, answer)
    with Network(clock=Clock()) as there, serving(there) as url:
        assert find_fork_point(ForkSource(url)).rules == FILECOIN


def answers_as(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Make nodes report these rules."""
    ask = NodeClient.request

    def other(client: NodeClient, asked: str, *params: Any) -> Any:
        return answer if asked == "hypervisor_rules" else ask(client, asked, *params)

    monkeypatch.setattr(NodeClient, "request", other)


def test_tests_under_filecoins_rules_meet_the_labs_actors(url: str) -> None:
    with closing(TestExecutor(ExecutorSettings(rules=FILECOIN, fork_url=url), Cheatcodes())) as executor:
        assert executor.machine.context.rules == RULES
        sender = to_filecoin(DEFAULT_SENDER)
        message = Message(
            Address.id(OUTBOX),
            sender,
            value=TokenAmount(10**17),
            method=INVOKE_EVM,
            params=invoke_params(post(executor)),
        )
        result = executor.machine.apply_implicit(message)
        assert result.exit_code == 0, result
        assert has_posted(executor)


def test_tests_under_a_labs_rules_begin_with_its_actors() -> None:
    with closing(TestExecutor(ExecutorSettings(rules="lab:async"), Cheatcodes())) as executor:
        outcome = executor.call(DEFAULT_SENDER, masked_id(OUTBOX), post(executor), value=10**17)
        assert outcome.success, outcome
        assert has_posted(executor)


def test_scripts_meet_the_labs_actors(url: str) -> None:
    """A script runs under Ethereum's rules; the lab's outbox still exists."""
    project = SimpleNamespace(gas_limit=1 << 30, compiler=SimpleNamespace(evm_version=None, version=None))
    job = cast(Any, SimpleNamespace(project=project, options=Options(evm="py-evm")))
    with (
        Network.fork(url, clock=Clock(START + 100)) as network,
        closing(TestExecutor(ExecutorSettings(), Cheatcodes(), _machine(job, network))) as executor,
    ):
        outcome = executor.call(DEFAULT_SENDER, masked_id(OUTBOX), post(executor), value=10**17)
        assert outcome.success, outcome
        assert has_posted(executor)


def post(executor: TestExecutor) -> bytes:
    types = ("bytes", "uint64", "bytes", "uint256", "uint64", "uint64", "uint64", "uint64")
    fields = (b"\0\x63", 0, b"", 0, 10**8, executor.machine.context.epoch + 9, 0, 0)
    return POST_SELECTOR + encode_abi(types, fields)


def has_posted(executor: TestExecutor) -> bool:
    outbox = executor.machine.state_tree.get_actor(OUTBOX)
    assert outbox is not None
    return len(entries(executor.machine.store, outbox.head)) == 1
