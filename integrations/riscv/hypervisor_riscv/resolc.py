"""resolc, Parity's compiler from Solidity to RISC-V, as a compiler of Foundry projects (`hypervisor.compilers`)."""

from pathlib import Path
from typing import Final

from hypervisor_tools.soltest.compile.compiler import Solc

RESOLC: Final = Solc("0.8.30", Path(__file__).with_name("resolc.mjs"), is_javascript=False, variables=("RESOLC_HOME",))
"""npm's package `@parity/resolc` 0.3.0, which compiles Solidity up to 0.8.30; found in the project's node_modules."""
