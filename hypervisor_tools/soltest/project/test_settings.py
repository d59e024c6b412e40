"""Settings of tests: the target EVM version, mutation runs, and bounds of symbolic tests.

If a project sets no EVM version, forge requests Osaka, whatever the compiler's own default is; a compiler that does not
support it gets the newest version that it supports. Rules: Foundry's and solc's release notes. Symbolic tests have
their bounds here because z3, which their other modules import, is optional.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Final, NamedTuple

from hypervisor.errors import InvalidInput

DEFAULT: Final = "osaka"
_SINCE: Final = {
    "byzantium": (0, 4, 21),
    "constantinople": (0, 4, 22),
    "petersburg": (0, 5, 5),
    "istanbul": (0, 5, 14),
    "berlin": (0, 8, 5),
    "london": (0, 8, 7),
    "paris": (0, 8, 18),
    "shanghai": (0, 8, 20),
    "cancun": (0, 8, 24),
    "prague": (0, 8, 27),
    "osaka": (0, 8, 29),
    "amsterdam": (0, 8, 36),
}
"""EVM versions from oldest to newest, each with the first release of solc that supports it."""

EXPERIMENTAL: Final = "amsterdam"
"""EVM version that solc only accepts with `settings.experimental`."""

EVM_VERSIONS: Final = ("homestead", "tangerinewhistle", "spuriousdragon", *_SINCE)
"""All EVM versions that forge accepts, from oldest to newest."""

_OLDER: Final = (("cancun", "Cancun+EIP-7702"), ("shanghai", "Shanghai+EIP-7702"), (EVM_VERSIONS[0], "Paris+EIP-7702"))
"""EVM versions and forks, newest first: a version before Prague uses the first pair whose version is not newer."""


def evm_version(wanted: str | None, solc: str) -> str:
    """Return the EVM version for a release of solc; an unknown name is passed to the compiler as it is."""
    wanted = wanted or DEFAULT
    if wanted not in _SINCE:
        return wanted
    forks = list(_SINCE)
    release = tuple(int(part) for part in solc.split("."))
    known = [fork for fork in forks[: forks.index(wanted) + 1] if _SINCE[fork] <= release]
    return known[-1]


def rules_of(version: str) -> str:
    """Return the name of the fork whose rules execute code of an EVM version.

    Versions before Prague have EIP-7702 delegation, which forge supports in all versions. Cancun, Shanghai and Paris
    have their own opcodes, precompiles and transaction gas; older versions use those of Paris.
    """
    from runtimes.evm.forks import FORKS

    known = {fork.name.lower(): fork.name for fork in FORKS.values() if fork.delegations}
    if version in known:
        return known[version]
    number = EVM_VERSIONS.index(version)
    return next(name for first, name in _OLDER if number >= EVM_VERSIONS.index(first))


OPERATORS: Final = (
    "assembly", "assignment", "binary-op", "condition", "delete-expression", "delete-statement", "elim-delegate",
    "literal", "modifier", "require", "return", "unary-op",
)  # fmt: skip
"""Names of the operator groups. Groups that forge also has use forge's names."""


class MutationConfig(NamedTuple):
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


class MutationSettings(NamedTuple):
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


class SymbolicSettings(NamedTuple):
    """Bounds of symbolic tests. A test that passes holds within `lengths` and `byte_lengths`.

    The other limits end a test, or a path of it, as not decided.
    """

    fuzz: bool = False
    """True if fuzz tests (`test*` with arguments) are run symbolically, too."""
    lengths: tuple[int, ...] = (0, 1, 2)
    """Lengths of dynamic arrays in arguments."""
    byte_lengths: tuple[int, ...] = (0, 32, 65)
    """Lengths of `bytes` and `string` in arguments."""
    loop: int = 8
    """Maximum number of decisions at one conditional jump of a frame."""
    paths: int = 10_000
    steps: int = 1_000_000
    """Maximum number of instructions of a path."""
    seconds: float = 120.0
    """Time limit of a test."""
    query_seconds: float = 20.0
    """Time limit of a query to the solver."""
    invariant_depth: int = 10
    """Maximum number of calls of an invariant test's sequences."""

    def bounds(self) -> str:
        """Return the bounds of a proof."""
        lengths, sizes = (",".join(map(str, some)) for some in (self.lengths, self.byte_lengths))
        return f"arrays of {lengths} items, bytes and strings of {sizes} bytes"
