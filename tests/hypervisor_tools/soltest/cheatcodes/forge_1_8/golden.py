"""Compiled contracts of this folder, whose tests state their expected values: no released forge runs them yet.

hypervisor test --force     in a project with `contracts/` as its `test/`, Solidity 0.8.37, optimized, for Prague
python -m tests.hypervisor_tools.soltest.cheatcodes.forge_1_8.golden FOLDER     make the file from that project
"""

import sys
from pathlib import Path
from typing import Final

from tests.hypervisor_tools.soltest.golden import artifacts, store, stored

FILE: Final = Path(__file__).parent / "artifacts.json.xz"
SOURCES: Final = sorted(file.name for file in (Path(__file__).parent / "contracts").glob("*.t.sol"))

ARTIFACTS: Final = stored(FILE)
"""Compiled contracts by source and contract."""

if __name__ == "__main__":
    store(FILE, artifacts(Path(sys.argv[1]), SOURCES))
