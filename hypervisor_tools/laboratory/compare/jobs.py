"""Inputs of a command as cases, which can be executed under any rules: chains' tipsets, message and tipset vectors.

A `CaseJob` is the part of an input that one process executes. It is small enough to be sent to another process, and
`cases` opens it. A case is executed from its own state, once per side, so cases are independent. A chain's folder is
opened read-only, so a node may have it open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import Fatal, InvalidInput, MessageError
from hypervisor.exit_codes import exit_meaning
from hypervisor.installation import AUTO, OFFICIAL_EVM, OWN_EVM, exists
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.opening import choose_context
from hypervisor.messages.message import Message, Receipt
from hypervisor.proofs.verifier import AcceptProofs
from hypervisor.state.state_tree import StateTree
from hypervisor.tracing import Tracer
from hypervisor.versions.network_versions import network_version_row, versions_between
from hypervisor_tools.laboratory.compare.explanation import Explanation
from hypervisor_tools.laboratory.compare.tally import MessageCost
from hypervisor_tools.laboratory.sides import Side
from hypervisor_tools.laboratory.vectors.conformance import (
    VectorVariant,
    apply_message,
    find_vectors,
    name_of,
    parse_vector,
    read_message,
    texts_of,
    variants_of,
)
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from localnet.chain.chain import Chain
from localnet.chain.externs import ChainExterns
from localnet.fork.forking import Origin, recorded_fork
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from localnet.ledger.upgrades import Upgrade, Upgrades
from localnet.replay.replay import heights
from localnet.replay.tipset_execution import tipset_steps
from localnet.rules.parts import rules_named
from localnet.traces.trace import Replay
from store.blocks.memory import BufferedStore, ReadOnlyStore
from store.blockstore import BlockNotFound, StoreError
from store.cid import Cid
from store.rocks.database import RocksStore
from store.rocks.folder import FORMAT_FILE
from store.roots import HEAD


@dataclass(frozen=True, slots=True)
class MessageOutcome:
    """Outcome of a message: its receipt, or the reason why it has none."""

    label: str
    receipt: Receipt | None = None
    refused: str = ""
    fatal: str = ""
    lacks_block: bool = False
    """True if execution stopped because a block is missing, and not because of the message."""

    @property
    def succeeded(self) -> bool:
        """True if the message has a receipt with exit code 0."""
        return self.receipt is not None and self.receipt.exit_code == 0 and not self.fatal

    def end(self, *, native: bool = False) -> str:
        """Return the end as text; the exit codes of a `native` actor have none of the contracts' names."""
        if self.receipt is None or self.fatal:
            return self.fatal or self.refused
        return f"exit {exit_meaning(self.receipt.exit_code, native=native)}"


class Run(Protocol):
    """A case on one side: a machine at the state before its messages, which `steps` executes one by one."""

    @property
    def machine(self) -> Hypervisor:
        """The machine; each step changes its state."""

    def steps(self) -> Iterator[MessageOutcome]:
        """Execute message by message."""


class NotCompared(InvalidInput):
    """Raised for a case that cannot be compared and is reported, such as one whose state a node does not have."""


class RecordedCase(Protocol):
    """A case: consecutive messages on their own initial state."""

    @property
    def name(self) -> str:
        """Name of the case in reports."""

    def begin(self, side: Side, tracer: Tracer | None) -> Run:
        """Start a run of the case on one side. Raises InvalidInput if it cannot run there, such as NotCompared."""


@runtime_checkable
class MessageCase(RecordedCase, Protocol):
    """A case of one message, with the gas limit that its sender chose under the network's rules.

    The states after it are not compared, since the sender's fees differ.
    """

    def with_enough_gas(self, side: Side) -> Run:
        """Start a run with the highest gas limit that the rules of a side allow, which the sender can pay."""

    def explain(self, sides: tuple[Side, Side], costs: tuple[list[MessageCost], list[MessageCost]]) -> Explanation:
        """Explain a difference, given the costs on both sides. Raises NotCompared."""


class CaseJob(Protocol):
    """A job: a part of a source."""

    @property
    def name(self) -> str:
        """Name of the job in reports."""

    def cases(self) -> Iterable[RecordedCase]:
        """Yield the cases. Raises InvalidInput."""


