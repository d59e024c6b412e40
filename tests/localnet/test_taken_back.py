"""Shared networks are restored after each test."""

import pytest

from localnet import Network
from tests.localnet.chain.test_failing_commits import ReorgRecorder
from tests.localnet.conftest import START, Clock, _restored


@pytest.mark.slow
def test_state_outside_snapshot_is_restored_too() -> None:
    clock = Clock()
    with Network(clock=clock) as shared:
        lent = _restored(shared)
        network = next(lent)
        network.automine = False
        network.chain.deferred = True
        network.set_block_interval(7)
        network.add_interface([], "Nobody")
        network.chain.watchers.append(ReorgRecorder())
        clock.now += 100
        network.mine(2)
        assert next(lent, None) is None
        assert (shared.automine, shared.chain.deferred, shared.interfaces, shared.chain.watchers) == (
            True, False, (), [],
        )  # fmt: skip
        assert clock.now == START
        assert shared.mine().timestamp == START + 1  # by the clock, not seven seconds on
