"""A state of many accounts in a folder, and costs of messages on it: `python -m bench.growing fill|open|measure DIR N`.

A message is what a client of the node sees: a transfer between two accounts, applied, with the new state root computed
and everything committed and synced before the next one. (Messages that share a block also share the upper nodes of the
tree, and cost less.)

`measure` prints one JSON object: seconds per message in processor time and wall time, the best of some rounds between
the same accounts; the same, in a first round, between accounts not touched since the folder was opened; bytes per
message in RocksDB's log, including keys and heads; seconds of a commit of 1,000 changed actors; resident memory
afterwards. `open` prints the seconds of opening the folder in a new process.
"""

import cProfile
import json
import pstats
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Final

from bench.bench_memory import resident
from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import HAMT_BIT_WIDTH, ActorState
from hypervisor.types import ATTO_PER_FIL, ActorID, Gas, TokenAmount
from store.rocks.database import RocksStore
from store.trees.hamt import Hamt

MESSAGES: Final = 250
CHANGED: Final = 1_000
ROUNDS: Final = 24
_AT_ONCE: Final = 50_000
PARTS: Final = {
    "RocksDB": ("Rdict", "database.py", "options.py", "folder.py"),
    "hash": ("blake2", "has_digest", "cid_of"),
    "codec": ("cbor2", "codec.py", "links.py", "cid.py"),
    "HAMT": ("hamt.py", "nodes.py"),
}
OTHERS: Final = "the machine"
_LOGGED: Final = "rocksdb.wal.bytes"
_FUNDS: Final = TokenAmount(ATTO_PER_FIL)


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
    """Return the figures described in the module docstring."""
    chosen = Random(1).sample(range(size), 2 * MESSAGES)  # selects the accounts
    with Hypervisor.open(folder) as machine:
        cold = transfers(machine, chosen)
        warm = [transfers(machine, chosen) for _ in range(ROUNDS)]
        found = {"cold_processor": cold[0]}
        found |= {"processor": min(each[0] for each in warm), "clock": min(each[1] for each in warm)}
        found |= shares(machine, chosen)
        first = machine.state_tree.lookup_id(account(0))
        assert first is not None
        step = max(1, size // CHANGED)
        for number in range(min(CHANGED, size)):
            actor = ActorID(first + number * step)
            state = machine.state_tree.get_actor(actor)
            assert state is not None
            machine.state_tree.set_actor(actor, state.with_balance(TokenAmount(state.balance + 1)))
        start = process_time()
        machine.flush()
        found |= {"flush": process_time() - start, "resident": resident()}
    return found | {"written": log_bytes(folder, chosen)}


def open_seconds(folder: Path) -> float:
    """Return seconds of opening the folder."""
    start = perf_counter()
    with Hypervisor.open(folder):
        return perf_counter() - start


def transfers(machine: Hypervisor, chosen: list[int]) -> tuple[float, float]:
    """Return seconds of a transfer in processor and wall time: each of half of the accounts to one of the others."""
    clock, processor = perf_counter(), process_time()
    for sender, receiver in zip(chosen[::2], chosen[1::2], strict=True):
        transfer(machine, sender, receiver)
    return (process_time() - processor) / MESSAGES, (perf_counter() - clock) / MESSAGES


def log_bytes(folder: Path, chosen: list[int]) -> float:
    """Return the bytes that a transfer adds to RocksDB's log."""
    store = RocksStore.open(folder, statistics=True)
    with Hypervisor.open(store=store) as machine:
        before = store.counter(_LOGGED)
        transfers(machine, chosen)
        return (store.counter(_LOGGED) - before) / MESSAGES


def shares(machine: Hypervisor, chosen: list[int]) -> dict[str, float]:
    """Return a transfer's time by part in per cent, from the profiler, which overestimates small functions."""
    profile = cProfile.Profile()
    with profile:
        for sender, receiver in zip(chosen[::2], chosen[1::2], strict=True):
            transfer(machine, sender, receiver)
    times = dict.fromkeys((*PARTS, OTHERS), 0.0)
    for (file, _, function), (_, _, own, *_) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]  # typeshed lacks `stats`
        name = f"{Path(file).name} {function}"
        part = next((part for part, words in PARTS.items() if any(word in name for word in words)), OTHERS)
        times[part] += own
    whole = sum(times.values())
    return {f"share_{part}": 100 * time / whole for part, time in times.items()}


def transfer(machine: Hypervisor, sender: int, receiver: int) -> None:
    """Transfer from one account to another, committed."""
    state = machine.actor(account(sender))
    assert state is not None
    message = Message(
        account(receiver),
        account(sender),
        nonce=state.nonce,
        value=TokenAmount(1),
        gas_limit=Gas(10_000_000),
        gas_fee_cap=TokenAmount(100),
    )
    result = machine.apply(message)
    assert result.exit_code == 0, result.message
    machine.flush()


if __name__ == "__main__":
    what, where, number = sys.argv[1:]
    if what == "fill":
        fill(Path(where), int(number))
    elif what == "open":
        print(open_seconds(Path(where)))
    else:
        print(json.dumps(measure(Path(where), int(number))))
