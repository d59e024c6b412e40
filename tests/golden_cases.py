"""Recorded results of go-ethereum, in tests/golden/ethereum."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "golden" / "ethereum"


@cache
def ethereum_cases(file: str) -> dict[str, Any]:
    """Return the cases of a file by name. Tests must not change them."""
    cases: dict[str, Any] = json.loads(gzip.decompress((_FOLDER / f"{file}.json.gz").read_bytes()))
    return cases
