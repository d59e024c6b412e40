"""An address in namespace 10 to which somebody has sent before anything was there. It has no methods.

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
    """Constructor: method 1."""
    return CODEC.call(CONSTRUCTOR, None, None, None)
