"""Golden vectors: their files and network versions."""

from pathlib import Path

from hypervisor.versions.network_versions import NETWORK_VERSIONS

GOLDEN = Path(__file__).resolve().parent / "golden"
MESSAGE_FILES = tuple(sorted(GOLDEN.glob("*.jsonl.gz")))
"""Files of golden vectors of class message; `tipset_corpus` handles those of class tipset."""
_ABI = "v4"
VERSIONS = tuple(number for number, row in NETWORK_VERSIONS.items() if row.rules.abi == _ABI)

BUILT_IN_ACTORS_RUN = ("evm/", "official/", "fees/swept/", "fees/to/", "send/to/", "send/answer/of-official-actors")
"""Prefixes of the IDs of vectors that execute a built-in actor or create an account, and so need official bundles."""
