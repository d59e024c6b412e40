"""solc's storage layouts of a project's contracts, for `vm.getStorageSlots` and state diffs.

They are compiled without code, like syntax trees, and only if a source uses the cheatcodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fvm_hypervisor.soltest.compile.compiler import Solc
from fvm_hypervisor.soltest.compile.compiling import compile_json, standard_json
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.project.sources import Sources

Layouts = Mapping[tuple[str, str], Mapping[str, Any]]
"""`storageLayout` of the compiler's output, by source and contract."""
_SLOTS: Final = ".getStorageSlots"
_DIFFS: Final = ".getStateDiff"


def uses_layouts(project: Project, sources: Sources) -> bool:
    """Return True if a source uses a cheatcode that needs layouts; as in forge, state diffs use them on request."""
    names = (_SLOTS, _DIFFS) if "storageLayout" in project.extra_output else (_SLOTS,)
    return any(name in text for text in sources.texts.values() for name in names)


def storage_layouts(project: Project, sources: Sources, solc: Solc) -> Layouts:
    """Return the layouts of all contracts. Raises CompileError with the compiler's messages."""
    compiler_input = standard_json(project, sources, solc.version)
    compiler_input["settings"]["outputSelection"] = {"*": {"*": ["storageLayout"]}}
    return {
        (file, name): found["storageLayout"]
        for file, contracts in compile_json(solc, compiler_input).get("contracts", {}).items()
        for name, found in contracts.items()
        if "storageLayout" in found
    }
