"""Compiler settings for coverage, equal to those of `forge coverage`.

The optimizer merges instructions, so that some executed statements have no instruction left. Coverage therefore turns
off the optimizer and the IR pipeline. With `ir_minimum`, for sources that then fail with "stack too deep", it compiles
through the IR with the least optimization that avoids the error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from fvm_hypervisor.soltest.compile.releases import VERSION
from fvm_hypervisor.soltest.project.project import CompilerSettings

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
    """Return a project's compiler settings, changed for coverage."""
    if not ir_minimum:
        return replace(compiler, optimizer=False, runs=200, via_ir=False, optimizer_details=None)
    named = VERSION.fullmatch(compiler.version or "")
    knows_inliner = named is not None and tuple(map(int, named.group().split("."))) >= _INLINER_SINCE
    details = {key: value for key, value in _LEAST.items() if key != "inliner" or knows_inliner}
    return replace(compiler, via_ir=True, optimizer_details=details)
