"""Gas snapshots under `snapshots/`: values that tests measured by name, one file per group, in forge's format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.execution.results import SuiteResult
from fvm_hypervisor.soltest.project_files import write_inside
from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from store.untrusted import parse_json

_MAX_FILE_BYTES: Final = 64 << 20
"""Maximum size of a file in bytes."""

Snapshots = Mapping[str, Mapping[str, str]]
"""Values by name, by group."""


def measurements(suites: Iterable[SuiteResult]) -> Snapshots:
    """Return what the tests of all suites have measured; the last value of a name takes precedence."""
    found: dict[str, dict[str, str]] = {}
    for suite in sorted(suites, key=lambda suite: suite.name):
        for test in sorted(suite.tests, key=lambda test: test.signature):
            for group, name, value in test.measured:
                found.setdefault(group, {})[name] = str(value)
    return {group: dict(sorted(values.items())) for group, values in sorted(found.items())}


def write(found: Snapshots, folder: Path, root: Path | None = None) -> None:
    """Write the file of each group, inside `root` (default: the folder). Raises InvalidInput if a write fails."""
    try:
        for group, values in found.items():
            text = json.dumps(values, indent=2, ensure_ascii=False)
            write_inside(folder if root is None else root, folder / f"{group}.json", text.encode())
    except OSError as error:
        raise InvalidInput(f"gas snapshots cannot be written to {folder}: {error.strerror}") from None


def differences(found: Snapshots, folder: Path) -> Iterator[str]:
    """Yield a line for each group whose file has other values, and one for each such value."""
    for group, values in found.items():
        before = _read(folder / f"{group}.json")
        other = [name for name, value in values.items() if before.get(name, value) != value]
        if other:
            yield f"\n[{group}] Failed to match snapshots:"
            yield from (f"- [{name}] {before[name]} → {values[name]}" for name in other)


def _read(file: Path) -> dict[str, str]:
    """Return the values in a file; empty if there is none. Raises InvalidInput if it is malformed."""
    try:
        file.lstat()
        content = parse_json(read_bounded(file, _MAX_FILE_BYTES, "the file"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the gas snapshots of {file} cannot be read: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise InvalidInput(f"the gas snapshots of {file} cannot be read: expected a JSON object of strings")
    return content
