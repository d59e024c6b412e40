"""Inputs of a command: folders of chains, vector files, and folders of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from fvm_hypervisor.laboratory.chain_source import chain_jobs, is_chain
from fvm_hypervisor.laboratory.sides import Side
from fvm_hypervisor.laboratory.sources import CaseJob, MessageOutcome, RecordedCase, Run, bad_case, fatal_outcome
from fvm_hypervisor.laboratory.vectors.bundles import BundleFolder
from fvm_hypervisor.laboratory.vectors.conformance import (
    VectorVariant,
    apply_message,
    find_vectors,
    name_of,
    parse_vector,
    read_message,
    texts_of,
    variants_of,
)
from hypervisor.errors import Fatal, InvalidInput, MessageError
from hypervisor.machine import Hypervisor
from hypervisor.message import Message
from hypervisor.opening import AUTO
from hypervisor.tracing import Tracer
from localnet.chain.tipset_execution import tipset_steps
from store.blockstore import StoreError

_EXPECTED: Final = "expected a chain's folder, a file of vectors or a folder of them"
_PARTS: Final = 4
"""Number of jobs per process into which a file of many vectors is split."""


def jobs_of(paths: Iterable[Path], bundles: Path, first: int | None, last: int | None, workers: int) -> list[CaseJob]:
    """Return the jobs of chain folders, vector files and folders of vector files.

    Raises InvalidInput for any other or unreadable file, and if there is nothing to execute.
    """
    try:
        jobs = [job for path in paths for job in _jobs_of(path, bundles, first, last, workers)]
    except StoreError as error:
        raise InvalidInput(str(error)) from None
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
            side.ground(there.base, there.manifest), there.root, context, evm=AUTO, externs=there.externs,
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
                if step.carried is not None:
                    label = _label(step.carried.message)
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


@lru_cache(maxsize=1)
def _bundles(folder: Path) -> BundleFolder:
    return BundleFolder(folder)
