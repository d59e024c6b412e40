"""The fast engine: an EVM interpreter in WASM on wasmtime, for one frame at a time.

The guest is `runtimes/evm/guests/evm`; docs/engines.md describes the design. The WASM module is not loaded at import
but when the first contract runs.

The interface is in `runtimes.evm.engine`, the guest in `runtimes/evm/guests/evm`. Read `engine`, `instance` and `tree`
first.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtimes.evm.fast.engine import FastEngine, FastTable
from runtimes.evm.fast.pool import COMPILED, INTERPRETED, RECORDED, TIERED, Tier

TIERS: Final[Mapping[str, Tier]] = MappingProxyType(
    {"fast": TIERED, "fast:interpret": INTERPRETED, "fast:compile": COMPILED}
)
"""Tiers by engine name."""

__all__ = ["RECORDED", "TIERS", "FastEngine", "FastTable", "Tier"]
