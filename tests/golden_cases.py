"""Golden vectors and recorded results of go-ethereum.

- Recorded results of go-ethereum, in tests/golden/ethereum.
- Golden vectors: their files and network versions.
"""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from hypervisor.versions.network_versions import NETWORK_VERSIONS

_FOLDER = Path(__file__).parent / "golden" / "ethereum"


@cache
def ethereum_cases(file: str) -> dict[str, Any]:
    """Return the cases of a file by name. Tests must not change them."""
    cases: dict[str, Any] = json.loads(gzip.decompress((_FOLDER / f"{file}.json.gz").read_bytes()))
    return cases


GOLDEN = Path(__file__).resolve().parent / "golden"
MESSAGE_FILES = tuple(sorted(GOLDEN.glob("*.jsonl.gz")))
"""Files of golden vectors of class message; `tipset_corpus` handles those of class tipset."""
_ABI = "v4"
VERSIONS = tuple(number for number, row in NETWORK_VERSIONS.items() if row.rules.abi == _ABI)

BUILT_IN_ACTORS_RUN = ("evm/", "official/", "fees/swept/", "fees/to/", "send/to/", "send/answer/of-official-actors")
"""Prefixes of the IDs of vectors that execute a built-in actor or create an account, and so need official bundles."""
