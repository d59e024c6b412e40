"""geth's 4byteTracer: call counts of functions by selector and size of the arguments.

Creations are not function calls, and precompiles have no frames. Source: go-ethereum eth/tracers/native (4byte.go).
"""

from __future__ import annotations

from collections import Counter

from bridge.traces.frames import EthereumFrame

_SELECTOR = 4


def selectors(frame: EthereumFrame) -> dict[str, int]:
    """Return the number of calls in a frame and its subframes by `0xSELECTOR-SIZE`."""
    found: Counter[str] = Counter()
    frames = [frame]
    for one in frames:  # iterative, since calls are up to 1,024 deep
        frames.extend(one.frames)
        if not one.creates and len(one.input) >= _SELECTOR:
            found[f"0x{one.input[:_SELECTOR].hex()}-{len(one.input) - _SELECTOR}"] += 1
    return dict(found)
