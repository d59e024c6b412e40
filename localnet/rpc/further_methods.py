"""Modules of methods that are loaded on the first request for one of them (`method_table`)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Final

_FURTHER: Final = (
    "proofs",
    "debug.traces",
    "debug.parity",
    "trace_replays",
    "debug.otterscan",
    "eth.simulate",
    "dev.control",
    "actor_control",
    "block_control",
    "fork_config",
    "access_lists",
    "dev.actors",
    "state_control",
    "reorg",
    "tokens",
    "debug.side_states",
    "artifacts",
    "filecoin.methods",
    "typed_data",
    "headers",
    "refused",
    "blob_methods",
)


def further_modules() -> Iterator[ModuleType]:
    """Load the modules one by one, so that a node can shut down between them."""
    for name in _FURTHER:
        yield import_module(f"localnet.rpc.{name}")
