"""Known failures of the peers' suites: a TOML file per suite in `known/`.

Each file is a list of groups with a reason, the source of the reason, and names of tests. A group with `ours` counts
towards the suite's limit; the others fail for the peer too, or because Filecoin's rules differ. A group with
`sometimes` holds tests that depend on the machine's speed: they may pass.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "known"


@dataclass(frozen=True, slots=True)
class Group:
    """Tests that fail for one reason."""

    reason: str
    source: str
    names: tuple[str, ...]
    ours: bool = False
    sometimes: bool = False


def known_failures(suite: str) -> list[Group]:
    """Read the file of a suite. Raises ValueError for a name that is listed twice."""
    content = tomllib.loads((FOLDER / f"{suite}.toml").read_text(encoding="utf-8"))
    groups = [Group(**{**group, "names": tuple(group["names"])}) for group in content["failures"]]
    names = [name for group in groups for name in group.names]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{suite}.toml lists tests twice: {', '.join(sorted(twice))}")
    return groups


def findings(results: Mapping[str, str | None], groups: list[Group], limit: int, least: int) -> Iterator[str]:
    """Yield what is wrong with a run: new failures, listed tests that pass or are gone, too many or too few tests.

    `results` maps each test that ran to the message of its failure, or None. At most `limit` failures may be ours, and
    at least `least` tests must have run.
    """
    if len(results) < least:
        yield f"only {len(results)} tests ran, expected at least {least}"
    listed = {name: group for group in groups for name in group.names}
    for name, message in results.items():
        if message is not None and name not in listed:
            yield f"new failure: {name}: {message}"
    for name, group in listed.items():
        if name not in results:
            yield f"a listed test did not run: {name}"
        elif results[name] is None and not group.sometimes:
            yield f"a listed test passes, so remove it: {name}"
    if (ours := sum(len(group.names) for group in groups if group.ours)) > limit:
        yield f"{ours} listed failures are ours, at most {limit} may be"
