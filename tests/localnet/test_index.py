"""Concurrent reads of a chain's index."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from localnet import Network
from localnet.ledger import index
from localnet.ledger.index import ChainIndex


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
