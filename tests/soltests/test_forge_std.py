"""Assumptions of other tests about forge-std's interfaces match its source: needs forge-std in FVM_SUITES."""

import re
from pathlib import Path

import pytest

from hypervisor_tools.soltest.cheatcodes.table import MISSING, selector, table
from tests.docs.test_page_examples import FORGE
from tests.hypervisor_tools.soltest.cheatcodes.vm_interface import signatures
from tests.localnet.traces.test_trace_report import SIGNATURES
from tests.soltests.folder import SuitesMissing, public_suites

pytestmark = pytest.mark.long


@pytest.fixture
def forge_std() -> Path:
    """The library's sources."""
    try:
        return public_suites("forge-std") / "forge-std" / "src"
    except SuitesMissing as lack:
        pytest.skip(str(lack))


def test_forge_std_cheatcodes_match_table_and_missing_list(forge_std: Path) -> None:
    wanted = signatures((forge_std / "Vm.sol").read_text(encoding="utf-8"))
    have = {entry.signature for entry in table().values() if not entry.filecoin}
    assert wanted - have <= set(MISSING)
    assert {selector(signature) for signature in wanted} <= FORGE


def test_forge_std_console_uses_tested_signatures(forge_std: Path) -> None:
    source = (forge_std / "console.sol").read_text(encoding="utf-8")
    assert set(re.findall(r'encodeWithSignature\("(log\([^"]*\))"', source)) == set(SIGNATURES)
