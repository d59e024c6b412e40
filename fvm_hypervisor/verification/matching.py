"""Verdict on a deployed contract, with the rules of Sourcify.

- `exact_match`: the code is equal, including the metadata hash, so the sources are those of the deployment.
- `match`: the code is equal except for metadata, or has no metadata hash that identifies the sources.

Immutable values, library addresses and the address in a library's own code are taken from the chain.
Source: Sourcify's documentation, "Exact Match vs Match", and its library's order of checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fvm_hypervisor.soltest.artifact import ContractArtifact
from fvm_hypervisor.soltest.bytecode_match import Match, has_metadata_hash, match_creation, match_runtime
from fvm_hypervisor.soltest.known_code import Pattern
from fvm_hypervisor.verification.creation_code import are_arguments
from fvm_hypervisor.verification.submission import VerificationError


class MatchLevel(StrEnum):
    """Match of code with a contract, in Sourcify's terms."""

    EXACT = "exact_match"
    MATCH = "match"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Matches of the creation code and of the runtime code; None if they differ or are unknown."""

    creation: MatchLevel | None
    runtime: MatchLevel | None

    @property
    def best(self) -> MatchLevel | None:
        """The better of both."""
        return max((self.creation, self.runtime), key=_rank)

    def improves(self, other: Verdict) -> bool:
        """Return True if one part matches better than in the other verdict, and none worse."""
        mine, theirs = ((_rank(each.creation), _rank(each.runtime)) for each in (self, other))
        return mine != theirs and all(new >= old for new, old in zip(mine, theirs, strict=True))


def verdict(artifact: ContractArtifact, runtime: bytes, init_code: bytes | None) -> Verdict:
    """Compare a compiled contract with deployed code, and with the init code if it is known.

    Raises VerificationError if neither matches.
    """
    try:
        compiled = Pattern.of(artifact.runtime).code
        matched = match_runtime(artifact.runtime, runtime)
        created = None if init_code is None else match_creation(artifact.creation, init_code)
    except (KeyError, TypeError, ValueError) as error:
        raise VerificationError("no_compiler_output", f"the compiler's code cannot be read: {error}") from None
    identified = has_metadata_hash(compiled)
    if len(compiled) != len(runtime) and has_metadata_hash(runtime):
        raise VerificationError(
            "bytecode_length_mismatch",
            f"the compiled code has {len(compiled)} bytes, the code on the chain {len(runtime)}: the sources, the "
            "compiler version or its settings differ",
        )
    creation = None
    if created is not None and are_arguments(artifact.abi, created[1]):
        creation = _level(created[0], identified)
    found = Verdict(creation, _level(matched, identified))
    if found.best is None:
        raise VerificationError(
            "no_match",
            "the compiled code and the code on the chain differ: the sources, the compiler version or its settings "
            "are not those of the deployment",
        )
    return found


def _level(found: Match | None, identified: bool) -> MatchLevel | None:
    if found is None:
        return None
    return MatchLevel.EXACT if found is Match.FULL and identified else MatchLevel.MATCH


def _rank(level: MatchLevel | None) -> int:
    return (None, MatchLevel.MATCH, MatchLevel.EXACT).index(level)
