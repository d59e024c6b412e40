"""Failing commits (a full disk, an interrupt) leave the chain, its machine and its snapshots unchanged."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from localnet import Network
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset
from store.blockstore import StoreFull
from tests.localnet.conftest import ARTIFACTS, Clock

BEFORE = 7_000


class ReorgRecorder:
    """A watcher that records the heads to which the chain is reverted."""

    def __init__(self) -> None:
        self.heads: list[int] = []

    def applied(self, tipset: Tipset) -> None:
        """Ignore applied tipsets."""

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Record the new head, after at least one reverted tipset."""
        assert next(tipsets).height > head.height
        self.heads.append(head.height)

    def accepted(self, candidate: Candidate) -> None:
        """Ignore the block."""


def _go_back(network: Network) -> None:
    network.go_back(network.block(network.block_number - 1))


ACTIONS: dict[str, Callable[[Network], object]] = {
    "going back": _go_back,
    "reverting": lambda network: network.revert(network._snapshots[-1].number),
    "a balance": lambda network: network.set_balance(network.accounts[1], 5),
    "a nonce": lambda network: network.set_nonce(network.accounts[1], 50),
    "code": lambda network: network.set_code(b"\x77" * 20, b"\xfe"),
    "a base fee": lambda network: network.set_next_base_fee(12_345),
    "a block": lambda network: network.mine(),
    "a transaction": lambda network: network.send(network.accounts[2], 3),
    "a state": lambda network: network.load_state(network.dump_state()),
}


def _facts(network: Network) -> tuple[Any, ...]:
    """Return the facts that a failed commit must restore."""
    chain, machine = network.chain, network.machine
    return (
        chain.head, chain.index.head, chain.record, chain.producer, network.snapshot_tipsets, network.base_fee,
        machine.root, machine.context, machine.store.pending,
        network.balance(network.accounts[1]), network.nonce(network.accounts[1]), network.nonce(network.accounts[0]),
    )  # fmt: skip


