"""geth's 4byteTracer: how often which function was called, by its selector and the size of what follows it.

Rules: go-ethereum eth/tracers/native (4byte.go). Creations are no calls of functions, and precompiles have no frames.
"""

from __future__ import annotations

from collections import Counter

from bridge.traces.frames import EthereumFrame

_SELECTOR = 4


def selectors(frame: EthereumFrame) -> dict[str, int]:
    """The calls of a frame and of those under it that have a selector: `0xSELECTOR-SIZE` with their number."""
    found: Counter[str] = Counter()
    frames = [frame]
    for one in frames:  # without recursion: calls go 1,024 deep
        frames.extend(one.frames)
        if not one.creates and len(one.input) >= _SELECTOR:
            found[f"0x{one.input[:_SELECTOR].hex()}-{len(one.input) - _SELECTOR}"] += 1
    return dict(found)
