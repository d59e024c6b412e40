"""A running guest: its kernel, its instance and its gas counter, as syscalls and boundaries use them."""

from __future__ import annotations

from typing import Any, Final, Protocol

from hypervisor.kernel import Kernel
from runtimes.wasm.syscalls.memory import GuestMemory
from runtimes.wasmtime.instance import Counter

MAX_COUNTER: Final = (1 << 63) - 1


class Guest(Protocol):
    """One instance in its own store, as a boundary offers it. All numbers are unsigned."""

    @property
    def counter(self) -> Counter:
        """The gas counter located by `find_gas`."""

    def find_memory(self) -> bool:
        """Locate the exported memory; return False if there is none."""

    def find_gas(self, name: bytes) -> bool:
        """Locate the gas counter, an exported global of type i64; return False if there is none."""

    def find_function(self, name: bytes) -> bool:
        """Locate the function to call; return False if there is none."""

    def memory(self) -> tuple[int, int]:
        """Return the current address and size in bytes of the memory."""

    def enter(self, argument: int) -> int:
        """Call the located function, (i32) -> i32; raises Trap."""

    def enter_with(self, first: int, second: int) -> int:
        """Call the located function, (i32, i32) -> i32; raises Trap."""

    def start(self) -> None:
        """Call the located function, () -> (); raises Trap."""


class WasmInvocation:
    """A running guest."""

    __slots__ = (
        "counted",
        "counter",
        "counter_start",
        "failure",
        "instance",
        "kernel",
        "memory",
        "outer",
        "profile",
    )  # fmt: skip

    def __init__(
        self, kernel: Kernel, instance: Guest, memory: GuestMemory, outer: WasmInvocation | None = None
    ) -> None:
        self.kernel = kernel
        self.instance = instance
        self.memory = memory
        self.outer = outer
        """The enclosing invocation on the same thread, for boundaries that record it here."""
        self.counter: Counter
        """The gas counter, set by `locate`."""
        self.counter_start = 0
        """Value that the gas counter was last set to, in milligas."""
        self.counted = 0
        """Bytes of the guest's memory already counted against the message's memory limit."""
        self.failure: BaseException | None = None
        """The exception that ended the invocation inside a host function, raised again once the guest has unwound."""
        self.profile: Any = None
        """Profiling data of this invocation (`profiling`)."""

    def locate(self, gas: bytes) -> bool:
        """Locate the gas counter, exported as `gas`, and the memory; return False if one is missing.

        The function to call must be located first.
        """
        if not self.instance.find_gas(gas) or not self.instance.find_memory():
            return False
        self.counter = self.instance.counter
        return True

    def charge_execution(self) -> None:
        """Charge the gas used since the counter was last set; raises OutOfGas if the counter is negative."""
        used = self.counter_start - self.counter.value
        self.kernel.gas.charge("wasm_exec", used if used > 0 else 0)

    def set_gas_counter(self) -> None:
        """Set the guest's counter to the remaining gas."""
        left = self.kernel.gas.available
        self.counter.value = self.counter_start = left if left < MAX_COUNTER else MAX_COUNTER

    def account_memory(self) -> None:
        """Count the growth of the guest's memory against the limit before another guest runs."""
        size = self.memory.follow()
        if size > self.counted:
            self.kernel.memory.grow(self.counted, size)
            self.counted = size
