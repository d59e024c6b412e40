"""Forge's results with `isolate = true` (see `tests.hypervisor_tools.soltest.golden`).

The folder holds `forge.json` (`forge test --json -vv`), `gas.json` (`forge test --json --gas-report --nmt testFuzz`)
and forge's `out`.
"""

import sys
from pathlib import Path
from typing import Any, Final

from tests.hypervisor_tools.soltest.golden import artifacts, configuration, of_forge, printed_json, store, stored

HERE: Final = Path(__file__).parent
FILE: Final = HERE / "golden.json.xz"
CONFIGURATION: Final = configuration("""isolate = true

[fuzz]
seed = "0x1"
""")


def gas_of_forge(report: list[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """Return minimum, mean, median and maximum gas and the number of calls, by contract and function."""
    return {
        row["contract"]: {
            function: [found["min"], found["mean"], found["median"], found["max"], found["calls"]]
            for function, found in sorted(row["functions"].items())
        }
        for row in report
    }


GOLDEN: Final = stored(FILE)
"""`artifacts` by source and contract; `forge` by suite and test; `gas` by contract and function."""

if __name__ == "__main__":
    made = Path(sys.argv[1])
    found = artifacts(made, ["Isolated.t.sol"], keeps=("linkReferences",))
    forges, gas = of_forge(printed_json(made, "forge")), gas_of_forge(printed_json(made, "gas"))
    store(FILE, {"artifacts": found, "forge": forges, "gas": gas})
