"""One state of many accounts in a folder, and what messages cost on it: `python -m bench.growing fill|measure DIR N`.

`measure` prints one JSON object: seconds of a message by the processor's clock and by the wall's, bytes of the blocks
that its commit writes; the same of messages between accounts that nobody has touched since the folder was opened;
seconds of a commit of 1,000 changed actors and of opening the folder; bytes that the process then holds.
"""

import cProfile
import json
import pstats
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Final

from bench.bench_memory import resident
from bridge.addresses import EthAddress, to_filecoin
from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from hypervisor.message import Message
from hypervisor.state_tree import ActorState
from hypervisor.types import ATTO_PER_FIL, ActorID, Gas, TokenAmount
from store.blockstore import NOTHING
from store.cid import Cid
from store.rocks import RocksStore

MESSAGES: Final = 250
CHANGED: Final = 1_000
_AT_ONCE: Final = 50_000
PARTS: Final = {
    "RocksDB": ("Rdict", "rocks.py", "rocks_batch.py", "folder.py"),
    "hash": ("blake2", "has_digest", "cid_of"),
    "codec": ("cbor2", "codec.py", "links.py", "cid.py", "bigint.py"),
    "HAMT": ("hamt.py", "nodes.py"),
}
OTHERS: Final = "the machine"
_FUNDS: Final = TokenAmount(ATTO_PER_FIL)


class Counting:
    """A store in a folder that counts the bytes of the blocks that commits give it."""

    def __init__(self, base: RocksStore) -> None:
        self.base = base
        self.written = 0
        self.get, self.has = base.get, base.has
        self.put, self.put_many = base.put, base.put_many
        self.metadata, self.all_metadata, self.index = base.metadata, base.all_metadata, base.index
        self.close = base.close

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        """Commit, and count."""
        kept = list(blocks)
        self.written += sum(len(data) for _, data in kept)
        self.base.commit(kept, metadata, index, expected)


def account(number: int) -> Address:
    """The address of an account, by number."""
    return to_filecoin(EthAddress((number + (1 << 64)).to_bytes(20, "big")))


def fill(folder: Path, size: int) -> None:
    """Make a state of so many accounts."""
    with RocksStore.open(folder) as store, Hypervisor.open(store=store) as machine:
        code = machine.manifest.code("ethaccount")
        for number in range(size):
            tree, address = machine.state_tree, account(number)
            tree.set_actor(tree.register_address(address), ActorState(code, balance=_FUNDS, delegated_address=address))
            if number % _AT_ONCE == _AT_ONCE - 1:
                machine.flush()
        machine.flush()
        store.compact()


def measure(folder: Path, size: int) -> dict[str, float]:
    """What the module's words say."""
    start = perf_counter()
    store = Counting(RocksStore.open(folder))
    machine = Hypervisor.open(store=store)
    opened = perf_counter() - start
    chosen = Random(1).sample(range(size), 2 * MESSAGES)  # noqa: S311  # whose money moves
    with machine:
        cold = transfers(machine, store, chosen)
        warm = transfers(machine, store, chosen)
        found = {**warm, **{f"cold_{name}": value for name, value in cold.items()}, "opened": opened}
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
        return found | {"flush": process_time() - start, "resident": resident()}


def transfers(machine: Hypervisor, store: Counting, chosen: list[int]) -> dict[str, float]:
    """What a transfer costs, from each of half of the accounts to one of the others."""
    store.written, clock, processor = 0, perf_counter(), process_time()
    for sender, receiver in zip(chosen[::2], chosen[1::2], strict=True):
        transfer(machine, sender, receiver)
    return {
        "processor": (process_time() - processor) / MESSAGES,
        "clock": (perf_counter() - clock) / MESSAGES,
        "written": store.written / MESSAGES,
    }


def shares(machine: Hypervisor, chosen: list[int]) -> dict[str, float]:
    """Per cent of a transfer's time by part, as the profiler counts it, which makes small functions look dearer."""
    profile = cProfile.Profile()
    with profile:
        for sender, receiver in zip(chosen[::2], chosen[1::2], strict=True):
            transfer(machine, sender, receiver)
    times = dict.fromkeys((*PARTS, OTHERS), 0.0)
    for (file, _, function), (_, _, own, *_) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        name = f"{Path(file).name} {function}"
        part = next((part for part, words in PARTS.items() if any(word in name for word in words)), OTHERS)
        times[part] += own
    whole = sum(times.values())
    return {f"share_{part}": 100 * time / whole for part, time in times.items()}


def transfer(machine: Hypervisor, sender: int, receiver: int) -> None:
    """A transfer of one account to another, committed."""
    message = Message(
        account(receiver),
        account(sender),
        nonce=machine.actor(account(sender)).nonce,  # type: ignore[union-attr]  # it is there
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
    else:
        print(json.dumps(measure(Path(where), int(number))))
