"""Safe parsing of untrusted JSON: files, fixtures and artifacts.

Python's parser recurses up to the recursion limit, which other libraries may raise beyond what the thread's stack can
hold. `orjson`, which rejects more than a thousand levels, therefore parses the text first. Its result is not used,
because it converts integers of more than 64 bits to floats. JSON-RPC requests contain no such integers, so `orjson`
alone parses them.
"""

import json
import re
from typing import Any, Final

import orjson

_PARTS: Final = re.compile(r'[][{}]|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""Matches brackets and whole strings; brackets inside a string are not counted."""
_DEPTH_CHANGE: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse_json(text: str | bytes, **hooks: Any) -> Any:
    """Parse UTF-8 JSON of at most a thousand levels; `hooks` are passed to `json.loads`. Raises ValueError."""
    orjson.loads(text)
    try:
        return json.loads(text, **hooks)
    except RecursionError:  # the remaining recursion limit may be less than a thousand levels
        raise ValueError("the JSON is nested too deeply") from None


def check_depth(text: str, levels: int) -> None:
    """Raise ValueError if `text` is nested deeper than `levels`.

    Use it before `json.loads` where `parse_json` does not fit: for a smaller limit, or for numbers such as 1e999 that
    `orjson` rejects.
    """
    depth = 0
    for part in _PARTS.finditer(text):
        depth += _DEPTH_CHANGE.get(part[0], 0)
        if depth > levels:
            raise ValueError(f"the JSON is nested too deeply (more than {levels} levels)")
