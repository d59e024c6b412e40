"""Settings of a mutation run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch

from hypervisor.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class MutationSettings:
    """Sources and contracts to mutate, and limits. `seconds` per mutant; None derives it from the tests' durations."""

    paths: tuple[str, ...] = ()
    """Sources relative to the project's root; empty for all."""
    glob: str | None = None
    contract: str | None = None
    """Regular expression for names of contracts."""
    jobs: int = 1
    seconds: float | None = None
    min_score: float | None = None
    """Minimum score in percent."""

    def check(self) -> None:
        """Raise InvalidInput for an invalid regular expression."""
        try:
            re.compile(self.contract or "")
        except re.error as error:
            raise InvalidInput(f"--mutate-contract '{self.contract}' is not a regular expression: {error}") from None

    def files(self, own: Iterable[str]) -> list[str]:
        """Return the sources to mutate of a project's own. Raises InvalidInput if there are none."""
        found = list(own)
        missing = next((path for path in self.paths if path not in found), None)
        if missing is not None:
            raise InvalidInput(f"{missing} is not a source of the project that can be mutated: tests, scripts and "
                               "libraries are not")  # fmt: skip
        found = [name for name in found if not self.paths or name in self.paths]
        glob = None if self.glob is None else self.glob.removeprefix("./")
        found = [name for name in found if glob is None or fnmatch(name, glob)]
        if not found:
            raise InvalidInput(f"no source of the project matches --mutate-path '{self.glob}'" if self.glob else
                               "the project has no sources to mutate: set src in foundry.toml")  # fmt: skip
        return found

    def matches_contract(self, name: str) -> bool:
        """Return True if a contract is mutated; free functions have an empty name."""
        return self.contract is None or re.search(self.contract, name) is not None
