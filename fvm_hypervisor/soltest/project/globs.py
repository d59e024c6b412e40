"""Globs of paths, as forge reads them.

Source: foundry, crates/config/src/filter.rs, with the syntax of the crate globset.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from hypervisor.errors import InvalidInput

_MAX_GLOB: Final = 1_000
_TOKEN: Final = re.compile(
    r"""\\.|(?P<set>\[[!^]?\]?[^\]]*\])|(?P<above>(?:^|(?<=[{,]))\*\*/)|(?P<between>/\*\*/)|(?P<below>/\*\*(?=$|[,}]))
    |(?P<any>\*+)|(?P<one>\?)|(?P<open>{)|(?P<close>})|(?P<or>,)|.""",
    re.DOTALL | re.VERBOSE,
)
_EXPRESSIONS: Final = {
    "above": "(?:.*/)?", "between": "/(?:.*/)?", "below": "/.*", "any": ".*", "one": ".", "open": "(?:", "close": ")",
    "or": "|",
}  # fmt: skip


def fits(path: str, glob: str) -> bool:
    """Return True if a path in the project matches a glob, or its file name contains it. Raises InvalidInput."""
    return _pattern(glob.removeprefix("./")).match(path) is not None or glob in path.rpartition("/")[2]


@lru_cache
def _pattern(glob: str) -> re.Pattern[str]:
    """Return the expression of a glob: `*`, `?`, `**/`, `[a-z]`, `[!a]`, `{a,b}` and escapes."""
    if len(glob) > _MAX_GLOB:
        raise InvalidInput(f"a glob has {len(glob)} characters, at most {_MAX_GLOB} are allowed")
    parts, depth = list[str](), 0
    for token in _TOKEN.finditer(glob):
        kind, text = token.lastgroup or "", token[0]
        depth += {"open": 1, "close": -1}.get(kind, 0)
        if depth < 0:
            break
        if text == "[":
            raise InvalidInput(f"the glob '{glob}' has a '[' without ']': write [[] for the character itself")
        if kind == "set":
            negates = text[1] in "!^"
            body = re.sub(r"([\\\[\]^&|~])", r"\\\1", text[1 + negates : -1])
            parts.append(f"[{'^' * negates}{body}]")
        elif kind == "or" and not depth:
            parts.append(",")
        else:
            parts.append(_EXPRESSIONS.get(kind) or re.escape(text[-1]))
    if depth:
        raise InvalidInput(f"the braces of the glob '{glob}' are not in pairs: expected for example '*.{{t,s}}.sol'")
    try:
        return re.compile(f"(?s:{''.join(parts)})\\Z")
    except re.error as error:
        raise InvalidInput(f"the glob '{glob}' is not valid: {error}") from None
