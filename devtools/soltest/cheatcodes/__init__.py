"""Forge's cheatcodes, and Filecoin's own beside them, for tests written in Solidity.

`Cheatcodes` stands between a machine's calls (`install`); what a test has set is its `state`.
"""

from devtools.soltest.cheatcodes.console import LogConsole
from devtools.soltest.cheatcodes.context import Permission, Settings
from devtools.soltest.cheatcodes.failures import MAGIC_ASSUME, MAGIC_SKIP, said
from devtools.soltest.cheatcodes.interceptor import Cheatcodes, Kept
from devtools.soltest.cheatcodes.state import CONSOLE_ADDRESS, DEFAULT_SENDER, VM_ADDRESS

__all__ = [
    "CONSOLE_ADDRESS",
    "DEFAULT_SENDER",
    "MAGIC_ASSUME",
    "MAGIC_SKIP",
    "VM_ADDRESS",
    "Cheatcodes",
    "Kept",
    "LogConsole",
    "Permission",
    "Settings",
    "said",
]
