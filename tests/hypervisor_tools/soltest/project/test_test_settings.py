"""EVM version of tests: foundry.toml's, or the latest one that its solc supports, as in forge 1.7.1."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.executor import fork_of
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.execution.results import TestResult
from hypervisor_tools.soltest.project.project import CompilerSettings, Project
from hypervisor_tools.soltest.run.session import SuiteSession

Run = Callable[..., dict[str, dict[str, TestResult]]]

CALLS = {"testCalls()": ["3d193d523d196020523d196040523d196060523d3d60803d3d6112345af15000"]}
"""Code that calls an account without code, with 128 bytes of calldata that are not zero. No code here has PUSH0."""
PRECOMPILES = {
    "testPointEvaluation()": ["3d3d3d3d600a62030d40fa5000"],
    "testAddition()": ["3d3d3d3d600b62030d40fa5000"],
    "testCoinbase()": ["41315000"],
}
"""Code that calls two precompiles without input, which use up 200,000 gas each, and reads the coinbase's balance."""
CREATES = {"testCreates()": ["60403d3df05000"]}
"""Code that creates a contract with two words of init code."""


# By `forge config`: 0.8.17 gives london, 0.8.19 paris, 0.8.20 shanghai, 0.8.27 prague, 0.8.30 osaka.
@pytest.mark.parametrize(
    ("solc", "version", "fork"),
    [
        (None, None, "Osaka"),
        (None, "prague", "Prague"),
        (None, "cancun", "Cancun+EIP-7702"),
        (None, "paris", "Paris+EIP-7702"),
        ("0.8.17", None, "Paris+EIP-7702"),
        ("0.8.19", "cancun", "Paris+EIP-7702"),
        ("0.8.20", None, "Shanghai+EIP-7702"),
        ("0.8.30", None, "Osaka"),
        ("0.8.30", "london", "Paris+EIP-7702"),
        ("bin/solc", None, "Osaka"),
    ],
)
def test_evm_version_is_capped_by_project_compiler(solc: str | None, version: str | None, fork: str) -> None:
    compiler = CompilerSettings(version=solc, evm_version=version)
    assert fork_of(Project(Path(), compiler=compiler)) == fork


@pytest.mark.parametrize(
    ("solc", "use", "lines"),
    [
        ("0.8.30", None, ["warning: solc 0.8.30 has no evm_version amsterdam: osaka is used"]),
        ("0.8.37", "0.8.26", ["warning: solc 0.8.26 has no evm_version amsterdam: cancun is used"]),
        ("0.8.30", "0.8.37", []),
        ("bin/solc", None, []),
        (None, None, []),
    ],
)
def test_evm_version_that_the_compiler_lacks_is_reported(
    solc: str | None, use: str | None, lines: list[str], tmp_path: Path
) -> None:
    """Amsterdam needs solc 0.8.36, Prague 0.8.27; `--use` takes precedence over foundry.toml."""
    project = Project(tmp_path, compiler=CompilerSettings(version=solc, evm_version="amsterdam"))
    printed: list[str] = []
    with pytest.raises(InvalidInput, match="no Solidity sources"):
        SuiteSession(project, SuiteFilter(), Options(use=use), printed.append).prepare()
    assert printed == lines


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_words_of_init_code_cost_from_shanghai_on(run_contracts: Run, evm: str, tmp_path: Path) -> None:
    """EIP-3860: two gas per word."""

    def gas(version: str) -> int:
        project = Project(tmp_path, compiler=CompilerSettings(evm_version=version))
        return run_contracts({"Creates": CREATES}, project=project, evm=evm)["Creates"]["testCreates()"].gas

    assert gas("shanghai") - gas("paris") == 2 * 2
    assert gas("osaka") == gas("shanghai")
    assert gas("london") == gas("paris")


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_isolated_call_calldata_has_floor_price_from_prague(run_contracts: Run, evm: str, tmp_path: Path) -> None:
    """EIP-7623: at least 40 gas for a byte that is not zero, instead of 16, for a call that costs nothing else."""

    def gas(version: str) -> int:
        project = Project(tmp_path, isolate=True, compiler=CompilerSettings(evm_version=version))
        return run_contracts({"Calls": CALLS}, project=project, evm=evm)["Calls"]["testCalls()"].gas

    assert gas("prague") - gas("cancun") == (40 - 16) * 128
    assert gas("osaka") == gas("prague")
    assert gas("paris") == gas("shanghai") == gas("cancun")


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_older_versions_have_fewer_warm_accounts(run_contracts: Run, evm: str, tmp_path: Path) -> None:
    """EIP-4844 and EIP-2537 add precompiles in Cancun and Prague; EIP-3651 warms the coinbase from Shanghai on."""

    def gas(version: str, test: str) -> int:
        project = Project(tmp_path, compiler=CompilerSettings(evm_version=version))
        return run_contracts({"Warm": PRECOMPILES}, project=project, evm=evm)["Warm"][test].gas

    precompile, cold, warm = 200_100, 2_600, 100
    assert gas("cancun", "testPointEvaluation()") - gas("shanghai", "testPointEvaluation()") == precompile - cold
    assert gas("prague", "testAddition()") - gas("cancun", "testAddition()") == precompile - cold
    assert gas("cancun", "testAddition()") == gas("shanghai", "testAddition()") == gas("paris", "testAddition()")
    assert gas("paris", "testCoinbase()") - gas("shanghai", "testCoinbase()") == cold - warm
