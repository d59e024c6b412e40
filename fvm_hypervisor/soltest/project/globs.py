"""Globs of paths, as forge reads them.

Source: foundry, crates/config/src/filter.rs, with the syntax of the crate globset.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import Final

from hypervisor.errors import InvalidInput

_MAX_GLOB: Final = 1_000


def fits(path: str, glob: str) -> bool:
    """Return True if a path in the project matches a glob, or its file name contains it. Raises InvalidInput."""
    return _pattern(glob.removeprefix("./")).match(path) is not None or glob in path.rpartition("/")[2]


@lru_cache
def _pattern(glob: str) -> re.Pattern[str]:
    """Return the expression of a glob, `{a,b}` for alternatives included."""
    if len(glob) > _MAX_GLOB:
        raise InvalidInput(f"a glob has {len(glob)} characters, at most {_MAX_GLOB} are allowed")
    parts, depth = list[str](), 0
    for part in re.split(r"([{},])", glob):
        if part == "{":
            depth += 1
            parts.append("(?:")
        elif part == "}" and depth:
            depth -= 1
            parts.append(")")
        elif part == "," and depth:
            parts.append("|")
        elif part == "}":
            depth = -1
            break
        else:
            parts.append(translate(part)[:-2])
    if depth:
        raise InvalidInput(f"the braces of the glob '{glob}' are not in pairs: expected for example '*.{{t,s}}.sol'")
    if re.search(r"\[[^\]]*\Z", glob):
        raise InvalidInput(f"the glob '{glob}' has a '[' without ']': write [[] for the character itself")
    return re.compile(f"{''.join(parts)}\\Z")
