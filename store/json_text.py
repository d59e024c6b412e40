"""JSON of strangers as Python values: files, fixtures, artifacts.

Python's own parser recurses natively, as far as the process's recursion limit lets it, which other libraries raise
beyond what a thread's stack bears. `orjson`, which refuses more than a thousand levels, reads the text first; it alone
would not do, because it makes floats of integers beyond 64 bits. The node's requests, which have none, it reads alone.
"""

import json
import re
from typing import Any, Final

import orjson

_PARTS: Final = re.compile(r'[][{}]|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""Brackets, and texts, in which they are none."""
_STEPS: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse_json(text: str | bytes, **hooks: Any) -> Any:
    """The value of UTF-8 JSON, of a thousand levels at most; `hooks` are those of `json.loads`. Raises ValueError."""
    orjson.loads(text)
    try:
        return json.loads(text, **hooks)
    except RecursionError:  # a thousand levels can be more than the limit leaves room for
        raise ValueError("it is nested too deeply") from None


def check_depth(text: str, levels: int) -> None:
    """Raise ValueError for more levels: before Python's parser reads numbers and words that `orjson` refuses."""
    depth = 0
    for part in _PARTS.finditer(text):
        depth += _STEPS.get(part[0], 0)
        if depth > levels:
            raise ValueError(f"it is nested too deeply, more than {levels} levels")