@pytest.mark.parametrize("error", [StoreFull("no space left"), KeyboardInterrupt()], ids=["full", "interrupted"])
@pytest.mark.parametrize("action", ACTIONS)
def test_failed_commit_changes_nothing(
    network: Network, action: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    _check_nothing_changes(network, ACTIONS[action], error, monkeypatch)


def test_uncommitted_datacap_grant_is_discarded(monkeypatch: pytest.MonkeyPatch) -> None:
    with Network(network=28, clock=Clock()) as network:  # the last version that grants any
        client = network.accounts[1].native
        _check_nothing_changes(
            network, lambda network: network.grant_datacap(client, 4_096), StoreFull("no space left"), monkeypatch
        )


def _check_nothing_changes(
    network: Network, action: Callable[[Network], object], error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that an action with a failing commit changes nothing, and that it can be repeated."""
    network.mine()
    network.set_balance(network.accounts[1], BEFORE)
    network.snapshot()
    network.mine()
    network.set_balance(network.accounts[1], BEFORE + 1)
    before, told = _facts(network), ReorgRecorder()
    network.chain.watchers.append(told)

    def refuse(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(network.machine.base, "commit", refuse)
        with pytest.raises(type(error)):
            action(network)
    network.chain.watchers.remove(told)
    assert _facts(network) == before
    assert not told.heads

    parent = network.head
    network.mine()  # on the state that the head has, as its header will say
    assert (network.head.parent, network.head.before) == (parent.height, parent.state)
    assert network.balance(network.accounts[1]) == BEFORE + 1
    action(network)
    assert network.machine.root == network.head.state


class TestPendingTransactions:
    """A client that gets an error has no hash, so no later block may include its transaction."""

    def raw(self, network: Network, nonce: int, gas_limit: int = 10_000_000) -> bytes:
        return (
            network.accounts[0]
            .sign(
                Transaction(
                    DYNAMIC_FEE, network.chain_id, nonce, network.accounts[1].address, 1, b"", gas_limit, 10**9, 1
                )
            )
            .raw()
        )

    def test_no_transaction_of_a_batch_stays_pending(self, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(network.machine.base, "commit", full_disk)
            outcomes = network.submit_together([self.raw(network, nonce) for nonce in range(3)])
        assert [type(outcome) for outcome in outcomes] == [StoreFull] * 3
        assert len(network.mempool) == 0
        network.mine()
        assert not network.head.transactions

    def test_transaction_with_an_older_one_before_it_does_not_stay(
        self, network: Network, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The older one was accepted before the disk was full, so it stays pending."""
        network.automine = False
        accepted = network.submit(self.raw(network, 0))
        network.automine = True
        with monkeypatch.context() as broken:
            broken.setattr(network.machine.base, "commit", full_disk)
            with pytest.raises(StoreFull):
                network.submit(self.raw(network, 1))
        assert [candidate.hash for candidate in network.mempool] == [accepted]
        assert network.mine().transactions == (accepted,)

    @pytest.mark.parametrize("batch", [False, True], ids=["one", "batch"])
    def test_included_transaction_has_no_error_if_the_next_block_fails(
        self, network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, batch: bool
    ) -> None:
        """The next block contains an older transaction of the sender, which waited for this one."""
        block_gas = network.chain.rules.limits.block_gas  # does not fit into the block of the first one
        waiting = network.submit(self.raw(network, 1, block_gas))
        commit = network.machine.base.commit
        commits: Iterator[Callable[..., None]] = iter([commit, full_disk])
        with monkeypatch.context() as broken:
            broken.setattr(network.machine.base, "commit", lambda *given: next(commits)(*given))
            raw = self.raw(network, 0)
            (included,) = network.submit_together([raw]) if batch else [network.submit(raw)]
        assert network.head.transactions == (included,)
        assert "no further block was made: no space left" in caplog.text
        assert [candidate.hash for candidate in network.mempool] == [waiting]
        assert network.mine().transactions == (waiting,)

    def test_interrupt_after_inclusion_is_raised(self, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        network.submit(self.raw(network, 1))
        before, commit = network.block_number, network.machine.base.commit

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        commits: Iterator[Callable[..., None]] = iter([commit, interrupt])
        with monkeypatch.context() as broken:
            broken.setattr(network.machine.base, "commit", lambda *given: next(commits)(*given))
            with pytest.raises(KeyboardInterrupt):
                network.submit(self.raw(network, 0))
        assert network.block_number == before + 1


def full_disk(*_: object) -> None:
    """Raise the error of a commit on a full disk."""
    raise StoreFull("no space left")


def test_watchers_hear_of_going_back_once_it_is_done(network: Network) -> None:
    network.mine(3)
    told, height = ReorgRecorder(), network.block_number
    network.chain.watchers.append(told)
    network.go_back(network.block(height - 2))
    network.chain.watchers.remove(told)
    assert told.heads == [height - 2]


def test_uncommitted_upgrade_plan_is_discarded(monkeypatch: pytest.MonkeyPatch) -> None:
    with Network(network=27, clock=Clock()) as network:
        record = network.chain.record

        def refuse(*_: object) -> None:
            raise StoreFull("no space left")

        with monkeypatch.context() as broken:
            broken.setattr(network.machine.base, "commit", refuse)
            with pytest.raises(StoreFull):
                network.upgrade(28)
        assert network.chain.record == record
        network.mine()
        assert network.version == 27
        network.upgrade(28)
        assert network.version == 28


FOLDER = "folder-0.1.0"
WRITTEN = Path(__file__).parents[1] / "data" / f"{FOLDER}.tar.xz"
"""Folder written by release 0.1.0: a Counter deployed and incremented, two tipsets, three null rounds, an increment."""
HEIGHT = 9
HEAD = "0171a0e40220dbf8c14a0f0621fee758a618017a4185ad33f8b1a867de3af029cc4d71ee377c"
STATE = "0171a0e4022090f104f8cf5d569f4cee4777fe54536fd78438f4d4a51196044a540bda86f6a0"
COUNTER = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
"""Address printed by that release."""


@pytest.mark.slow
def test_folder_of_oldest_release_opens_and_continues(tmp_path: Path) -> None:
    with tarfile.open(WRITTEN) as archive:
        archive.extractall(tmp_path, filter="data")
    with Network(tmp_path / FOLDER) as network:
        assert (network.block_number, network.head.key.hex(), network.machine.root.hex()) == (HEIGHT, HEAD, STATE)
        counter = network.contract(COUNTER, ARTIFACTS / "Counter.json")
        assert counter.call("number") == 2
        counter.send("increment")
    with Network(tmp_path / FOLDER) as network:
        assert network.contract(COUNTER, ARTIFACTS / "Counter.json").call("number") == 3
        assert network.block_number > HEIGHT