def fatal_outcome(label: str, error: BaseException, receipt: Receipt | None = None) -> MessageOutcome:
    """Return the outcome of a message whose execution ended with a fatal error."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, BlockNotFound):
        cause = cause.__cause__
    return MessageOutcome(label, receipt, fatal=f"fatal: {error}", lacks_block=cause is not None)


def bad_case(name: str, problem: object) -> InvalidInput:
    """Return the error for a case that cannot be executed as recorded, such as one with missing blocks."""
    return InvalidInput(f"{name} cannot be executed as it was recorded: {problem}")


CRON: Final = "reward and cron"
_A_JOB: Final = 16
"""Number of tipsets per job."""


def is_chain(path: Path) -> bool:
    """Return True if the path is the folder of a chain, or of a machine without one; also if it is damaged."""
    return any(exists(path / name) for name in (FORMAT_FILE, "CURRENT"))


def chain_jobs(folder: Path, first: int | None, last: int | None) -> list[CaseJob]:
    """Return the jobs for the tipsets from `first` to `last`. Raises InvalidInput if the folder has none there."""
    found = heights(folder, first, last)
    return [ChainJob(folder, tuple(found[index : index + _A_JOB])) for index in range(0, len(found), _A_JOB)]


@dataclass(frozen=True, slots=True)
class ChainJob:
    """A job: some tipsets of a folder."""

    folder: Path
    heights: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"epochs {self.heights[0]} to {self.heights[-1]}"

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
            chain = _chains(self.folder).under(side, self.height)
            tipset = chain.index.tipset(self.height)
            replay = Replay(chain, tipset)
            replay.machine.advance(network=side.row(replay.machine.context.network))
            return _TipsetRun(tipset, replay, tracer)
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
    """The chain of a folder under each side and manifest of built-in actors, over one store."""

    def __init__(self, folder: Path) -> None:
        self._store = RocksStore.open(folder, read_only=True)
        self._index = ChainIndex(self._store)
        self._chains: list[tuple[Side, tuple[Upgrade, ...], tuple[Manifest, ...], Chain]] = []

    def under(self, side: Side, height: int) -> Chain:
        """Return the chain as a side executes the tipset at a height. Raises InvalidInput."""
        record, root = self._index.network(), self._store.metadata(HEAD)
        if record is None or root is None:
            raise InvalidInput(f"{self._store.path} holds no chain")
        tipset = self._index.tipset(height)
        upgrades = tuple(each for each in record.upgrades.planned if tipset.parent <= each.epoch < height)
        manifests = tuple(self._manifests(tipset, upgrades)) if side.changes_code else ()
        for known, *of, chain in self._chains:
            if of == [upgrades, manifests] and (known is side or known == side):
                return chain
        chain = self._open(side, manifests, record, Cid(root))
        if not upgrades or side.network is None:
            chain.record = _record_of(record, side, chain.head.height)
        # else the recorded upgrade precedes the messages, because the side's version starts from recorded states
        self._chains.append((side, upgrades, manifests, chain))
        return chain

    def _manifests(self, tipset: Tipset, upgrades: Iterable[Upgrade]) -> Iterator[Manifest]:
        """Yield the manifests of the state before a tipset, and of the upgrades between it and its parent."""
        store = BufferedStore(ReadOnlyStore(self._store))
        yield Manifest.of_state(store, StateTree(store, tipset.before))
        yield from (Manifest.load(store, upgrade.actors) for upgrade in upgrades if upgrade.actors is not None)

    def _open(self, side: Side, manifests: Iterable[Manifest], record: NetworkRecord, root: Cid) -> Chain:
        base = ReadOnlyStore(self._store)
        fork = recorded_fork(self._store)
        rules = rules_named(record.rules, record.hardfork)
        context = choose_context(base, None, rules.name, None, overlay=record.overlay)
        context = replace(context, network=side.row(context.network))
        evm = OFFICIAL_EVM if record.evm == OFFICIAL_EVM else OWN_EVM
        externs, plain = ChainExterns(), side.base_store(base, manifests)
        machine = Hypervisor.at(plain, root, context, evm=evm, externs=externs, proofs=AcceptProofs())
        rules.settings.prepare(machine)
        # The folder of a fork stores the responses of its node, so re-execution sends no requests.
        origin = None if fork is None else Origin(replace(fork, url=""), self._store)
        return Chain(machine, externs, record, 0, origin)


_chains = lru_cache(maxsize=1)(_Chains)
_bundles = lru_cache(maxsize=1)(BundleFolder)


def _record_of(record: NetworkRecord, side: Side, head: int) -> NetworkRecord:
    """Return the network record that a side executes under; a single network version if the side names one."""
    upgrades = record.upgrades if side.network is None else Upgrades(side.network)
    overlay = record.overlay if side.overlay is None else side.overlay
    first = network_version_row(upgrades.first, overlay)
    rows = [first, *versions_between(first.number, upgrades.version_at(head), overlay)]
    return replace(record, upgrades=upgrades, overlay=side.overlay_for(rows, record.overlay))


_EXPECTED: Final = "expected a chain's folder, a file of vectors or a folder of them"
_PARTS: Final = 4
"""Number of jobs per process into which a file of many vectors is split."""


def jobs_of(paths: Iterable[Path], bundles: Path, first: int | None, last: int | None, workers: int) -> list[CaseJob]:
    """Return the jobs of chain folders, vector files and folders of vector files.

    Raises InvalidInput for any other or unreadable file, and if there is nothing to execute, and StoreError for a
    folder that cannot be read.
    """
    jobs = [job for path in paths for job in _jobs_of(path, bundles, first, last, workers)]
    if not jobs:
        raise InvalidInput(f"nothing to execute: {_EXPECTED}")
    return jobs


def _jobs_of(path: Path, bundles: Path, first: int | None, last: int | None, workers: int) -> list[CaseJob]:
    if is_chain(path):
        return chain_jobs(path.resolve(), first, last)
    found = find_vectors([path])
    if not found:
        raise InvalidInput(f"{path} has no messages: {_EXPECTED}")
    jobs: list[CaseJob] = []
    for file in found:
        parts = workers * _PARTS if workers > 1 and file.name.endswith(".gz") else 1
        jobs += [VectorJob(file, bundles, number, parts) for number in range(parts)]
    return jobs


@dataclass(frozen=True, slots=True)
class VectorJob:
    """A job: every `of`-th vector of a file, from number `first` on."""

    path: Path
    bundles: Path
    first: int = 0
    of: int = 1

    @property
    def name(self) -> str:
        return f"{self.path}, part {self.first + 1} of {self.of}"

    def cases(self) -> Iterator[RecordedCase]:
        for number, text in enumerate(texts_of(self.path)):
            if number % self.of != self.first:
                continue
            name = str(self.path)
            try:
                vector = parse_vector(text, self.path)
                name = name_of(vector) or self.path.stem
                yield from map(VectorCase, variants_of(vector, self.path, _bundles(self.bundles)))
            except (Fatal, StoreError) as error:
                raise bad_case(name, error) from None


@dataclass(frozen=True, slots=True)
class VectorCase:
    """A case: a variant of a message vector."""

    variant: VectorVariant

    @property
    def name(self) -> str:
        return f"{self.variant.vector}:{self.variant.name}"

    def begin(self, side: Side, tracer: Tracer | None) -> Run:
        """Start a run on a separate machine over the vector's blocks."""
        there = self.variant.machine
        context = replace(there.context, network=side.row(there.context.network))
        if not side.changes_code:  # both sides share one registry of runtimes
            machine = there.fork(context=context)
            machine.tracer = tracer
            return _VectorRun(self.variant, machine)
        machine = Hypervisor.at(
            side.base_store(there.base, [there.manifest]), there.root, context, evm=AUTO, externs=there.externs,
            proofs=there.proofs, tracer=tracer,
        )  # fmt: skip
        return _VectorRun(self.variant, machine)


