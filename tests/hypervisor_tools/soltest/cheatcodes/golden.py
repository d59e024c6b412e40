"""Forge's results for cheatcodes (see `tests.hypervisor_tools.soltest.golden`).

The folder holds `forge0.json` and `forge1.json` (`forge test --json -vvv`, with the options of `RUNS`) and
forge's `out`.
"""

import sys
from pathlib import Path
from typing import Final

from tests.hypervisor_tools.soltest.golden import artifacts, of_forge, printed_json, store, stored

HERE: Final = Path(__file__).parent
FILE: Final = HERE / "golden.json.xz"
SOURCES: Final = (
    "Pranks", "Env", "Expect", "Texts", "Mappings", "Delegations", "Typed", "Fails", "Filecoin", "Hostile",
    "Rollbacks", "Numbers", "Scripts", "Logs", "Metering", "Instructions", "Targets",
    "Payments", "Creations", "Exchanges",
)  # fmt: skip

RUNS: Final = (
    ("--nmc", "FilecoinTest|HostileTest|SlotsTest"),
    ("--mc", "SlotsTest", "--extra-output", "storageLayout"),  # forge needs layouts to name variables in state diffs
)
"""Options of forge's runs."""

GOLDEN: Final = stored(FILE)
"""`artifacts` by source and contract, `forge` by suite and test."""

if __name__ == "__main__":
    made = Path(sys.argv[1])
    runs = [of_forge(printed_json(made, f"forge{number}")) for number in range(len(RUNS))]
    found = artifacts(made, [f"{source}.t.sol" for source in SOURCES])
    found |= artifacts(made, ["Slots.t.sol"], keeps=("storageLayout",))
    store(FILE, {"artifacts": found, "forge": dict(sorted({**runs[0], **runs[1]}.items()))})
