"""Settings of mutation runs, from foundry.toml and from options."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Final

from hypervisor.errors import InvalidInput

OPERATORS: Final = (
    "assembly", "assignment", "binary-op", "condition", "delete-expression", "delete-statement", "elim-delegate",
    "literal", "modifier", "require", "return", "unary-op",
)  # fmt: skip
"""Names of the operator groups. Groups that forge also has use forge's names."""


@dataclass(frozen=True, slots=True)
class MutationConfig:
    """The table `mutation` of foundry.toml: seconds per mutant, or None, and the operator groups that are used."""

    timeout: int | None = None
    operators: tuple[str, ...] = OPERATORS


def select_operators(excluded: Iterable[str], included: Iterable[str]) -> tuple[str, ...]:
    """Return the operator groups without the excluded ones; `included` takes precedence. Raises InvalidInput."""
    out, back = set(excluded), set(included)
    unknown = sorted((out | back) - {*OPERATORS})
    if unknown:
        raise InvalidInput(f"mutation operator '{unknown[0]:.60}' is unknown: expected one of {', '.join(OPERATORS)}")
    return tuple(name for name in OPERATORS if name not in out or name in back)


@dataclass(frozen=True, slots=True)
class MutationSettings:
    """Sources and contracts to mutate, and limits. `seconds` per mutant; None derives it from the tests' durations."""

    paths: tuple[str, ...] = ()
    """Sources and folders relative to the project's root; empty for all."""
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
        missing = next((path for path in self.paths if not any(_is_inside(name, path) for name in found)), None)
        if missing is not None:
            raise InvalidInput(f"--mutate {missing} names no source of the project that can be mutated: tests, mocks, "
                               "scripts and libraries cannot")  # fmt: skip
        found = [name for name in found if not self.paths or any(_is_inside(name, path) for path in self.paths)]
        glob = None if self.glob is None else self.glob.removeprefix("./")
        found = [name for name in found if glob is None or fnmatch(name, glob)]
        if not found:
            raise InvalidInput(f"no source of the project matches --mutate-path '{self.glob}'" if self.glob else
                               "the project has no sources to mutate: set src in foundry.toml")  # fmt: skip
        return found

    def matches_contract(self, name: str) -> bool:
        """Return True if a contract is mutated; free functions have an empty name."""
        return self.contract is None or re.search(self.contract, name) is not None


def _is_inside(name: str, path: str) -> bool:
    """Return True if a source is at a path or below it."""
    return path == "." or name == path or name.startswith(f"{path}/")
