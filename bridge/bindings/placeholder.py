"""An address in namespace 10 that received funds before an actor was created there. It has no methods.

Generated from fvm_hypervisor/builtin_actors/schemas/placeholder.ipldsch: `make bindings`.
"""

from __future__ import annotations

from typing import Final

from bridge.binding import Call, Codec
from bridge.bindings import common
from hypervisor.types import MethodNumber

CODEC: Final = Codec("placeholder", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)


def constructor() -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, None, None, None)
