"""Storage keys chosen to be expensive: their cost stays in proportion to their gas.

Times are compared with the same program on random slots; counted work, with one call more.
"""

from collections import Counter
from collections.abc import Iterator
from time import process_time

import pytest

from bridge.ethereum.addresses import masked_id
from hypervisor.state.undo_map import Journal
from hypervisor.types import INIT_ACTOR
from tests.runtimes.evm.test_fast_trees import CALL_CALLEE, machine, run

SPREAD = f"{(1 << 256) // 3 | 1} MUL"
"""Code that maps a number to a slot without hash collisions."""
CHOSEN = {
    "small numbers": "",
    "one hash as numbers in Python": f"{(1 << 61) - 1} MUL",
    "one product folded": (
        f"DUP1 {0x9E3779B97F4A7C15F39CC0605CEDC835} MUL DUP1 64 SHR XOR {(1 << 64) - 1} AND 64 SHL OR"
    ),
}
"""Code that maps a number to a slot; the last one prepends a limb that cancels the state of an unseeded hash."""
GAS = 1_000_000
MAX = 4
"""Maximum ratio of times. A map whose keys share one hash takes at least ten times as long."""


@pytest.mark.slow
@pytest.mark.parametrize("use", ["TLOAD POP", "DUP1 TSTORE"])
@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.parametrize("chosen", CHOSEN)
def test_slots_that_were_chosen_take_no_longer_than_others(chosen: str, evm: str, use: str) -> None:
    ours, others = (seconds(evm, f"DUP1 {slot} {use}") for slot in (CHOSEN[chosen], SPREAD))
    assert ours < MAX * others


def seconds(evm: str, body: str) -> float:
    """Processor time of a program that does something with 1, 2, 3 and so on until its gas is nearly used."""
    taken = []
    with machine(f"0 again: 1 ADD {body} 30000 GAS GT @again JUMPI", evm=evm) as made:
        for nonce in range(3):
            start = process_time()
            result = run(made, gas=GAS, nonce=nonce)
            taken.append(process_time() - start)
            assert result.exit_code == 0
            assert result.receipt.gas_used > GAS - 60_000
    return min(taken)


def test_new_call_tree_reads_no_earlier_journal_entries(monkeypatch: pytest.MonkeyPatch, trees: Counter[str]) -> None:
    read: list[object] = []
    items = Journal.items

    def watched(journal: Journal) -> Iterator[tuple[object, object]]:
        for item in items(journal):
            read.append(item)
            yield item

    monkeypatch.setattr(Journal, "items", watched)
    entries = []
    for calls in (1, 40):
        read.clear()
        with machine(many(slots=200, calls=calls), "1 1 ADD") as made:
            assert run(made).exit_code == 0
        entries.append(len(read))
    assert trees == {"left": 2, "ended": 41}  # each call is a tree, for the first frame is left
    assert entries[0] == entries[1] >= 200


def many(slots: int, calls: int) -> str:
    """Code that leaves the tree, writes slots, then calls."""
    return f"""
        0x{masked_id(INIT_ACTOR).hex()} BALANCE
        {slots} write: DUP1 DUP1 TSTORE 1 SWAP1 SUB DUP1 @write JUMPI
        {calls} call: {CALL_CALLEE} POP 1 SWAP1 SUB DUP1 @call JUMPI
    """
