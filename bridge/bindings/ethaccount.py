"""An account controlled by an Ethereum key. Method 1 takes no parameters; methods from 2^24 on do nothing.

Generated from fvm_hypervisor/builtin_actors/schemas/ethaccount.ipldsch: `make bindings`.
"""

from __future__ import annotations

from typing import Final

from bridge.binding import Call, Codec
from bridge.bindings import common
from hypervisor.types import MethodNumber

CODEC: Final = Codec("ethaccount", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)


def constructor() -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, None, None, None)
