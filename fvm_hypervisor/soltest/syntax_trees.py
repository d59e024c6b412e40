"""solc's syntax trees of a project's sources: what coverage finds statements and branches in.

They are asked of the compiler that made the code, of the same sources, without code: it answers in a fraction of the
time. Libraries have none. The newest trees of a project are kept in the user's folder, where no
checkout's files are taken for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, Final

import orjson

from fvm_hypervisor.soltest.compiler import Solc
from fvm_hypervisor.soltest.compiling import compile_json, standard_json
from fvm_hypervisor.soltest.project import Project
from fvm_hypervisor.soltest.project_files import write_inside
from fvm_hypervisor.soltest.sources import Sources
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded, user_folder

Trees = dict[str, Mapping[str, Any]]
"""By source."""
_LARGEST: Final = 256 << 20
"""Bytes of trees that are kept."""
_LONGEST: Final = 30 * 86400
"""Seconds for which they are."""


def syntax_trees(project: Project, sources: Sources, names: Iterable[str], solc: Solc) -> Trees:
    """Return the trees of the named sources by path. Raises CompileError with the compiler's words."""
    wanted = sorted(names)
    if not wanted:
        return {}  # no compiler takes no sources
    asked = standard_json(project, sources, solc.version, wanted)
    asked["settings"]["outputSelection"] = {name: {"": ["ast"]} for name in wanted}
    question = orjson.dumps([str(solc.path), solc.version, asked], option=orjson.OPT_SORT_KEYS)
    file, key = _file_of(project), sha256(question).hexdigest()
    kept = None if file is None else _kept(file, key)
    if kept is not None:
        return kept
    found = compile_json(solc, asked).get("sources", {})
    trees = {name: found[name]["ast"] for name in wanted if name in found}
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
        trees: Trees = {str(name): dict(tree) for name, tree in content["trees"].items()}
        return trees if content["key"] == key else None
    except (InvalidInput, ValueError, KeyError, TypeError, AttributeError):
        return None


def _keep(file: Path, key: str, trees: Trees) -> None:
    """Keep the trees, and drop those of projects that have not changed for long; without them a run asks again."""
    with suppress(OSError, InvalidInput, orjson.JSONEncodeError):  # the last one: deeper than JSON is written here
        content = orjson.dumps({"key": key, "trees": trees})
        if len(content) > _LARGEST:
            return
        write_inside(file.parent.parent, file, content)
        for other in file.parent.iterdir():
            if other.stat().st_mtime < time() - _LONGEST:
                other.unlink(missing_ok=True)
