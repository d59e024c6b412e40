"""`.gas-snapshot`: the gas of each test, one per line, as `forge snapshot` writes and compares it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.execution.results import SuiteResult
from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded

_MAX_FILE_BYTES: Final = 64 << 20
"""Maximum size of a file in bytes."""
SEED: Final = 0x0100FA69A5F1710A95CDEF94889B02845D640B19ADF0E357B8D4BE7D49EE70E6
"""Default seed of fuzz tests in snapshots, so that two runs are comparable."""
_LINE: Final = re.compile(r"^(?P<contract>[^:]+):(?P<test>[^ ]+\)) \((?P<figures>.*)\)$")
_GAS: Final = re.compile(r"(?:gas|~): (\d+)")


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """A test and its gas figures, formatted as in a line of test output."""

    contract: str
    test: str
    figures: str

    @property
    def name(self) -> str:
        """Name of the test in comparisons."""
        return f"{self.contract}::{self.test}"

    @property
    def gas(self) -> int:
        """Gas of a unit test, median gas of a fuzz test, 0 for an invariant test."""
        found = _GAS.search(self.figures)
        return 0 if found is None else int(found[1])


def entries_of(suites: Iterable[SuiteResult]) -> list[SnapshotEntry]:
    """Return the entries of all tests, including failed and skipped ones, as `forge snapshot` lists them."""
    return [
        SnapshotEntry(suite.contract, test.signature, test.figures())
        for suite in sorted(suites, key=lambda suite: suite.name)
        for test in sorted(suite.tests, key=lambda test: test.signature)
    ]


def text_of(entries: Sequence[SnapshotEntry]) -> str:
    """Return the content of the snapshot file, with sorted lines."""
    return "\n".join(sorted(f"{entry.contract}:{entry.test} {entry.figures}" for entry in entries))


def read_entries(file: Path) -> dict[str, SnapshotEntry]:
    """Return the entries of a file by name. Raises InvalidInput if it is missing or malformed."""
    if not file.exists():
        raise InvalidInput(f"there is no gas snapshot {file}; create it with --snapshot write")
    try:
        lines = read_bounded(file, _MAX_FILE_BYTES, "the file").decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the gas snapshot {file} cannot be read: {error}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        parts = _LINE.match(line)
        if parts is None:
            raise InvalidInput(f"line {number} of {file} is not a test with its gas: {line!r:.80}")
        entry = SnapshotEntry(parts["contract"], parts["test"], f"({parts['figures']})")
        found[entry.name] = entry
    return found


def mismatches(
    entries: Iterable[SnapshotEntry], before: Mapping[str, SnapshotEntry], tolerance: float = 0.0
) -> Iterator[str]:
    """Yield a line for each test that the file lacks, or whose gas differs by more than `tolerance` percent."""
    for entry in entries:
        old = before.get(entry.name)
        if old is None:
            yield f'No matching snapshot entry found for "{entry.name}" in snapshot file'
        elif old.figures != entry.figures and not _is_within(entry.gas, old.gas, tolerance):
            yield f'Diff in "{entry.name}": consumed "{entry.figures}" gas, expected "{old.figures}" gas '


def _is_within(gas: int, before: int, tolerance: float) -> bool:
    return bool(tolerance) and abs(gas - before) * 100 <= tolerance * before


def difference_lines(entries: Iterable[SnapshotEntry], before: Mapping[str, SnapshotEntry]) -> Iterator[str]:
    """Yield each test's gas before and now, smallest change first, then the totals; skip tests that the file lacks."""
    pairs = [(before[entry.name], entry) for entry in entries if entry.name in before]
    ups = downs = 0
    for old, new in sorted(pairs, key=lambda pair: _share(pair[0].gas, pair[1].gas)):
        change = new.gas - old.gas
        ups, downs = ups + (change > 0), downs + (change < 0)
        mark = "↑" if change > 0 else "↓" if change < 0 else "━"
        yield f"{mark} {new.name} (gas: {old.gas} → {new.gas} | {change} {_percent(change, old.gas)})"
    change, whole = sum(new.gas - old.gas for old, new in pairs), sum(old.gas for old, _ in pairs)
    yield ""
    yield "-" * 80
    yield f"Total tests: {len(pairs)}, ↑ {ups}, ↓ {downs}, ━ {len(pairs) - ups - downs}"
    yield f"Overall gas change: {change} ({_percent(change, whole)})"


def _share(before: int, now: int) -> float:
    return abs(now - before) / before if before else float("inf") if now else 1e300


def _percent(change: int, whole: int) -> str:
    return f"{change * 100 / whole:.3f}%" if whole else "NaN%" if not change else "inf%"
