"""Options of a test run, and the settings that each of its worker processes receives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge.ethereum.block import ETHEREUM
from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation
from hypervisor_tools.soltest.project.project import Project

if TYPE_CHECKING:
    from hypervisor.bundles.bundle import Bundle
    from hypervisor.precompiles import Precompile
    from hypervisor.versions.overlay import Overlay


class Options(NamedTuple):
    """Options of a test run. `timeout` is in seconds per test; `use` names the compiler."""

    rules: str = ETHEREUM
    evm: str = "py-evm"
    bundle: str | Path | None = None
    """Name of a bundle, or its file."""
    use: str | None = None
    timeout: float = 300.0
    workers: int = 1
    verbosity: int = 0
    real_filecoin: bool = False
    shows_logs: bool = False
    """True if the output of tests is shown."""
    records_logs: bool = False
    """True if results contain the logs of tests as events, too: for the JSON report, and to compare them."""
    report: str = ""
    """Data to collect: `gas`, `coverage`, `coverage-by-test`, `inputs` (`Cheatcodes.inputs`) or empty."""
    precompiles: tuple[Precompile | str, ...] = ()
    """Precompiles of the command line in addition to the project's: modules, and names of installed ones."""
    hides_passed: bool = False
    """True if passing tests have no trace at any verbosity."""
    decodes_internal: bool = False
    """True if traces include internal function calls."""
    records_traces: bool = False
    """True if results contain call trees for the JSON report: from verbosity 3 on, and always for invariants."""
    ends_at_failure: bool = False
    """True if a suite ends at its first failure, which has neither trace nor stack, or when its process is lost."""
    network: int | None = None
    """Network version; None for the newest."""
    brutalizes: bool = False
    """True if the project's sources are compiled with dirty bits and memory (`brutalizing`)."""

    @property
    def has_own_code(self) -> bool:
        """True if the code is compiled with other settings or sources than the project's."""
        return self.brutalizes or self.report in ("coverage", "coverage-by-test")


@dataclass(frozen=True, slots=True)
class Job:
    """A test run: the project, its artifacts and how tests are run."""

    project: Project
    locations: Sequence[ArtifactLocation]
    sources: Mapping[str, Mapping[int, str]]
    options: Options = field(default_factory=Options)
    network: int | None = None
    overlay: Overlay | None = None
    bundle: Bundle | None = None
    """Bundle to use instead of that of the options."""
    seed: int = 0
    fork_url: str | None = None
    fork_number: int | None = None
    layouts: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """Storage layouts by source and contract; empty unless a source requests them."""
    environment: Mapping[str, str] = field(default_factory=dict)
    test_files: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Files of tests (`.t.sol`) that each source of a suite imports, and itself."""


def check_isolation(rules: str) -> None:
    """Raise InvalidInput if the rules do not support isolated calls."""
    if rules != ETHEREUM:
        raise InvalidInput(
            f"isolate requires Ethereum's rules, but the tests run under the rules '{rules}': "
            "omit --isolate, set isolate = false in foundry.toml, or run them with --rules ethereum"
        )
