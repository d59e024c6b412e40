"""Forks and parallel execution of networks with labs.

- Forks, tests and scripts on networks with labs: the labs' actors exist and their rules apply.
- Blocks of networks with labs, executed in parallel and serially, have equal results.

Workers execute all messages, and the test's process repeats those that conflict, so that differences between processes
are detected under any load.
"""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.ethereum.transactions import SET_CODE, Transaction
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.errors import InvalidInput
from hypervisor.installation import FILECOIN
from hypervisor.machine.parallel import Parallel
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import METHOD_SEND, ActorID, Gas, TokenAmount
from hypervisor_labs.accounts import VARIANTS
from hypervisor_labs.outbox import OUTBOX, POST, POST_SELECTOR, entries, post_params
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.state import DEFAULT_SENDER
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, TestExecutor
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.scripts.plan import _machine
from localnet import Network
from localnet.fork.forking import ForkSource, find_fork_point
from localnet.fork.node_client import NodeClient
from localnet.replay.parallel_candidates import ParallelCandidates
from localnet.rpc.node import Node
from localnet.rpc.server.server import serving
from localnet.state.controls import set_code, storage_of
from tests.localnet.conftest import START, Clock
from tests.localnet.rpc.conftest import Client
from tests.runtimes.evm.assembler import assemble

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


def test_fork_with_labs_that_its_origin_lacks_is_rejected() -> None:
    with Network(clock=Clock()) as there, serving(there) as url, pytest.raises(InvalidInput, match="'filecoin', not"):
        Network(rules="lab:async", fork=ForkSource(url))


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_scripts_meet_the_labs_actors(url: str) -> None:
    """A script runs under Ethereum's rules; the lab's outbox still exists."""
    project = SimpleNamespace(
        gas_limit=1 << 30, fork="", code_size_limit=None, compiler=SimpleNamespace(evm_version=None, version=None)
    )
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


USERS, OF_EACH = 4, 3
NOTES = EthAddress(bytes([0xA0] * 20))


def shared(network: Network) -> Parallel:
    """Make two workers execute each block of a network."""
    parallel = Parallel(3, adaptive=False, executes_share=False)
    network.chain.start_block = partial(ParallelCandidates.start, parallel)
    return parallel


def posts(parallel: bool) -> list[Any]:
    """Return states and receipts of blocks in which accounts post messages, and others send at the same time."""
    with Network(rules="lab:async,lanes,rent=all/1000/4/2", clock=lambda: START) as network:
        workers = shared(network) if parallel else None
        network.mine()
        network.automine = False
        users = [account.native for account in network.accounts[: 2 * USERS]]
        for _ in range(2):
            for place, user in enumerate(users):
                state = network.machine.actor(user)
                assert state is not None
                for nonce in range(state.nonce, state.nonce + OF_EACH):
                    params = post_params(
                        users[place - 1], METHOD_SEND, value=nonce, gas=10_000_000, expiry=network.block_number + 9,
                        receipt_method=9, receipt_gas=1_000,
                    )  # fmt: skip
                    is_post = place < USERS
                    network.submit_unsigned(
                        Message(
                            Address.id(OUTBOX) if is_post else users[place ^ 1],
                            user,
                            nonce,
                            value=TokenAmount(10**16),
                            method=POST if is_post else METHOD_SEND,
                            params=params if is_post else b"",
                            gas_limit=Gas(10**8),
                            gas_fee_cap=TokenAmount(10**6),
                            gas_premium=TokenAmount(100 + place),
                        )
                    )
            network.mine()
        network.mine(3)
        if workers is not None:
            assert (workers.blocks, workers.accepted) == (2, 2 * 2 * USERS * OF_EACH)
        return _blocks(network, 2 * 2 * USERS * OF_EACH)


def authorizations(variant: str, parallel: bool) -> list[Any]:
    """Return states and receipts of blocks in which accounts authorize delegations, and call them."""
    with Network(rules=f"lab:accounts={variant}", account_count=2 * USERS, clock=lambda: START) as network:
        workers = shared(network) if parallel else None
        set_code(network.machine, NOTES, assemble("CALLER 1 SSTORE"))
        network.chain.keep_changes()
        network.automine = False
        senders, signers = network.accounts[:USERS], network.accounts[USERS:]
        targets, callers = [each.address for each in signers], [each.address for each in senders]
        if variant == "actor":  # accounts authorize for themselves, and only contracts' calls run the delegates' code
            signers = senders
            targets = callers = [EthAddress(NOTES[:19] + bytes((0x80 + place,))) for place in range(USERS)]
            for relay, signer in zip(targets, signers, strict=True):
                set_code(network.machine, relay, assemble(f"0 0 0 0 0 0x{signer.address.hex()} GAS CALL"))
        for turn in range(2):
            for place, (account, signer) in enumerate(zip(senders, signers, strict=True)):
                transaction = Transaction(
                    SET_CODE, network.chain_id, turn, targets[place], place, b"", 10**8, 10**6, 10**5 + place,
                    authorizations=(signer.sign_authorization(NOTES, turn, 0),),
                )  # fmt: skip
                network.submit(account.sign(transaction).raw())
            network.mine()
        for caller, signer in zip(callers, signers, strict=True):
            assert storage_of(network.machine, signer.delegated, 1)[-20:] == caller
        if workers is not None:
            assert workers.blocks == 2
            assert workers.accepted >= 2
            assert (workers.conflicted > 0) == (variant == "fip"), "own nonces are one actor's"
        return _blocks(network, 2 * USERS)


def _blocks(network: Network, messages: int) -> list[Any]:
    tipsets = [network.chain.index.tipset(height) for height in range(1, network.block_number + 1)]
    assert sum(len(tipset.transactions) for tipset in tipsets) == messages
    return [(tipset.state, tipset.receipts, tipset.gas_used) for tipset in tipsets]


@pytest.mark.slow
def test_blocks_of_posts_by_workers_are_those_of_one_process() -> None:
    assert posts(parallel=True) == posts(parallel=False)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_parallel_authorization_blocks_match_single_process(variant: str) -> None:
    assert authorizations(variant, parallel=True) == authorizations(variant, parallel=False)
