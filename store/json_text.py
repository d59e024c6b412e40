"""JSON of strangers as Python values: files, fixtures, artifacts.

Python's own parser recurses natively, as far as the process's recursion limit lets it, which other libraries raise
beyond what a thread's stack bears. `orjson`, which refuses more than a thousand levels, reads the text first; it alone
would not do, because it makes floats of integers beyond 64 bits. The node's requests, which have none, it reads alone.
"""

import json
from typing import Any

import orjson


def parse_json(text: str | bytes, **hooks: Any) -> Any:
    """The value of UTF-8 JSON, of a thousand levels at most; `hooks` are those of `json.loads`. Raises ValueError."""
    orjson.loads(text)
    try:
        return json.loads(text, **hooks)
    except RecursionError:  # a thousand levels can be more than the limit leaves room for
        raise ValueError("it is nested too deeply") from None
