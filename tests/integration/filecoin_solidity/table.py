"""Table of docs/bridge.md: successes and rejections of each function, and whether results are equal.

A column is a library on a bundle with one of the two EVM runtimes. A cell is `equal` if every case of the function has
the result of the native call, `missing` if the actor has no such method, and `library` if the library cannot decode the
return value, also with the official EVM actor.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hypervisor.bundles.bundle import Bundle
from tests.conftest import data_file
from tests.integration.filecoin_solidity.cases import Case, cases
from tests.integration.filecoin_solidity.compare import Compared, compare_case
from tests.integration.filecoin_solidity.stage import Stage

DOCUMENT: Final = Path(__file__).resolve().parents[3] / "docs" / "bridge.md"
OFFICIAL: Final = "bundles/v18-testing-fake-proofs.car"
BEGIN, END = "<!-- table of the Solidity libraries -->", "<!-- end of the table -->"
EQUAL, MISSING, OF_LIBRARY = "equal", "missing", "library"
KEPT, OLDER = "filecoin-solidity-api", "@zondax/filecoin-solidity"
TESTS: Final = f"{OLDER}/tests"


@dataclass(frozen=True, slots=True)
class Column:
    """A library on a machine: `own` or official bundle, and the runner of contracts."""

    title: str
    package: str
    own: bool
    evm: str = "py-evm"

    def run(self, artifacts: Path) -> list[tuple[Case, Compared]]:
        """Run all cases."""
        bundle = Bundle.embedded() if self.own else Bundle.open(data_file(OFFICIAL))
        stage = Stage(bundle, artifacts / self.package, self.evm)
        try:
            return [(case, compare_case(stage, case)) for case in cases(stage)]
        finally:
            stage.machine.close()


COLUMNS: Final = (
    Column("own bundle", KEPT, own=True),
    Column("official bundle", KEPT, own=False),
    Column("its EVM actor", KEPT, own=False, evm="official"),
    Column("@zondax, own", OLDER, own=True),
    Column("@zondax, official", OLDER, own=False),
    Column("its tests, own", TESTS, own=True),
    Column("its tests, official", TESTS, own=False),
)
_JUDGES: Final = {library: Column("", library, own=False, evm="official") for library in (OLDER, TESTS)}


def run(artifacts: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return the table's rows by function, and the failures."""
    results = {column: column.run(artifacts) for column in COLUMNS}
    judged = {library: [result for _, result in judge.run(artifacts)] for library, judge in _JUDGES.items()}
    rows: dict[str, list[str]] = {}
    problems: list[str] = []
    first = results[COLUMNS[0]]
    succeeding, failing = (Counter(case.method for case, _ in first if case.succeeds is good) for good in (True, False))
    for method in dict.fromkeys(case.method for case, _ in first):
        rows[method] = [str(succeeding[method]), str(failing[method])]
    for column, cells in results.items():
        judges = judged.get(column.package, [None] * len(cells))
        words = _cells(column, zip(cells, judges, strict=True), problems)
        for method, row in rows.items():
            row.append(words[method])
    return rows, problems


def _cells(
    column: Column, pairs: Iterable[tuple[tuple[Case, Compared], Compared | None]], problems: list[str]
) -> Mapping[str, str]:
    cells: dict[str, str] = {}
    for (case, result), judge in pairs:
        cell = cells.setdefault(case.method, EQUAL)
        if not result.problems:
            continue
        if judge is not None and judge.problems == result.problems:
            cells[case.method] = OF_LIBRARY if cell == EQUAL else cell
            continue
        cells[case.method] = MISSING if result.missing else "different"
        problems += [f"{column.title}: {case.method}{case.arguments}: {problem}" for problem in result.problems]
    return cells


def rendered(rows: Mapping[str, list[str]]) -> str:
    """Return the table in Markdown."""
    titles = ["function", "succeed", "refused", *(column.title for column in COLUMNS)]
    lines = [titles, ["---"] * len(titles), *([f"`{method}`", *row] for method, row in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def documented() -> str:
    """Return the table of the document."""
    return _parts()[1]


def write(table: str) -> None:
    """Write the table into the document."""
    before, _, after = _parts()
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def _parts() -> tuple[str, str, str]:
    """Return the document before the table, the table, and the rest."""
    found = re.fullmatch(f"(.*){re.escape(BEGIN)}\n(.*)\n{re.escape(END)}(.*)", DOCUMENT.read_text(), re.DOTALL)
    assert found, f"{DOCUMENT.name} has no place for the table"
    return found[1], found[2], found[3]


def documented_rows() -> dict[str, list[str]]:
    """Return the rows of the document's table by function."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in documented().splitlines()[2:]]
    return {line[0].strip("`"): line[1:] for line in lines}
