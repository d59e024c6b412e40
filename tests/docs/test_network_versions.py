"""docs/network-versions.md: its tables equal the network version rows, its Python runs, and its files exist."""

import re
from pathlib import Path

import pytest

from hypervisor.migrations.nv29 import DENOM
from hypervisor.versions.network_versions import NETWORK_VERSIONS, Layouts
from hypervisor.versions.stream_settings import DEVELOPMENT, STREAM_SETTINGS
from tests.docs.page_shell import run_page

CHECKOUT_FOLDER = Path(__file__).resolve().parents[2]
TEXT = (CHECKOUT_FOLDER / "docs" / "network-versions.md").read_text(encoding="utf-8")
STATES = {
    Layouts.UNKNOWN: "unknown",
    Layouts.UNCHANGED: "unchanged",
    Layouts.REWRITTEN: "rewritten",
    Layouts.STREAMS: "streams",
}


def test_every_version_is_listed_as_its_row_is() -> None:
    rows = re.findall(r"^\| nv(\d+) \| (\w+) \| v(\d+) \| (\w+) \| [^|]+ \| (\w+) \|$", TEXT, re.MULTILINE)
    assert rows == [
        (str(row.number), row.name, str(row.actors), row.prices.name.capitalize(), STATES[row.layouts])
        for row in NETWORK_VERSIONS.values()
    ]


def test_the_values_of_the_networks_are_those_of_the_migration() -> None:
    def numbers(name: str) -> list[int]:
        (cells,) = re.findall(rf"^\| {name}[^|]* \| (.+) \|$", TEXT, re.MULTILINE)
        return [int(cell.replace(",", "")) for cell in cells.split(" | ")]

    rows = [*(STREAM_SETTINGS[name] for name in ("mainnet", "calibrationnet", "butterflynet")), DEVELOPMENT]
    assert numbers("timelock") == [row.timelock for row in rows]
    assert numbers("ramp") == [row.ramp for row in rows]
    assert numbers("slope") == [-(-DENOM * 45 // 100 // row.ramp) for row in rows]


@pytest.mark.parametrize("code", re.findall(r"```python\n(?!# )(.*?)```", TEXT, re.DOTALL))
def test_page_python_example_runs(code: str) -> None:
    exec(compile(code, "docs/network-versions.md", "exec"), {})


@pytest.mark.slow
def test_draft_section_commands_have_the_documented_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    section = TEXT.partition("## Draft versions\n")[2].partition("\n## ")[0]
    for ran in run_page(section, tmp_path / "page"):
        ran.check()
