"""solc's syntax trees of a project's sources: what coverage finds statements and branches in.

They are asked of the compiler that made the code, of the same sources, without code: it answers in a fraction of the
time. Tests, scripts and libraries have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtools.soltest.compiler import Solc
from devtools.soltest.compiling import compile_json, standard_json
from devtools.soltest.project import Project
from devtools.soltest.sources import Sources


def syntax_trees(project: Project, sources: Sources, solc: Solc) -> dict[str, Mapping[str, Any]]:
    """The trees of the project's own sources by path. Raises CompileError with the compiler's words."""
    wanted = [name for name in sources.own if not name.endswith((".t.sol", ".s.sol"))]
    asked = standard_json(project, sources, solc.version)
    asked["settings"]["outputSelection"] = {name: {"": ["ast"]} for name in wanted}
    found = compile_json(solc, asked).get("sources", {})
    return {name: found[name]["ast"] for name in sorted(wanted) if name in found}
