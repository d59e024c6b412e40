"""Dirty bits and memory: correct code keeps its results, and code that relies on clean ones fails."""

from pathlib import Path

import pytest

from hypervisor_tools.soltest.compile.syntax_trees import brutalize
from hypervisor_tools.soltest.execution.results import CaseStatus
from tests.command import run
from tests.hypervisor_tools.soltest.brutalize.recorded import PROJECT, RECORD, session
from tests.hypervisor_tools.soltest.mutate.recorded import compiler, copied

SOUND = {"test_packGood()", "test_casts()"}
UNSOUND = {"test_packBad()", "test_scratchBad()", "test_freshBad()", "test_alignedBad()"}


def results(root: Path, use: str, *, brutalizes: bool) -> dict[str, CaseStatus]:
    (suite,) = session(root, use, brutalizes=brutalizes).run()
    return {test.signature: test.status for test in suite.tests}


@pytest.mark.slow
def test_only_code_that_relies_on_clean_bits_fails(tmp_path: Path) -> None:
    root, use = copied(tmp_path, PROJECT), str(compiler(tmp_path, record=RECORD))
    before = {file: file.read_bytes() for file in root.glob("[st]*/*.sol")}
    assert set(results(root, use, brutalizes=False).values()) == {CaseStatus.SUCCESS}
    found = results(root, use, brutalizes=True)
    assert {name for name, status in found.items() if status is CaseStatus.FAILURE} == UNSOUND
    assert {name for name, status in found.items() if status is CaseStatus.SUCCESS} == SOUND
    assert {file: file.read_bytes() for file in root.glob("[st]*/*.sol")} == before
    assert set(results(root, use, brutalizes=False).values()) == {CaseStatus.SUCCESS}


def conversion(
    start: int, end: int, kind: str, argument: dict[str, object], given: str = "t_uint256"
) -> dict[str, object]:
    description = {"typeDescriptions": {"typeIdentifier": given}}
    return {
        "nodeType": "FunctionCall", "kind": "typeConversion", "src": f"{start}:{end - start}:0",
        "typeDescriptions": {"typeIdentifier": kind}, "arguments": [{**description, **argument}],
    }  # fmt: skip


def test_nested_conversions_are_wrapped_inside_out_and_literals_are_left() -> None:
    text = "uint8(uint16(é)); bytes4(0x01020304); uint256(y)"
    inner = conversion(6, 16, "t_uint16", {})
    tree = {
        "nodeType": "SourceUnit",
        "nodes": [
            conversion(0, 17, "t_uint8", inner),
            conversion(19, 37, "t_bytes4", {}, "t_rational_16909060_by_1"),
            conversion(39, 49, "t_uint256", {}),
        ],
    }
    found = brutalize("src/A.sol", tree, text)
    assert found.startswith("uint8(uint256(uint8(uint16(uint256(uint16(é)) ^ (uint256(")
    assert found.endswith(" << 8)); bytes4(0x01020304); uint256(y)")
    assert found.count("^") == 2


@pytest.mark.parametrize("other", ["--coverage", "--debug", "--mutate", "--flamegraph"])
def test_brutalize_excludes_options_that_need_the_original_sources(other: str, tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text("[profile.default]\n")
    found = run("test", str(tmp_path), "--brutalize", other)
    assert found.exit_code == 2
    assert "cannot be used" in found.output.replace("\n", " ")
