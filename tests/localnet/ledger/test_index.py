"""Reads of a chain's index: cached entries, and concurrent reads."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from localnet import Network
from localnet.ledger import index
from localnet.ledger.index import ChainIndex, tipset_entries
from localnet.ledger.records import Execution, Tipset
from tests.runtimes.evm.assembler import assemble, deployer


@pytest.mark.slow
def test_threads_read_heights_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server reads receipts on the event loop's thread, and the rest on the network's."""
    with Network() as network:
        network.mine(20)
        monkeypatch.setattr(index, "MAX_DECODED", 15_000)  # some of the twenty
        chain, heights = ChainIndex(network.machine.base), list(range(21))
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(4) as threads:
                reads = [threads.submit(lambda: [chain.tipset(n).height for n in heights * 100]) for _ in range(4)]
                assert [read.result() for read in reads] == [heights * 100] * 4
        finally:
            sys.setswitchinterval(interval)


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_cached_head_equals_the_stored_one(rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Network(rules=rules) as network:
        sender = network.accounts[0]
        logger = network.send(None, 0, deployer(assemble("7 0 0 LOG1 0 0 LOG0"))).contract_address
        network.automine = False
        hashes = [network.submit(sender.sign(transfer(network, nonce, logger)).raw()) for nonce in range(1, 4)]
        network.mine()
        stored = [stored_index(network).receipt(each) for each in hashes]
        assert [each is not None and each.first_event for each in stored] == [0, 2, 4]
        monkeypatch.delattr(Execution, "decode")
        monkeypatch.delattr(Tipset, "from_fields")
        assert [network.chain.index.receipt(each) for each in hashes] == stored


def test_height_that_is_built_again_has_its_new_receipts() -> None:
    with Network(rules="ethereum") as network:
        sender, snapshot = network.accounts[0], network.snapshot()
        first, second = (sender.sign(transfer(network, 0, b"\x11" * 20, value)).raw() for value in (1, 2))
        before = network.submit(first)
        found = network.chain.index.receipt(before)
        network.revert(snapshot)
        after = network.submit(second)
        assert found is not None
        tipset_entries(found.tipset, [found.execution], index=network.chain.index)  # not committed
        assert network.chain.index.receipt(before) is None
        assert network.chain.index.receipt(after) == stored_index(network).receipt(after)


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_cached_first_retained_state_is_the_stored_one(rules: str) -> None:
    """The chain's index caches `retained`, the indices of queries share it, and it equals the stored entry."""
    with Network(rules=rules, keep_states=2) as network:
        query = network.chain.view(network.chain.point()).index
        heights = []

        def check() -> None:
            heights.append(query.retained)
            assert query.retained == network.chain.index.retained == stored_index(network).retained

        check()
        snapshot = network.snapshot()
        for _ in range(4):
            network.mine()
        check()
        network.revert(snapshot)
        check()
        network.mine(5)
        check()
        network.reset()
        check()
        assert heights[1] > heights[0] == 0
        assert heights[3] > heights[2] == 0
        assert heights[4] == 0


def stored_index(network: Network) -> ChainIndex:
    """Return another index over the same store, without cached entries."""
    found = ChainIndex(network.machine.base)
    found.chain_ids = network.chain.index.chain_ids
    return found


def transfer(network: Network, nonce: int, to: bytes | None, value: int = 0) -> Transaction:
    receiver = None if to is None else EthAddress(to)
    return Transaction(DYNAMIC_FEE, network.chain_id, nonce, receiver, value, b"", 10_000_000, 2 * 10**9, 10**5)
