"""Counts of the equality tests: steps by actor, official bundle and kind, exit codes, gas.

    python -m tests.hypervisor.builtin_actors.ledger FILE     print and check a run's counts (`make equality`)

A step is one message executed on both sides; it counts as differing if any effect differs. The check covers the
properties of a whole run: there were enough steps, and every documented exit code was reached.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bridge.actors.schemas import actor_method
from tests.hypervisor.builtin_actors.documented import EXITS

KINDS: Final = ("script", "caller", "params", "damaged", "random")
"""Kinds of steps: a script's message; a method's example by each caller, or with each bad form of its parameters; a
randomly damaged form of a script's message; a message of a random sequence.
"""

STEPS: Final = KINDS[:3]
"""Kinds of steps that are deterministic, the same in each run."""

FEWEST: Final = 1500
"""Minimum number of script messages on each official bundle."""


@dataclass
class Ledger:
    """Counts over a whole run."""

    compared: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Number of steps by official bundle, actor and kind."""
    differing: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of differing steps by official bundle and actor."""
    exits: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """Number of steps by actor, method name and exit code."""
    gas: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    """Number of successful runs, gas of the official actor and of ours, by actor and method."""

    def step(self, bundle: str, actor: str, kind: str, equal: bool) -> None:
        self.compared[bundle, actor, kind] += 1
        self.differing[bundle, actor] += not equal

    def ended(self, actor: str, method: int, exit_code: int) -> None:
        named = actor_method(actor, method)
        self.exits[actor, named.name if named else "", exit_code] += 1

    def paid(self, actor: str, method: int, official: int, own: int) -> None:
        total = self.gas.setdefault((actor, method), [0, 0, 0])
        for place, amount in enumerate((1, official, own)):
            total[place] += amount

    def of_kinds(self, *kinds: str) -> int:
        return sum(count for (_, _, kind), count in self.compared.items() if kind in kinds)

    # --- what a run came to -----------------------------------------------------------------------------------

    def steps(self) -> str:
        """Return a line for each bundle and actor with steps by kind and differences, then the totals."""
        lines = [f"{'official bundle':24}{'actor':18}" + "".join(f"{kind:>9}" for kind in KINDS) + f"{'differing':>11}"]
        for bundle, actor in sorted({(bundle, actor) for bundle, actor, _ in self.compared}):
            counts = [self.compared[bundle, actor, kind] for kind in KINDS]
            lines.append(_line(bundle, actor, counts, self.differing[bundle, actor]))
        lines.append(_line("all", "", [self.of_kinds(kind) for kind in KINDS], self.differing.total()))
        sums = f"{self.of_kinds(*KINDS)} messages compared, {self.of_kinds(*STEPS)} of them steps of scenarios"
        return "\n".join([*lines, sums]) + "\n"

    def costs(self) -> str:
        """Return a line for each method with runs, official gas, our gas, and the ratio."""
        lines = [f"{'actor':18}{'method':>10}{'runs':>8}{'official gas':>14}{'own gas':>14}"]
        for (actor, method), (runs, official, own) in sorted(self.gas.items()):
            means = f"{official // runs:14}{own // runs:14}"
            lines.append(f"{actor:18}{method:10}{runs:8}{means} {own / official:.3f}")
        return "\n".join(lines) + "\n"

    def problems(self) -> Iterator[str]:
        """Return the reasons for which a whole run is incomplete, as sentences."""
        for bundle in sorted({bundle for bundle, _, _ in self.compared}):
            scripted = sum(count for (at, _, kind), count in self.compared.items() if (at, kind) == (bundle, "script"))
            if scripted < FEWEST:
                yield f"only {scripted} messages of scripts on {bundle}, at least {FEWEST} are wanted"
        scripted_actors = {actor for (_, actor, kind), count in self.compared.items() if kind == "script" and count}
        for actor in sorted({actor for actor, _ in EXITS} - scripted_actors):
            yield f"no script has a message to {actor}"
        if self.differing.total():
            yield f"{self.differing.total()} messages were answered otherwise"
        for (actor, method), codes in EXITS.items():
            for code in sorted(codes):
                if not self.exits[actor, method, code]:
                    yield f"{actor}.{method} never ended with exit code {code}"

    # --- on disk ----------------------------------------------------------------------------------------------

    def as_json(self) -> str:
        tables = (self.compared, self.differing, self.exits, self.gas)
        return json.dumps([[[*key, value] for key, value in table.items()] for table in tables])

    @classmethod
    def from_json(cls, text: str) -> "Ledger":
        tables: list[dict[Any, Any]] = [{tuple(key): value for *key, value in rows} for rows in json.loads(text)]
        compared, differing, exits, gas = tables
        return cls(Counter(compared), Counter(differing), Counter(exits), gas)


def _line(bundle: str, actor: str, counts: list[int], differing: int) -> str:
    return f"{bundle:24}{actor:18}" + "".join(f"{count:9}" for count in counts) + f"{differing:11}"


LEDGER: Final = Ledger()


def main() -> int:
    """Return the exit code of the second half of `make equality`."""
    ledger = Ledger.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(ledger.costs(), ledger.steps(), sep="\n", end="")
    problems = list(ledger.problems())
    for problem in problems:
        print(f"FOUND: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
