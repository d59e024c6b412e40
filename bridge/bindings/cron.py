"""f03: calls other actors at the end of each epoch.

Generated from fvm_hypervisor/builtin_actors/schemas/cron.ipldsch: `make bindings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from hypervisor.address import Address
from hypervisor.types import MethodNumber

CODEC: Final = Codec("cron", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
EPOCH_TICK: Final = MethodNumber(2)


@dataclass(frozen=True, slots=True)
class Entry(Struct, codec=CODEC):
    """Entry, used in parameters and return values."""

    receiver: Address
    method_num: MethodNumber


@dataclass(frozen=True, slots=True)
class ConstructorParams(Struct, codec=CODEC):
    """Parameters of Constructor."""

    entries: tuple[Entry, ...]


def constructor(entries: Sequence[Entry]) -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, "ConstructorParams", ConstructorParams(tuple(entries)), None)


def epoch_tick() -> Call[None]:
    """Call EpochTick, method 2."""
    return CODEC.call(EPOCH_TICK, None, None, None)
