"""The total linear memory of the active calls of a message.

Limits: 512 MiB per instance, and 2 GiB for all instances on the call stack (ref-fvm engine and call manager). A runtime
requests memory before it grows an instance; the call manager restores the count when a call ends.
"""

MAX_INSTANCE_MEMORY = 512 << 20
MAX_TOTAL_MEMORY = 2 << 30


class MemoryBudget:
    """Counter of the linear memory reserved by the active calls, in bytes."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0

    def grow(self, current: int, wanted: int) -> bool:
        """Reserve memory to grow an instance from `current` to `wanted` bytes; return False if not allowed."""
        if wanted > MAX_INSTANCE_MEMORY or self.used + wanted - current > MAX_TOTAL_MEMORY:
            return False
        self.used += wanted - current
        return True
