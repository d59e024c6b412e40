"""Inputs of a command: folders of chains, vector files, and folders of these."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fvm_hypervisor.laboratory.chain_source import chain_jobs, is_chain
from fvm_hypervisor.laboratory.sources import CaseJob
from fvm_hypervisor.laboratory.vector_source import VectorJob
from fvm_hypervisor.laboratory.vectors.conformance import find_vectors
from hypervisor.errors import InvalidInput
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
