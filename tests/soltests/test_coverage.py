"""Coverage of fvm-solidity beside `forge coverage`: the same lines, the same functions. Needs FVM_SUITES."""

from pathlib import Path

import pytest

from tests.clients.conftest import installed
from tests.clients.test_coverage import hits_of_both_runners
from tests.soltests.folder import SuitesMissing
from tests.soltests.stage import INSTALLED, stage

pytestmark = pytest.mark.long


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """fvm-solidity with forge-std, without the optimizer, as forge's coverage compiles it."""
    folder = tmp_path / "fvm-solidity"
    try:
        stage("fvm-solidity", folder)
    except SuitesMissing as lack:
        pytest.skip(str(lack))
    config = folder / "foundry.toml"
    text = config.read_text(encoding="utf-8")
    for key in ("optimizer", "via_ir"):
        text = text.replace(f"{key} = true", f"{key} = false")
    config.write_text(text, encoding="utf-8")
    return folder


def test_line_coverage_of_public_suite_matches_forge(suite: Path) -> None:
    found, expected = hits_of_both_runners(installed(INSTALLED, Path(__file__).resolve().parent), suite)
    assert {key: set(hits) for key, hits in found.items()} == {key: set(expected[key]) for key in found}
    lines = [(hits[line], expected[key][line]) for key, hits in found.items() if key[1] == "DA" for line in hits]
    functions = [(hits[name], expected[key][name]) for key, hits in found.items() if key[1] == "FNDA" for name in hits]
    assert len(lines) > 800
    assert len(functions) > 100
    # Where several statements share a line, forge counts the first one, and we the one that ran most often. Fuzz tests
    # run with other inputs: what only some of them reach may be covered in one run and not in another.
    assert sum(ours == theirs for ours, theirs in lines) > 0.95 * len(lines)
    assert sum((ours > 0) == (theirs > 0) for ours, theirs in lines) > 0.995 * len(lines)
    assert all((ours > 0) == (theirs > 0) for ours, theirs in functions)