@dataclass(frozen=True, slots=True)
class _VectorRun:
    variant: VectorVariant
    machine: Hypervisor = field(repr=False)

    def steps(self) -> Iterator[MessageOutcome]:
        return self._tipset_steps() if self.variant.tipsets else self._message_steps()

    def _tipset_steps(self) -> Iterator[MessageOutcome]:
        for tipset in self.variant.tipsets:
            for step in tipset_steps(self.machine, tipset.work, tipset.supply):
                label = f"reward or cron of epoch {tipset.work.epoch}"
                if step.included is not None:
                    label = _label(step.included.message)
                yield MessageOutcome(label, step.result.receipt)

    def _message_steps(self) -> Iterator[MessageOutcome]:
        for applied, stated in zip(self.variant.messages, self.variant.after["receipts"], strict=True):
            message, raw_length = read_message(applied)
            label = _label(message)
            try:
                result = apply_message(self.machine, message, raw_length)
            except MessageError as error:
                yield MessageOutcome(label, refused=f"refused: {error}")
            else:
                fatal = result.fatal
                as_stated = result.exit_code == stated.get("exit_code")  # a block may be missing on purpose
                outcome = MessageOutcome(label, result.receipt)
                if fatal is not None:
                    outcome = fatal_outcome(label, fatal, result.receipt)
                yield replace(outcome, lacks_block=outcome.lacks_block and not as_stated)


def _label(message: Message) -> str:
    return f"{message.from_} -> {message.to} method {message.method}"
