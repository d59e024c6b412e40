"""The cache of contracts across messages only changes speed.

Expected: the results of executors without a cache.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.machine.machine import Hypervisor
from hypervisor.state import state_tree
from runtimes.evm.ethereum import contract_states
from runtimes.evm.ethereum.contract_states import ContractCache
from runtimes.evm.ethereum.executor import EthereumExecutor
from store.blocks.memory import MemoryStore
from store.links import reachable
from store.trees.kamt import Kamt
from tests.runtimes.evm.test_fast_trees import CONTRACT, SENDER, machine

COUNTS = "0 CALLDATALOAD SLOAD 32 CALLDATALOAD ADD 0 CALLDATALOAD SSTORE"
"""Code that adds the second word to the slot named by the first."""


def add(executor: EthereumExecutor, slot: int, number: int) -> None:
    """Execute one transaction with this calldata."""
    machine = executor._machine
    actor = executor._accounts().find(SENDER)
    nonce = 0 if actor is None else executor._accounts().nonce(actor)
    data = slot.to_bytes(32, "big") + (number % (1 << 256)).to_bytes(32, "big")
    transaction = Transaction(DYNAMIC_FEE, None, nonce, CONTRACT, 0, data, 1_000_000, 0, 0)
    assert executor.apply_transaction(transaction, SENDER).success, machine.root


Step = Callable[[Hypervisor, Callable[[], EthereumExecutor]], None]


def steps(drawn: random.Random) -> list[Step]:
    """Execute kept and reverted transactions (by trials and by restores) between flushes."""

    def stays(numbers: tuple[int, int]) -> Step:
        return lambda _, executor: add(executor(), *numbers)

    def is_tried(pairs: list[tuple[int, int]]) -> Step:
        def tried(made: Hypervisor, executor: Callable[[], EthereumExecutor]) -> None:
            with made.trial():
                for pair in pairs:
                    add(executor(), *pair)

        return tried

    def goes_back(pair: tuple[int, int]) -> Step:
        def back(made: Hypervisor, executor: Callable[[], EthereumExecutor]) -> None:
            before = made.snapshot()
            add(executor(), *pair)
            _ = made.root
            made.restore(before)

        return back

    def flushes(made: Hypervisor, _: Callable[[], EthereumExecutor]) -> None:
        made.flush()

    found: list[Step] = []
    for _ in range(60):
        pair = drawn.randrange(40) * drawn.choice((1, 1 << 70)), drawn.choice((1, 2, -1, -2))
        kind = drawn.randrange(5)
        if kind < 2:
            found += [is_tried([pair] * drawn.randint(1, 2)), stays(pair)] if kind else [stays(pair)]
        elif kind == 2:
            found.append(is_tried([pair, (pair[0], 1)]))
        elif kind == 3:
            found += [goes_back(pair), stays(pair)]
        else:
            found.append(flushes)
    return found


@pytest.mark.parametrize(("seed", "most_nodes"), [(1, 8192), (2, 8192), (3, 0), (4, 12)])
def test_reused_executor_yields_same_states_as_new_executors(
    seed: int, most_nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract_states, "_MAX_NODES", most_nodes)
    with machine(COUNTS) as made, machine(COUNTS) as plain:
        kept = EthereumExecutor(made)
        for step in steps(random.Random(seed)):
            step(made, lambda: kept)
            step(plain, lambda: EthereumExecutor(plain))
            assert made.root == plain.root
            reachable(made.store, [made.root])  # BlockNotFound where a block was taken to be there
        made.flush()
        assert isinstance(made.base, MemoryStore)
        reachable(made.base, [made.root])


def test_the_storage_of_the_last_message_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Kamt] = []

    class Watched(Kamt):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            opened.append(self)

    monkeypatch.setattr(state_tree, "Kamt", Watched)
    with machine(COUNTS) as made:
        executor = EthereumExecutor(made)
        add(executor, 5, 1)
        made.flush()
        opened.clear()
        add(executor, 6, 1)
        made.flush()
        assert not opened
        made.restore(made.snapshot())
        add(executor, 7, 1)
        assert not opened


@pytest.mark.slow
def test_little_is_held() -> None:
    known, store = ContractCache(), MemoryStore()
    for number in range(100):
        tree = Kamt(store)
        tree.set(1, number + 1)
        known.trees[tree.flush()] = tree
    last = next(reversed(known.trees))
    known.trim()
    assert last in known.trees
    assert len(known.trees) == 32
    large = Kamt(store)
    for slot in range(40_000):
        large.set(slot << 200, 1)
    known.trees[large.flush()] = large
    known.trim()
    assert not known.trees
