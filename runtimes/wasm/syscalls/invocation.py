"""A running guest: kernel, instance, gas counter, and access to its memory with bounds checks.

Pointers and lengths come from the guest (unsigned 32-bit). A slice must lie within memory; an empty one may lie at its
end. A slice out of bounds or a value that does not parse is ILLEGAL_ARGUMENT. Source: ref-fvm syscalls/context.rs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final, Protocol

from hypervisor.errors import AddressError, Fatal, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.kernel.call import MAX_INSTANCE_MEMORY
from hypervisor.messages.address import MAX_ADDRESS, Address
from runtimes.wasmtime.instance import Counter
from store.cid import BLAKE2B_CID_LENGTH, CBOR_CID_PREFIX, MAX_DIGEST, RAW_CID_PREFIX, Cid, CidError, read_cid

_COMMON_PREFIXES = (CBOR_CID_PREFIX, RAW_CID_PREFIX)

_Memory: Any = ctypes.c_char * MAX_INSTANCE_MEMORY
"""The largest memory; a type for each size would take longer to create than a view."""

_MAX_CID_LENGTH = 4 * 10 + MAX_DIGEST
"""Length in bytes of four varints and a digest: no CID parser reads further."""
_MAX_MEMORY = 1 << 32


class GuestMemory:
    """The memory of one guest.

    Memory never moves (the engine setting `memory_may_move`) and never shrinks, so its size is read again only if a
    slice seems to reach beyond its end.
    """

    __slots__ = ("_locate", "data", "size")

    def __init__(self, locate: Callable[[], tuple[int, int]]) -> None:
        """`locate` returns the current address and size in bytes of the memory."""
        self._locate = locate
        self.data = memoryview(bytearray())
        """The memory up to `size`; only for slices within it."""
        self.size = 0

    def follow(self) -> int:
        """Update the view to the memory's current size and return it in bytes."""
        base, size = self._locate()
        if size != self.size:
            self.size = size
            self.data = memoryview(_Memory.from_address(base)).cast("B")[:size]
        return size

    def check(self, offset: int, length: int) -> None:
        """Raise ILLEGAL_ARGUMENT unless the slice lies within memory."""
        end = offset + length
        if end > self.size and end > self.follow():
            raise SyscallError(
                ErrorNumber.ILLEGAL_ARGUMENT, f"buffer {offset} (length {length}) out of bounds: {self.size} bytes"
            )

    def read(self, offset: int, length: int, most: int = _MAX_MEMORY) -> bytes:
        """Return the slice, or its first `most` bytes: none is copied that will be rejected for the length."""
        end = offset + length
        if end > self.size:
            self.check(offset, length)
        return self.data[offset : end if length <= most else offset + most].tobytes()

    def view(self, offset: int, length: int) -> memoryview:
        """Return the slice without copying, for use before gas is charged. Writes of the guest change it."""
        end = offset + length
        if end > self.size:
            self.check(offset, length)
        return self.data[offset:end]

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes. Raises ILLEGAL_ARGUMENT if they do not fit; then nothing is written."""
        end = offset + len(data)
        if end > self.size:
            self.check(offset, len(data))
        self.data[offset:end] = data

    def read_cid(self, offset: int) -> Cid:
        """Read the CID of any length that begins at `offset`."""
        end = offset + BLAKE2B_CID_LENGTH
        if end > self.size:
            self.follow()
        common = self.data[offset:end].tobytes()
        if len(common) == BLAKE2B_CID_LENGTH and common.startswith(_COMMON_PREFIXES):
            return Cid(common)
        self.check(offset, 0)
        if offset + _MAX_CID_LENGTH > self.size:
            self.follow()
        try:
            cid, _ = read_cid(self.data[offset : offset + _MAX_CID_LENGTH].tobytes())
        except CidError as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"invalid CID at {offset}: {error}") from None
        return cid

    def write_cid(self, cid: Cid, offset: int, length: int) -> int:
        """Write a CID into a checked buffer of `length` bytes and return its own length.

        BUFFER_TOO_SMALL if it is longer than the buffer.
        """
        size = len(cid)
        if size > length:
            raise SyscallError(ErrorNumber.BUFFER_TOO_SMALL, f"a CID of {size} bytes exceeds a buffer of {length}")
        self.data[offset : offset + size] = cid
        return size

    def read_address(self, offset: int, length: int) -> Address:
        """Read the address encoded by exactly this slice."""
        data = self.read(offset, length, MAX_ADDRESS + 1)  # one byte too many is rejected like any excess
        try:
            return Address.from_bytes(data)
        except AddressError as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"invalid address at {offset}: {error}") from None

    def read_text(self, offset: int, length: int) -> str:
        """Read a slice as UTF-8 text."""
        try:
            return str(self.view(offset, length), "utf-8")
        except UnicodeDecodeError as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"invalid UTF-8 at {offset}: {error}") from None


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

    def __init__(self, kernel: Kernel, instance: Guest, outer: WasmInvocation | None = None) -> None:
        self.kernel = kernel
        self.instance = instance
        self.memory: GuestMemory
        """The memory, set by `locate`."""
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

    def locate(self, gas: bytes) -> None:
        """Locate the gas counter, exported as `gas`, and the memory; the function to call must be located first."""
        if not self.instance.find_gas(gas) or not self.instance.find_memory():
            raise Fatal("a compiled module lacks its memory or its gas counter")
        self.counter = self.instance.counter
        self.memory = GuestMemory(self.instance.memory)

    def charge_execution(self) -> None:
        """Charge the gas used since the counter was last set; raises OutOfGas if the counter is negative."""
        used = self.counter_start - self.counter.value
        self.kernel.gas.charge("wasm_exec", used if used > 0 else 0)

    def set_gas_counter(self) -> None:
        """Set the guest's counter to the remaining gas."""
        gas = self.kernel.gas
        left = gas.limit - gas.used
        self.counter.value = self.counter_start = left if left < MAX_COUNTER else MAX_COUNTER

    def account_memory(self) -> None:
        """Count the growth of the guest's memory against the limit before another guest runs."""
        size = self.memory.follow()
        if size > self.counted:
            self.kernel.memory.grow(self.counted, size)
            self.counted = size
