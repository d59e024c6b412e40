"""Traceback filter for failing user tests: the lines of the test and the reason, without frames of this package.

pytest hides frames of modules with `__tracebackhide__`, unless `--full-trace` is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = frozenset({"bridge", "fvm_hypervisor", "hypervisor", "localnet", "runtimes", "store"})


def hide_frames(error: BaseException, root: Path) -> None:
    """Hide this project's frames from pytest tracebacks, unless `root`, pytest's root folder, is this project's."""
    if root == _HERE:
        return
    todo, seen = [error], set[int]()
    while todo:
        each = todo.pop()
        seen.add(id(each))
        todo += [other for other in (each.__cause__, each.__context__) if other is not None and id(other) not in seen]
        traceback = each.__traceback__
        while traceback is not None:
            module = traceback.tb_frame.f_globals
            package = str(module.get("__name__", "")).partition(".")[0]
            if package in _PACKAGES and _HERE in Path(str(module.get("__file__", ""))).parents:
                module["__tracebackhide__"] = True
            traceback = traceback.tb_next
