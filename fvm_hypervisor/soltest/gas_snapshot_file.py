"""`.gas-snapshot`: what each test used, a line each, as `forge snapshot` writes, compares and reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.results import CaseStatus, SuiteResult
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded

_LARGEST: Final = 64 << 20
"""Bytes of a file."""
SEED: Final = 0x0100FA69A5F1710A95CDEF94889B02845D640B19ADF0E357B8D4BE7D49EE70E6
"""Of fuzz tests where no other one is chosen: figures of two runs can be compared."""
_LINE: Final = re.compile(r"^(?P<contract>[^:]+):(?P<test>[^ ]+\)) \((?P<figures>.*)\)$")
_GAS: Final = re.compile(r"(?:gas|~): (\d+)")


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """A test and its figures, as a result's line has them."""

    contract: str
    test: str
    figures: str

    @property
    def name(self) -> str:
        """As comparisons name it."""
        return f"{self.contract}::{self.test}"

    @property
    def gas(self) -> int:
        """Of a unit test its gas, of a fuzz test the median; none of an invariant test."""
        found = _GAS.search(self.figures)
        return 0 if found is None else int(found[1])


def entries_of(suites: Iterable[SuiteResult]) -> list[SnapshotEntry]:
    """The tests that passed, in order."""
    return [
        SnapshotEntry(suite.contract, test.signature, test.figures())
        for suite in sorted(suites, key=lambda suite: suite.name)
        for test in sorted(suite.tests, key=lambda test: test.signature)
        if test.status is CaseStatus.SUCCESS
    ]


def text_of(entries: Sequence[SnapshotEntry]) -> str:
    """The file."""
    return "\n".join(f"{entry.contract}:{entry.test} {entry.figures}" for entry in entries)


def read_entries(file: Path) -> dict[str, SnapshotEntry]:
    """The entries of a file, by name. Raises InvalidInput where it is not there, or of another form."""
    if not file.exists():
        raise InvalidInput(f"there is no gas snapshot {file}: --snapshot write makes it")
    try:
        lines = read_bounded(file, _LARGEST, "the file").decode().splitlines()
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


def unlike(
    entries: Iterable[SnapshotEntry], before: Mapping[str, SnapshotEntry], tolerance: float = 0.0
) -> Iterator[str]:
    """A line for each test whose figures are others, by more than N percent of its gas, or that the file lacks."""
    for entry in entries:
        old = before.get(entry.name)
        if old is None:
            yield f'No matching snapshot entry found for "{entry.name}" in snapshot file'
        elif old.figures != entry.figures and not _is_within(entry.gas, old.gas, tolerance):
            yield f'Diff in "{entry.name}": consumed "{entry.figures}" gas, expected "{old.figures}" gas '


def _is_within(gas: int, before: int, tolerance: float) -> bool:
    return bool(tolerance) and abs(gas - before) * 100 <= tolerance * before


def difference_lines(entries: Iterable[SnapshotEntry], before: Mapping[str, SnapshotEntry]) -> Iterator[str]:
    """What each test uses now and used before, the smallest change first; tests that the file lacks are left out."""
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
