"""The gas report: for each contract that tests call, and each native actor, gas by function.

Gas is the rules' own (Ethereum's, or Filecoin's with `--rules filecoin`), of the call itself with all under it. forge
runs each call as a transaction of its own for this report (`--isolate` here) and adds what that costs: 21,000 and more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from fvm_hypervisor.soltest.collected import GasUse, SuiteCoverage
from fvm_hypervisor.soltest.text_table import table

_HEAD = ("Function Name", "Min", "Avg", "Median", "Max", "# Calls")


def figures(gas: Sequence[int]) -> tuple[int, int, int, int, int]:
    """Least, average, median, most and count, in whole gas, rounded down."""
    return min(gas), sum(gas) // len(gas), int(median(gas)), max(gas), len(gas)


def gas_lines(found: SuiteCoverage) -> Iterator[str]:
    """A table for each contract."""
    for (file, name), use in sorted(found.gas.items()):
        yield ""
        yield f"{file}:{name} Contract" if file else f"{name} (native actor)"
        if use.deployments:
            cost, size = use.deployments[-1]
            yield f"Deployment Cost {cost}, Deployment Size {size}"
        rows = [(function, *map(str, figures(gas))) for function, gas in sorted(use.functions.items())]
        if rows:
            yield from table(_HEAD, rows)


def gas_json(found: SuiteCoverage) -> dict[str, Any]:
    """The documented object: contracts by `file:name` (actors by `native:name`)."""
    return {f"{file or 'native'}:{name}": _json(use) for (file, name), use in sorted(found.gas.items())}


def _json(use: GasUse) -> dict[str, Any]:
    names = ("min", "mean", "median", "max", "calls")
    functions = {function: dict(zip(names, figures(gas), strict=True)) for function, gas in use.functions.items()}
    deployment = {"gas": use.deployments[-1][0], "size": use.deployments[-1][1]} if use.deployments else None
    return {"deployment": deployment, "functions": dict(sorted(functions.items()))}
