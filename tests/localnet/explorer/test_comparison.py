"""Pages of a comparison: the table of calls, one call, and files that are not comparisons."""

import json
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from localnet.explorer.application import explorer
from localnet.explorer.comparison import read_comparison
from tests.explorer.stage import Stage
from tests.localnet.explorer.conftest import Visitor

SKIPPED = {"case": "block 7", "reason": "this node does not have the state of block 6"}


def change(message: str, **other: object) -> dict[str, Any]:
    first = {"path": ["0x52... evm.InvokeEVM"], "words": ["OnEvmGas (2 times): A 22,109, B 22,116 gas"]}
    ends = ["exit 0 OK, success", "exit 7 SYS_OUT_OF_GAS, out of gas"]
    return {
        "case": "block 3", "message": message, "kinds": ["exit code", "gas"], "gas": [43_249, 91_000], "ends": ends,
        "first": first, "enough_gas": None, "explanation": None, **other,
    }  # fmt: skip


def report(*changes: dict[str, Any]) -> dict[str, Any]:
    sides = {"a": {"words": "Osaka"}, "b": {"words": "Amsterdam <b>"}}
    return {**sides, "messages": 300, "changes": list(changes), "skipped": [SKIPPED]}


def write(folder: Path, content: object) -> Path:
    file = folder / "report.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_calls_that_differ_are_rows_with_both_results(visit: Visitor, tmp_path: Path) -> None:
    visit.site.comparison = read_comparison(write(tmp_path, report(change("0x" + "12" * 32))))
    page = visit("/comparison")
    assert page.status == 200
    for words in ("Osaka", "Amsterdam <b>", "300", "block 3", "exit code, gas", "43,249", "91,000", "+47,751"):
        assert words in page.text
    assert "exit 7 SYS_OUT_OF_GAS" in page.text
    assert SKIPPED["reason"] in page.text
    assert "/comparison/0" in page.links
    assert "/comparison" in visit("/").links  # in the navigation


def test_call_has_its_first_difference_and_a_link_to_its_message(stage: Stage, visit: Visitor, tmp_path: Path) -> None:
    known, more = stage.messages["caught"], {"succeeded": True, "end": "exit 0 OK, success", "gas": 91_234}
    why = {"words": ["first difference: SSTORE at byte 5 of 0x51...: 22,100 -> 22,107 gas"]}
    changes = (
        change("<script>x</script>", first=None),
        change(known, enough_gas=more),
        change("0x" + "12" * 32, explanation=why),
    )
    visit.site.comparison = read_comparison(write(tmp_path, report(*changes)))
    call = visit("/comparison/1")
    assert "OnEvmGas (2 times): A 22,109, B 22,116 gas" in call.text
    assert "with the highest gas limit exit 0 OK, success, gas 91,234" in call.text
    assert f"/tx/{known}" in call.links
    assert {"/comparison/0", "/comparison/2"} <= set(call.links)
    explained = visit("/comparison/2")
    assert f"/tx/0x{'12' * 32}" not in explained.links
    assert why["words"][0] in explained.text
    assert "OnEvmGas" not in explained.text
    strange = visit("/comparison/0")
    assert b"<script>x" not in strange.body
    assert "The calls are the same" in strange.text
    assert [visit(f"/comparison/{number}").status for number in ("3", "x")] == [404, 400]


def test_many_calls_are_on_several_pages(visit: Visitor, tmp_path: Path) -> None:
    visit.site.comparison = read_comparison(write(tmp_path, report(*(change(f"m{number}") for number in range(150)))))
    first, second = visit("/comparison"), visit("/comparison?from=100")
    assert ("/comparison/99" in first.links, "/comparison/100" in first.links) == (True, False)
    assert "?from=100" in first.links
    assert ("/comparison/99" in second.links, "/comparison/149" in second.links) == (False, True)


def test_explorer_without_comparison_has_no_such_page(visit: Visitor) -> None:
    page = visit("/comparison")
    assert page.status == 404
    assert "hypervisor explore --comparison FILE" in page.text
    assert "/comparison" not in visit("/").links


@pytest.mark.parametrize(
    "content",
    [
        [], {}, "x", report(change("m", gas=[1])), report(change("m", ends=None)), report(change("m", first=["x"])),
        {**report(), "skipped": [1]},
        report(change("m", explanation={"words": 1})), {**report(), "a": None}, report(change("m", gas=["x", 1])),
    ],
)  # fmt: skip
def test_other_files_are_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"is not a comparison .*hypervisor compare \.\.\. --json"):
        explorer(comparison=write(tmp_path, content))
