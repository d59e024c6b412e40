"""How much linear memory the live calls of one message hold together.

Limits: 512 MiB an instance, 2 GiB over the call stack (ref-fvm engine and call manager). The call manager restores
the count when a call ends; a runtime asks before it grows an instance.
"""

MAX_INSTANCE_MEMORY = 512 << 20
MAX_TOTAL_MEMORY = 2 << 30


class MemoryBudget:
    """Bytes in use over the live call stack."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0

    def grow(self, current: int, wanted: int) -> bool:
        """True, and counted, if one instance may grow from `current` to `wanted` bytes."""
        if wanted > MAX_INSTANCE_MEMORY or self.used + wanted - current > MAX_TOTAL_MEMORY:
            return False
        self.used += wanted - current
        return True
