"""Forge's results on forks of anvil (see `tests.hypervisor_tools.soltest.golden`).

The folder holds `forge.json` and `url.json` (`forge test --json`, the second with --fork-url), `block.json` (a block of
anvil) and forge's `out`.
"""

import sys
from pathlib import Path
from typing import Final

from tests.hypervisor_tools.soltest.golden import artifacts, configuration, of_forge, printed_json, store, stored

HERE: Final = Path(__file__).parent
FILE: Final = HERE / "golden.json.xz"
SOURCES: Final = (
    "Counter.sol",
    *(f"{name}.t.sol" for name in ("Forks", "Url", "Own", "Codes", "Access", "Tipsets", "Exchanges")),
)
CONFIGURATION: Final = configuration("""
[rpc_endpoints]
first = "${FIRST_URL}"
second = "${SECOND_URL}"
missing = "${NOT_THERE_URL}"
""")

GOLDEN: Final = stored(FILE)
"""`artifacts` by source and contract; `forge` and `url` by suite and test; a `block` of anvil."""

if __name__ == "__main__":
    made = Path(sys.argv[1])
    forges = {name: of_forge(printed_json(made, name)) for name in ("forge", "url")}
    store(FILE, {"artifacts": artifacts(made, SOURCES), "block": printed_json(made, "block"), **forges})
