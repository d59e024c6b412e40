"""EVM version of tests: foundry.toml's, or the latest one that its solc supports, as in forge 1.7.1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fvm_hypervisor.soltest.project import CompilerSettings, Project
from fvm_hypervisor.soltest.results import TestResult
from fvm_hypervisor.soltest.serving import fork_of

Run = Callable[..., dict[str, dict[str, TestResult]]]

CREATES = {"testCreates()": ["60405f5ff05000"]}
"""Code that creates a contract with two words of init code."""


# By `forge config`: 0.8.17 gives london, 0.8.19 paris, 0.8.20 shanghai, 0.8.27 prague, 0.8.30 osaka.
@pytest.mark.parametrize(
    ("solc", "version", "fork"),
    [
        (None, None, "Osaka"),
        (None, "prague", "Prague"),
        (None, "cancun", "Prague"),
        (None, "paris", "Paris"),
        ("0.8.17", None, "Paris"),
        ("0.8.19", "cancun", "Paris"),
        ("0.8.20", None, "Prague"),
        ("0.8.30", None, "Osaka"),
        ("0.8.30", "london", "Paris"),
        ("bin/solc", None, "Osaka"),
    ],
)
def test_no_newer_version_is_run_than_the_projects_compiler_knows(
    solc: str | None, version: str | None, fork: str
) -> None:
    compiler = CompilerSettings(version=solc, evm_version=version)
    assert fork_of(Project(Path(), compiler=compiler)) == fork


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_words_of_init_code_cost_from_shanghai_on(run_contracts: Run, evm: str, tmp_path: Path) -> None:
    """EIP-3860: two gas per word."""

    def gas(version: str) -> int:
        project = Project(tmp_path, compiler=CompilerSettings(evm_version=version))
        return run_contracts({"Creates": CREATES}, project=project, evm=evm)["Creates"]["testCreates()"].gas

    assert gas("shanghai") - gas("paris") == 2 * 2
    assert gas("osaka") == gas("shanghai")
    assert gas("london") == gas("paris")
