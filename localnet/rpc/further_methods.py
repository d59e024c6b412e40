"""The modules of methods that are loaded when one of theirs is first asked for (`method_table`)."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from localnet.rpc import (
    actor_control,
    artifacts,
    block_control,
    control,
    filecoin,
    filecoin_control,
    fork_config,
    headers,
    otterscan,
    proofs,
    refused,
    reorg,
    side_states,
    simulate,
    state_control,
    tokens,
    trace_filter,
    traces,
    typed_data,
)

FURTHER: Final[tuple[ModuleType, ...]] = (
    proofs,
    traces,
    trace_filter,
    otterscan,
    simulate,
    control,
    actor_control,
    block_control,
    fork_config,
    filecoin_control,
    state_control,
    reorg,
    tokens,
    side_states,
    artifacts,
    filecoin,
    typed_data,
    headers,
    refused,
)
