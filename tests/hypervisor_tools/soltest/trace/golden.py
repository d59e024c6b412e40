"""Forge's JSON with instructions (see `tests.hypervisor_tools.soltest.golden`).

The folder holds `forge.json` (`forge test --json -vvvvv`) and forge's `out`.
"""

import sys
from pathlib import Path
from typing import Any, Final

from tests.hypervisor_tools.soltest.golden import artifacts, configuration, printed_json, store, stored

HERE: Final = Path(__file__).parent
FILE: Final = HERE / "golden.json.xz"
SOURCE: Final = "test/Traced.t.sol"
CONFIGURATION: Final = configuration(
    """
[invariant]
runs = 2
depth = 3
""",
    "osaka",
)


def of_forge(suites: dict[str, Any]) -> dict[str, Any]:
    """Return the traces, logs and figures of a JSON report of forge or this project, by suite and test."""
    fields = ("status", "reason", "logs", "decoded_logs", "kind", "traces")
    return {
        suite.split(":")[1]: {
            name: {field: test[field] for field in fields} for name, test in found["test_results"].items()
        }
        for suite, found in suites.items()
    }


GOLDEN: Final = stored(FILE)
"""`artifacts` by source and contract; `forge` by suite and test."""

if __name__ == "__main__":
    made = Path(sys.argv[1])
    store(FILE, {"artifacts": artifacts(made, ["Traced.t.sol"]), "forge": of_forge(printed_json(made, "forge"))})
