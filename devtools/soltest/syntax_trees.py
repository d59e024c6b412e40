"""solc's syntax trees of a project's sources: what coverage finds statements and branches in.

They are asked of the compiler that made the code, of the same sources, without code: it answers in a fraction of the
time. Tests, scripts and libraries have none. The newest trees of a project are kept in the user's folder, where no
checkout's files are taken for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from devtools.soltest.compiler import Solc
from devtools.soltest.compiling import compile_json, standard_json
from devtools.soltest.project import Project
from devtools.soltest.project_files import write_inside
from devtools.soltest.sources import Sources
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded, user_folder

Trees = dict[str, Mapping[str, Any]]
"""By source."""
_LARGEST: Final = 256 << 20
"""Bytes of trees that are kept: those of solady are 30 MB."""


def syntax_trees(project: Project, sources: Sources, solc: Solc) -> Trees:
    """The trees of the project's own sources by path. Raises CompileError with the compiler's words."""
    wanted = [name for name in sources.own if not name.endswith((".t.sol", ".s.sol"))]
    asked = standard_json(project, sources, solc.version, wanted)
    asked["settings"]["outputSelection"] = {name: {"": ["ast"]} for name in wanted}
    file, key = _file_of(project), sha256(orjson.dumps([solc.version, asked], option=orjson.OPT_SORT_KEYS)).hexdigest()
    kept = None if file is None else _kept(file, key)
    if kept is not None:
        return kept
    found = compile_json(solc, asked).get("sources", {})
    trees = {name: found[name]["ast"] for name in sorted(wanted) if name in found}
    if file is not None:
        _keep(file, key, trees)
    return trees


def _file_of(project: Project) -> Path | None:
    """Where a project's trees are kept; None for a user without a home."""
    try:
        folder = user_folder("cache") / "syntax-trees"
    except RuntimeError:
        return None
    return folder / f"{sha256(str(project.root.resolve()).encode()).hexdigest()[:32]}.json"


def _kept(file: Path, key: str) -> Trees | None:
    """The trees of just these sources; None where others are kept, or none."""
    try:
        content = orjson.loads(read_bounded(file, _LARGEST, "the syntax trees"))
        trees: Trees = content["trees"]
        return trees if content["key"] == key else None
    except (InvalidInput, ValueError, KeyError, TypeError):
        return None


def _keep(file: Path, key: str, trees: Trees) -> None:
    content = orjson.dumps({"key": key, "trees": trees})
    if len(content) <= _LARGEST:
        with suppress(OSError, InvalidInput):  # without them the next run asks again
            write_inside(file.parent.parent, file, content)
