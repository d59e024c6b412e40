"""solc's syntax trees of a project's sources, which coverage reads statements and branches from.

They are compiled by the same compiler from the same sources, but without code, which takes a fraction of the time.
Libraries have none. The latest trees of a project are cached in the user's folder, out of a checkout's reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, Final

import orjson

from fvm_hypervisor.soltest.compile.compiler import Solc
from fvm_hypervisor.soltest.compile.compiling import compile_json, standard_json
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.project.sources import Sources
from fvm_hypervisor.soltest.project_files import write_inside
from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded, user_folder

Node = Mapping[str, Any]
"""A node of a syntax tree, as solc prints it."""
Trees = dict[str, Node]
"""Syntax trees by source."""
_MAX_SIZE: Final = 256 << 20
"""Maximum size of cached trees in bytes."""
_MAX_AGE: Final = 30 * 86400
"""Lifetime of cached trees in seconds."""


def span_of(node: Node) -> tuple[int, int]:
    """Return the offsets in bytes of a node's start and end."""
    start, length, *_ = map(int, str(node["src"]).split(":"))
    return start, start + length


def type_of_node(node: Node) -> str:
    """Return solc's identifier of a node's type, such as `t_uint256`; empty for a node without one."""
    return str((node.get("typeDescriptions") or {}).get("typeIdentifier", ""))


def syntax_trees(project: Project, sources: Sources, names: Iterable[str], solc: Solc) -> Trees:
    """Return the trees of the named sources by path. Raises CompileError with the compiler's messages."""
    wanted = sorted(names)
    if not wanted:
        return {}  # the compiler rejects an empty list of sources
    compiler_input = standard_json(project, sources, solc.version, wanted)
    compiler_input["settings"]["outputSelection"] = {name: {"": ["ast"]} for name in wanted}
    identity = orjson.dumps([str(solc.path), solc.version, compiler_input], option=orjson.OPT_SORT_KEYS)
    file, key = _file_of(project), sha256(identity).hexdigest()
    cached = None if file is None else _read_cached(file, key)
    if cached is not None:
        return cached
    found = compile_json(solc, compiler_input).get("sources", {})
    trees = {name: found[name]["ast"] for name in wanted if name in found}
    if file is not None:
        _store(file, key, trees)
    return trees


def _file_of(project: Project) -> Path | None:
    """Return the cache file of a project; None for a user without a home."""
    try:
        folder = user_folder("cache") / "syntax-trees"
    except RuntimeError:
        return None
    return folder / f"{sha256(str(project.root.resolve()).encode()).hexdigest()[:32]}.json"


def _read_cached(file: Path, key: str) -> Trees | None:
    """Return the cached trees of exactly these sources, or None."""
    try:
        content = orjson.loads(read_bounded(file, _MAX_SIZE, "the syntax trees"))
        trees: Trees = {str(name): dict(tree) for name, tree in content["trees"].items()}
        return trees if content["key"] == key else None
    except (InvalidInput, ValueError, KeyError, TypeError, AttributeError):
        return None


def _store(file: Path, key: str, trees: Trees) -> None:
    """Cache the trees, and delete those of projects that have not changed for long. Errors are ignored."""
    with suppress(OSError, InvalidInput, orjson.JSONEncodeError):  # orjson has a limit of nesting
        content = orjson.dumps({"key": key, "trees": trees})
        if len(content) > _MAX_SIZE:
            return
        write_inside(file.parent.parent, file, content)
        for other in file.parent.iterdir():
            if other.stat().st_mtime < time() - _MAX_AGE:
                other.unlink(missing_ok=True)
