"""The compiler settings that coverage is measured with: those of `forge coverage`.

Where the optimizer merges instructions, statements that ran have none of their own. So it is off, and so is the way
through the IR. Sources that do not compile so ("stack too deep") are compiled through the IR with the least optimizer
that makes room on the stack.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from fvm_hypervisor.soltest.project import CompilerSettings
from fvm_hypervisor.soltest.solc_packages import VERSION

_LEAST: Final[dict[str, Any]] = {
    "peephole": False,
    "inliner": False,
    "jumpdestRemover": False,
    "orderLiterals": False,
    "deduplicate": False,
    "cse": False,
    "constantOptimizer": False,
    "yul": True,
    "yulDetails": {"stackAllocation": True, "optimizerSteps": "u"},
}
_INLINER_SINCE: Final = (0, 8, 5)


def coverage_settings(compiler: CompilerSettings, *, ir_minimum: bool) -> CompilerSettings:
    """Return a project's settings as coverage is measured with them."""
    if not ir_minimum:
        return replace(compiler, optimizer=False, runs=200, via_ir=False, optimizer_details=None)
    named = VERSION.fullmatch(compiler.version or "")
    knows_inliner = named is not None and tuple(map(int, named.group().split("."))) >= _INLINER_SINCE
    details = {key: value for key, value in _LEAST.items() if key != "inliner" or knows_inliner}
    return replace(compiler, via_ir=True, optimizer_details=details)
