"""Recorded outcomes of tests, and their differences between network versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from localnet.ledger.candidates import Candidate
    from localnet.ledger.records import Tipset
    from localnet.network import Network

GAS_TOLERANCE: Final = 0.01
"""Relative difference of gas up to which it is not reported."""

_VERSION_NAME: Final = re.compile(r"nv([1-9][0-9]?)")


def read_versions(text: str) -> tuple[int, ...]:
    """Parse the versions in `nv27,nv28`, in order. Raises ValueError for anything else, and for duplicates."""
    versions = []
    for part in text.split(","):
        match = _VERSION_NAME.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"'{part}' is not a network version: expected nv27, or several as in nv27,nv28")
        versions.append(int(match[1]))
    if len(set(versions)) < len(versions):
        raise ValueError(f"'{text}' names a version twice")
    return tuple(versions)


@dataclass(slots=True)
class RecordedTest:
    """One test on one version: its outcome, the exit code of each transaction in order, and their total gas.

    It watches a network while the test runs (`localnet.chain.watching`).
    """

    outcome: str = ""
    exit_codes: list[int] = field(default_factory=list)
    gas: int = 0
    _network: Network | None = None

    def attach(self, network: Network) -> None:
        """Start watching."""
        self._network = network
        network.chain.watchers.append(self)

    def detach(self, network: Network) -> None:
        """Stop watching."""
        network.chain.watchers.remove(self)
        self._network = None

    def applied(self, tipset: Tipset) -> None:
        """Record the messages of a new tipset."""
        if self._network is None:
            return
        for receipt in self._network.chain.index.receipts(tipset):
            self.exit_codes.append(receipt.exit_code)
            self.gas += receipt.gas_used

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Do nothing: recorded executions stay recorded."""

    def accepted(self, candidate: Candidate) -> None:
        """Do nothing: no message has been executed yet."""


def differences(records: dict[str, dict[str, RecordedTest]], before: str, after: str) -> Iterator[str]:
    """Yield a line for each test that differs between two versions: outcome, exit codes, or gas by more than 1 %."""
    for test, by_version in sorted(records.items()):
        one, other = by_version.get(before), by_version.get(after)
        if one is None or other is None:
            continue
        if one.outcome != other.outcome:
            yield f"{test}: {one.outcome} on {before}, {other.outcome} on {after}"
        if one.exit_codes != other.exit_codes:
            yield f"{test}: exit codes {one.exit_codes} on {before}, {other.exit_codes} on {after}"
        elif one.gas and abs(other.gas - one.gas) > GAS_TOLERANCE * one.gas:
            change = 100 * (other.gas - one.gas) / one.gas
            yield f"{test}: gas {one.gas:,} on {before}, {other.gas:,} on {after} ({change:+.1f} %)"
