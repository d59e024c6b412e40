"""Gas of typical transactions on the EVM runtime and the official EVM actor, as the table of docs/gas.md.

`python -m tests.differential.workloads ARTIFACTS`, with the contracts compiled by scripts/corpus.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.differential.comparison import twins
from tests.differential.plants import NONE
from tests.differential.scenarios import ALICE, BOB, Artifacts, Script, text


@dataclass(frozen=True, slots=True)
class Cost:
    """Gas of a workload's last message, including inclusion, calls and state."""

    name: str
    ours: int
    official: int

    @property
    def ratio(self) -> float:
        """Return the EVM runtime's gas divided by the official actor's."""
        return self.ours / self.official


def _deploy(script: Script) -> None:
    script.deploy("Coin")


def _first_transfer(script: Script) -> None:
    _deploy(script)
    script.call("Coin", "transfer", text(BOB), 500)


def _next_transfer(script: Script) -> None:
    _first_transfer(script)
    script.call("Coin", "transfer", text(BOB), 7)


def _transfer_from(script: Script) -> None:
    _first_transfer(script)
    script.call("Coin", "approve", text(BOB), 10**20)
    script.call("Coin", "transferFrom", text(ALICE), text(BOB), 9, sender=BOB)


def _swap(script: Script) -> None:
    one, two = script.deploy("Coin"), script.deploy("Coin")
    pool = script.deploy("Pool", one, two)
    for coin in (one, two):
        script.call("Coin", "approve", pool, 2**255, at=coin)
    script.call("Pool", "fill", 10**21, 3 * 10**21)
    script.call("Pool", "swap", 10**18, 0)


def _loop(script: Script) -> None:
    script.deploy("Loops")
    script.call("Loops", "count", 2000)


def _sort(script: Script) -> None:
    script.deploy("Loops")
    script.call("Loops", "sort", 60, 5)


def _mint(script: Script) -> None:
    script.deploy("Pictures")
    script.call("Pictures", "mint", text(BOB), 1)


def _create(script: Script) -> None:
    script.deploy("Maker")
    script.call("Maker", "make", 1)


WORKLOADS: Final[Mapping[str, Callable[[Script], None]]] = MappingProxyType({
    "deploy an ERC-20 (5 KB)": _deploy,
    "first ERC-20 transfer to an account": _first_transfer,
    "another one": _next_transfer,
    "ERC-20 transferFrom": _transfer_from,
    "swap in a pool of two ERC-20": _swap,
    "a loop of 2,000 rounds, checked arithmetic": _loop,
    "sort 60 hashes in memory": _sort,
    "mint an ERC-721, enumerable": _mint,
    "a contract creates a contract": _create,
})  # fmt: skip
"""Scripts by name; the last message of each is the measured one."""


def cost(artifacts: Artifacts, name: str) -> Cost:
    """Run a workload on both machines. Raise ValueError if they differ in anything but gas."""
    script = Script(artifacts)
    WORKLOADS[name](script)
    compared = twins(NONE).compare(script.case(name))
    if compared.difference or compared.official[-1].exit_code:
        raise ValueError(f"{name}: {compared.difference or compared.official[-1]}")
    return Cost(name, compared.ours[-1].gas, compared.official[-1].gas)


def table(artifacts: Artifacts) -> Iterator[str]:
    """Return the lines of a Markdown table."""
    yield "| transaction | EVM runtime | official actor | ratio |"
    yield "|---|---:|---:|---:|"
    for name in WORKLOADS:
        found = cost(artifacts, name)
        yield f"| {name} | {found.ours:,} | {found.official:,} | {found.ratio:.3f} |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table(Artifacts(Path(sys.argv[1]))))
