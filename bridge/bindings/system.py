"""f00. Its only method is the constructor (method 1, no parameters).

Generated from fvm_hypervisor/builtin_actors/schemas/system.ipldsch: `make bindings`.
"""

from __future__ import annotations

from typing import Final

from bridge.binding import Call, Codec
from bridge.bindings import common
from hypervisor.types import MethodNumber

CODEC: Final = Codec("system", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)


def constructor() -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, None, None, None)
