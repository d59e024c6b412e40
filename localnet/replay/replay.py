"""Re-execution of a chain, tipset by tipset.

Each tipset starts from the state root in the index. So tipsets can be executed in any order and in parallel
(`hypervisor replay`), with the same results as in one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from bridge.ethereum.block import BlockAccessList, first_difference
from bridge.ethereum.rlp import RlpError
from hypervisor.errors import InvalidInput
from hypervisor.installation import OFFICIAL_EVM, OWN_EVM
from hypervisor.machine.machine import Hypervisor
from hypervisor.proofs.verifier import AcceptProofs
from localnet.chain.chain import Chain
from localnet.chain.ethereum_start import resume_fork
from localnet.chain.execution import BlockExecution
from localnet.chain.externs import ChainExterns
from localnet.fork.account_origin import AccountBlocks
from localnet.fork.ethereum_fork import connect, recorded_point
from localnet.fork.forking import Origin, recorded_fork
from localnet.ledger.candidates import Candidate
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import GENESIS_PARENT, Tipset
from localnet.rules.parts import rules_named, rules_of
from store.blocks.memory import BufferedStore, MemoryStore, OverlayStore, RemoteStore
from store.blockstore import Store
from store.cid import show
from store.rocks.database import RocksStore

_OPEN: Final[dict[Path, Chain]] = {}
"""Chain that `replay` has open, if any."""


@dataclass(frozen=True, slots=True)
class TipsetReplay:
    """A replayed tipset: its number of messages, and the difference from the chain (empty if equal).

    `parallel` reports the work of worker processes (`localnet.replay.conflicts.conflict_records`).
    """

    height: int
    messages: int
    difference: str
    parallel: dict[str, Any] | None = None


def heights(folder: Path, first: int | None = None, last: int | None = None) -> list[int]:
    """Return the heights of a folder's own non-empty tipsets, from `first` to `last` (None: from end to end).

    Raises InvalidInput for a folder without a chain, or without such tipsets.
    """
    with RocksStore.open(folder, read_only=True) as store:
        index = ChainIndex(store)
        if index.head < 0:
            raise InvalidInput(f"{folder} contains no chain: create one with `hypervisor node --state DIR`")
        lowest = max(first or 0, index.retained)
        found: list[int] = [tipset.height for tipset in _tipsets(index, index.head if last is None else last, lowest)]
        if not found:
            span = f"from {first or 0} to {index.head if last is None else last}"
            raise InvalidInput(
                f"the chain in {folder} has nothing to execute {span}: it has states from epoch {index.retained} to "
                f"{index.head}"
            )
        return found[::-1]


def _tipsets(index: ChainIndex, last: int, first: int) -> Iterator[Tipset]:
    """Yield the tipsets whose parent state is stored, newest first."""
    tipset = index.tipset_before(min(last, index.head))
    while tipset is not None and tipset.height >= first and tipset.parent != GENESIS_PARENT:
        yield tipset
        tipset = index.tipset(tipset.parent)


def replay(folder: Path, height: int, parallel: int = 1) -> TipsetReplay:
    """Execute the tipset at a height again, including the null rounds before it and its cron. Changes nothing.

    A state that was edited without a message is reported as a difference. `parallel` processes execute the messages
    (`hypervisor.machine.parallel`). The folder stays open in this process until another one is replayed or
    `close_folder`.
    """
    if folder not in _OPEN:
        close_folder()
        _OPEN[folder] = _chain(folder)
    chain = _OPEN[folder]
    tipset = chain.index.tipset(height)
    block = chain.repeated_block(tipset)
    block.begin()
    done = _run(block, [receipt.candidate for receipt in chain.index.receipts(tipset)], parallel)
    block.end()
    block.machine.state_tree.flush()
    again = block.assemble(BufferedStore(MemoryStore()))
    difference = ""
    if again.receipts != tipset.receipts:
        difference = f"receipts {show(again.receipts)}, the chain has {show(tipset.receipts)}"
    elif again.state != tipset.state:
        difference = f"state {show(again.state)}, the chain has {show(tipset.state)}"
    elif again.access_list != tipset.access_list:
        difference = _access_list_difference(again.access_list, tipset)
    return TipsetReplay(height, len(tipset.transactions), difference, done)


def _access_list_difference(found: bytes, tipset: Tipset) -> str:
    """Return the first difference of the access lists of an executed tipset and of the chain's."""
    executed = BlockAccessList.decode(found) if found else BlockAccessList()
    try:
        stored = BlockAccessList.decode(tipset.access_list) if tipset.access_list else BlockAccessList()
    except RlpError as error:
        return f"the stored access list is damaged: {error}"
    return f"block access list: {first_difference(executed, stored)}"


def _run(block: BlockExecution, candidates: list[Candidate], workers: int) -> dict[str, Any] | None:
    """Run the messages of a block; return the work of worker processes, if there are several."""
    if workers <= 1 or rules_of(block.machine).access_list is not None:
        block.run_all(candidates)
        return None
    from hypervisor.machine.parallel import Parallel
    from localnet.replay.conflicts import conflict_records
    from localnet.replay.parallel_candidates import ParallelCandidates

    parallel = Parallel(workers, adaptive=False)  # a replay reports all conflicts
    block.run_all(candidates, partial(ParallelCandidates.start, parallel))
    return conflict_records(block.machine, parallel)


def close_folder() -> None:
    """Close the folder that `replay` has open, and the connection to its fork's node."""
    while _OPEN:
        _OPEN.popitem()[1].machine.base.close()


def _chain(folder: Path) -> Chain:
    """Open the chain in a folder for reading; another process may have it open for writing."""
    store: Store = RocksStore.open(folder, read_only=True)
    index, externs = ChainIndex(store), ChainExterns()
    record, point = index.network(), recorded_point(store)
    remote = None if point is None else connect(point, None, folder, AccountBlocks())
    if remote is not None:
        remote.blocks.use(remote.chain.close)
        store = RemoteStore(OverlayStore(store, closes=True), remote.blocks)
    if record is None:
        raise InvalidInput(f"{folder} holds no chain")
    rules = rules_named(record.rules, record.hardfork)
    evm = OFFICIAL_EVM if record.evm == OFFICIAL_EVM else OWN_EVM
    machine = Hypervisor.open(
        store=store, overlay=record.overlay, rules=rules.name, evm=evm, externs=externs, proofs=AcceptProofs()
    )
    rules.settings.prepare(machine)
    if remote is not None:
        resume_fork(machine, remote)
        return Chain(machine, externs, record, 0, remote)
    fork = recorded_fork(store)
    # The folder of a fork contains its node's responses, so re-execution sends no requests.
    return Chain(machine, externs, record, 0, None if fork is None else Origin(replace(fork, url=""), store))
