"""Tipsets of a chain's folder as cases: messages, block reward and cron, each on the tipset's recorded state.

The folder is opened read-only, so a node may have it open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from fvm_hypervisor.laboratory.sides import Side
from fvm_hypervisor.laboratory.sources import CaseJob, MessageOutcome, RecordedCase, Run, bad_case
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.machine import Hypervisor
from hypervisor.network_versions import network_version, versions_between
from hypervisor.opening import OFFICIAL_EVM, OWN_EVM, choose_context
from hypervisor.proofs import AcceptProofs
from hypervisor.tracing import Tracer
from localnet.chain.chain import Chain
from localnet.chain.externs import ChainExterns
from localnet.chain.replay import heights
from localnet.fork.forking import Origin, recorded_fork
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from localnet.ledger.upgrades import Upgrades
from localnet.rules.installed import rules_named
from localnet.traces.trace import Replay
from store.blockstore import StoreError
from store.cid import Cid
from store.overlay import OverlayStore
from store.read_only import ReadOnlyStore
from store.rocks import RocksStore
from store.roots import HEAD

CRON: Final = "reward and cron"
_A_JOB: Final = 16
"""Tipsets that one process executes at a time."""


def is_chain(path: Path) -> bool:
    """Return True if the path is the folder of a chain, or of a machine without one."""
    return path.is_dir() and (path / "CURRENT").is_file()


def chain_jobs(folder: Path, first: int | None, last: int | None) -> list[CaseJob]:
    """Return the jobs for the tipsets from `first` to `last`. Raises InvalidInput if the folder has none there."""
    found = heights(folder, first, last)
    return [ChainJob(folder, tuple(found[index : index + _A_JOB])) for index in range(0, len(found), _A_JOB)]


@dataclass(frozen=True, slots=True)
class ChainJob:
    """A job: some tipsets of a folder."""

    folder: Path
    heights: tuple[int, ...]

    def cases(self) -> Iterable[RecordedCase]:
        return [TipsetCase(self.folder, height) for height in self.heights]


@dataclass(frozen=True, slots=True)
class TipsetCase:
    """A case: a tipset."""

    folder: Path
    height: int

    @property
    def name(self) -> str:
        return f"epoch {self.height}"

    def begin(self, side: Side, tracer: Tracer | None) -> Run:
        """Start a run on a separate machine at the state before the tipset."""
        try:
            chain = _chains(self.folder).under(side)
            tipset = chain.index.tipset(self.height)
            return _TipsetRun(tipset, Replay(chain, tipset), tracer)
        except (Fatal, StoreError) as error:
            raise bad_case(self.name, error) from None


@dataclass(frozen=True, slots=True)
class _TipsetRun:
    tipset: Tipset
    replay: Replay
    tracer: Tracer | None = field(repr=False)

    @property
    def machine(self) -> Hypervisor:
        return self.replay.machine

    def steps(self) -> Iterator[MessageOutcome]:
        for transaction in self.tipset.transactions:
            label = f"0x{transaction.hex()}"
            receipt = self.replay.next(self.tracer)
            refused = "" if receipt else "not executed: the sender's nonce, funds or fee cap do not let a block take it"
            yield MessageOutcome(label, receipt, refused)
        self.replay.end(self.tracer)
        yield MessageOutcome(CRON)


class _Chains:
    """The chain of a folder under each side, over one store."""

    def __init__(self, folder: Path) -> None:
        self._store = RocksStore.open(folder, read_only=True)
        self._chains: list[tuple[Side, Chain]] = []

    def under(self, side: Side) -> Chain:
        """Return the chain as a side executes it. Raises InvalidInput."""
        for known, chain in self._chains:
            if known is side or known == side:
                return chain
        return self._open(side)

    def _open(self, side: Side) -> Chain:
        record = ChainIndex(self._store).network()
        root = self._store.metadata(HEAD)
        if record is None or root is None:
            raise InvalidInput(f"{self._store.path} holds no chain")
        base = ReadOnlyStore(self._store)
        fork = recorded_fork(self._store)
        rules = rules_named(record.rules, record.hardfork)
        context = choose_context(base, None, rules.name, None, overlay=record.overlay)
        context = replace(context, network=side.row(context.network))
        evm = OFFICIAL_EVM if record.evm == OFFICIAL_EVM else OWN_EVM
        externs, plain = ChainExterns(), OverlayStore(base)
        if side.changes_code:
            there = Hypervisor.at(plain, Cid(root), context, evm=evm)
            plain = side.ground(base, there.manifest)
        machine = Hypervisor.at(plain, Cid(root), context, evm=evm, externs=externs, proofs=AcceptProofs())
        rules.settings.prepare(machine)
        # The folder of a fork stores the responses of its node, so re-execution sends no requests.
        origin = None if fork is None else Origin(replace(fork, url=""), self._store)
        chain = Chain(machine, externs, record, 0, origin)
        chain.record = _record_of(record, side, chain.head.height)
        self._chains.append((side, chain))
        return chain


def _record_of(record: NetworkRecord, side: Side, head: int) -> NetworkRecord:
    """Return the network record that a side executes under; a single network version if the side names one."""
    upgrades = record.upgrades if side.network is None else Upgrades(side.network)
    first = network_version(upgrades.first)
    rows = [first, *versions_between(first.number, upgrades.version_at(head))]
    return replace(record, upgrades=upgrades, overlay=side.overlay_for(rows, record.overlay))


@lru_cache(maxsize=1)
def _chains(folder: Path) -> _Chains:
    return _Chains(folder)
