"""A defect for the comparison to find: every comparison by GT in the test contracts is one by LT."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

NAME: Final = "gt-is-lt"
_GT, _LT, _PUSH1, _PUSH32 = 0x11, 0x10, 0x60, 0x7F


def planted(folder: Path, where: Path) -> Path:
    """A copy of a suite that forge has compiled, with the defect in its compiled test contracts."""
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(folder, where, ignore=shutil.ignore_patterns("hypervisor"))  # what is compiled here, not by forge
    for path in (where / "out").glob("*.sol/*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        targets = content.get("metadata", {}).get("settings", {}).get("compilationTarget", {})
        if not any("test" in PurePosixPath(file).parts for file in targets):
            continue
        for key in ("bytecode", "deployedBytecode"):
            content[key] = {**content[key], "object": _spoilt(content[key])}
        path.write_text(json.dumps(content), encoding="utf-8")
    return where


def _spoilt(found: Mapping[str, Any]) -> str:
    text = str(found.get("object", "0x"))
    if "__" in text:
        return text
    code = bytearray.fromhex(text.removeprefix("0x"))
    at = 0
    while at < len(code):
        if code[at] == _GT:
            code[at] = _LT
        at += 1 + (code[at] - _PUSH1 + 1 if _PUSH1 <= code[at] <= _PUSH32 else 0)
    return f"0x{code.hex()}"
