"""What every worker process of a run of tests needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.ethereum_block import ETHEREUM
from fvm_hypervisor.soltest.artifact import ArtifactPlace
from fvm_hypervisor.soltest.project import Project
from hypervisor.precompiles import Precompile


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker needs: the project, its artifacts, and how tests are run. `timeout` in seconds for a test."""

    project: Project
    places: Sequence[ArtifactPlace]
    sources: Mapping[str, Mapping[int, str]]
    rules: str = ETHEREUM
    network: int | None = None
    evm: str = "py-evm"
    bundle: str | None = None
    seed: int = 0
    timeout: float = 300.0
    verbosity: int = 0
    real_filecoin: bool = False
    shows_logs: bool = False
    """Whether what tests write is shown."""
    report: str = ""
    """What is collected: `gas`, `coverage`, or nothing."""
    fork_url: str | None = None
    fork_number: int | None = None
    hides_passed: bool = False
    """Whether tests that pass have no trace, whatever the verbosity."""
    decodes_internal: bool = False
    """Whether traces have the calls of functions within contracts."""
    layouts: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """Where contracts' variables lie, by source and contract: empty unless a source asks for it."""
    precompiles: tuple[Precompile | str, ...] = ()
    """Those of the command line beside the project's: modules, and names of what is installed."""
    environment: Mapping[str, str] = field(default_factory=dict)
