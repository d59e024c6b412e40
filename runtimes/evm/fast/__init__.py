"""The quick engine: an EVM interpreter in WASM on wasmtime, one frame or a whole tree of calls at a time.

The guest is `runtimes/evm/guests/evm`; docs/engines.md explains how the two sides work together. Importing this package
loads nothing: the module is loaded when the first contract runs.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtimes.evm.fast.engine import FastEngine, FastTable
from runtimes.evm.fast.pool import COMPILED, INTERPRETED, TIERED, Tier

TIERS: Final[Mapping[str, Tier]] = MappingProxyType(
    {"fast": TIERED, "fast:interpret": INTERPRETED, "fast:compile": COMPILED}
)
"""By the engine's name."""

__all__ = ["TIERS", "FastEngine", "FastTable", "Tier"]
