"""The golden vectors: their files, and the network versions that they cover."""

from __future__ import annotations

from pathlib import Path

from hypervisor.network_versions import NETWORK_VERSIONS

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
MESSAGE_FILES = tuple(sorted(GOLDEN.glob("*.jsonl.gz")))
"""The golden vectors of class message; those of class tipset are in a folder of their own (`tipset_corpus`)."""
_ABI = "v4"
VERSIONS = tuple(number for number, row in NETWORK_VERSIONS.items() if row.rules.abi == _ABI)

BUILT_IN_ACTORS_RUN = ("evm/", "official/", "fees/swept/", "fees/to/", "send/to/", "send/answer/of-official-actors")
"""Beginnings of the ids of vectors in which a built-in actor's code runs, or an account is made: they need bundles."""
