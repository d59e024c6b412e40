"""A state of 1,000,000 actors on disk: the commit of changes, opening the folder, and memory.

The figures are of separate processes, which run this module: `python -m bench.bench_growth fill|open|measure DIR N`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final

from bench.rows import Row
from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import HAMT_BIT_WIDTH, ActorState
from hypervisor.types import ATTO_PER_FIL, ActorID, TokenAmount
from store.rocks.database import RocksStore
from store.trees.hamt import Hamt
from tests.harness.memory import resident
from tests.harness.paths import PROJECT

SMALL, LARGE = 1_000, 1_000_000
OPENINGS: Final = 5
"""Number of processes that open the folder; the best one counts, since other programs only add to a time."""
CHANGED: Final = 1_000
_AT_ONCE: Final = 50_000
_FUNDS: Final = TokenAmount(ATTO_PER_FIL)


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    small, large = (figures(size) for size in (SMALL, LARGE))
    units = {"flush": ("ms", 1e3), "opened": ("ms", 1e3), "resident": ("MB", 1e-6)}
    notes = {
        name: f"{small[name] * factor:.3g} {unit} with {SMALL:,} actors, {large[name] * factor:.3g} with {LARGE:,}"
        for name, (unit, factor) in units.items()
    }
    yield Row("commit of 1,000 changed actors", large["flush"] * 1e3, notes["flush"])
    yield Row("open a folder of 1,000,000 actors", large["opened"] * 1e3, notes["opened"])
    grown = large["resident"] - small["resident"]
    yield Row("memory that 999,000 more actors take", max(0.0, grown) / 1e6, notes["resident"])


def figures(size: int) -> dict[str, float]:
    """Return seconds of a commit and of opening, and bytes in memory, for a state of `size` accounts."""
    with TemporaryDirectory() as folder:
        _run("fill", folder, size)
        found: dict[str, float] = json.loads(_run("measure", folder, size))
        return found | {"opened": min(float(_run("open", folder, size)) for _ in range(OPENINGS))}


def _run(what: str, folder: str, size: int) -> bytes:
    command = [sys.executable, "-m", "bench.bench_growth", what, folder, str(size)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout


def account(number: int) -> Address:
    """Return the address of an account, by number."""
    return to_filecoin(EthAddress((number + (1 << 64)).to_bytes(20, "big")))


def fill(folder: Path, size: int) -> None:
    """Create a state of N accounts."""
    with RocksStore.open(folder) as store, Hypervisor.open(store=store) as machine:
        for start in range(0, size, _AT_ONCE):
            add_accounts(machine, range(start, min(size, start + _AT_ONCE)))
            machine.flush()
            machine.restore(machine.snapshot())  # a new tree, without cached nodes
        store.compact()


def add_accounts(machine: Hypervisor, numbers: range) -> None:
    """Add accounts as the network would, except that the address map is written once."""
    tree, code = machine.state_tree, machine.manifest.code("ethaccount")
    init = tree.init_state()
    addresses = Hamt(tree.store, init.address_map, HAMT_BIT_WIDTH)
    for actor, number in enumerate(numbers, init.next_id):
        address = account(number)
        addresses.set(address.to_bytes(), actor)
        tree.set_actor(ActorID(actor), ActorState(code, balance=_FUNDS, delegated_address=address))
    tree.set_init_state(replace(init, address_map=addresses.flush(), next_id=init.next_id + len(numbers)))


def measure(folder: Path, size: int) -> dict[str, float]:
    """Return seconds of a commit of 1,000 changed actors, and resident memory afterwards."""
    with Hypervisor.open(folder) as machine:
        first = machine.state_tree.lookup_id(account(0))
        assert first is not None
        step = max(1, size // CHANGED)
        for number in range(min(CHANGED, size)):
            actor = ActorID(first + number * step)
            state = machine.state_tree.existing(actor)
            machine.state_tree.set_actor(actor, state.with_balance(TokenAmount(state.balance + 1)))
        start = process_time()
        machine.flush()
        return {"flush": process_time() - start, "resident": resident()}


def open_seconds(folder: Path) -> float:
    """Return seconds of opening the folder."""
    start = perf_counter()
    with Hypervisor.open(folder):
        return perf_counter() - start


if __name__ == "__main__":
    what, where, number = sys.argv[1:]
    if what == "fill":
        fill(Path(where), int(number))
    elif what == "open":
        print(open_seconds(Path(where)))
    else:
        print(json.dumps(measure(Path(where), int(number))))
