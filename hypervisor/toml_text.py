"""Parsing of TOML that may be hostile.

Python's parser stores every prefix of a dotted key and several objects per table, so its memory and time grow with the
square of a key's length. Size and nesting are limited before it runs.
"""

import re
import tomllib
from collections.abc import Callable
from typing import Any, Final

from hypervisor.errors import InvalidInput

MAX_BYTES: Final = 1 << 20
"""Maximum size of a document."""
MAX_LEVELS: Final = 80
"""Maximum number of parts of a key, and of nested arrays and inline tables, as in forge (the crate `toml`)."""

_PART: Final = r"""(?: [A-Za-z0-9_-]++ | "(?:[^"\\\n]++|\\.)*+" | '[^'\n]*+' )"""
_DOT: Final = r"[ \t]*+\.[ \t]*+"
_TOKEN: Final = re.compile(
    rf'''"""(?:[^"\\]++|\\.|"(?!""))*+(?:"{{3,5}}+)?  # strings and comments, also unclosed ones
    | \'\'\'(?:[^']++|'(?!\'\'))*+(?:'{{3,5}}+)?
    | \#[^\n]*+
    | {_PART}(?:{_DOT}{_PART}){{0,{MAX_LEVELS - 1}}}+(?P<key>{_DOT}{_PART})?
    | "(?:[^"\\\n]++|\\.)*+ | '[^'\n]*+
    | (?P<open>[\[{{]) | (?P<close>[\]}}])''',
    re.DOTALL | re.VERBOSE,
)


def parse_toml(text: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return the content of a TOML document.

    Raises ValueError for invalid TOML, and InvalidInput (a ValueError) for a document beyond the limits.
    """
    size, level = len(text.encode()), 0
    if size > MAX_BYTES:
        raise InvalidInput(f"the TOML has {size:,} bytes, at most {MAX_BYTES:,} are allowed: split it")
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        level += (kind == "open") - (kind == "close")
        if kind == "key" or level > MAX_LEVELS:
            excess = (
                f"a key of more than {MAX_LEVELS} parts" if kind == "key" else f"more than {MAX_LEVELS} nested values"
            )
            line = text.count("\n", 0, token.start()) + 1
            raise InvalidInput(f"the TOML has {excess} at line {line}: use at most {MAX_LEVELS}")
    return tomllib.loads(text, parse_float=parse_float)
