"""Forge's cheatcodes, and Filecoin's, for tests written in Solidity.

`Cheatcodes` intercepts a machine's calls (`install`); the settings made by a test are its `state`.

Read `table`, `hooks/interceptor` and `pranks` first.
"""

from hypervisor_tools.soltest.cheatcodes.console import LogConsole
from hypervisor_tools.soltest.cheatcodes.context import Permission, Settings
from hypervisor_tools.soltest.cheatcodes.failures import MAGIC_ASSUME, MAGIC_SKIP, revert_text
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes, CheatcodeSnapshot
from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, DEFAULT_SENDER, VM_ADDRESS

__all__ = [
    "CONSOLE_ADDRESS",
    "DEFAULT_SENDER",
    "MAGIC_ASSUME",
    "MAGIC_SKIP",
    "VM_ADDRESS",
    "CheatcodeSnapshot",
    "Cheatcodes",
    "LogConsole",
    "Permission",
    "Settings",
    "revert_text",
]
