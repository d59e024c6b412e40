"""A guest's memory as syscalls see it: every pointer checked, then read or written.

Pointers and lengths are what the guest says (unsigned 32-bit). A slice must lie within memory; an empty one may lie at
its end. Whatever does not fit, and whatever does not parse, is ILLEGAL_ARGUMENT. Source: ref-fvm syscalls/context.rs.
"""

import ctypes
from collections.abc import Callable

from hypervisor.address import MAX_ADDRESS, Address
from hypervisor.errors import AddressError, SyscallError
from hypervisor.exit_codes import ErrorNumber
from store.cid import MAX_DIGEST, USUAL_LENGTH, USUAL_PREFIX, USUAL_RAW_PREFIX, Cid, CidError, read_cid

_USUAL = (USUAL_PREFIX, USUAL_RAW_PREFIX)

_view_of: Callable[[int, int, int], memoryview] = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_size_t, ctypes.c_ssize_t, ctypes.c_int
)(("PyMemoryView_FromMemory", ctypes.pythonapi))
"""A view of memory by address and size: quicker than by a ctypes array, whose type would be made anew each time."""
_WRITABLE = 0x200

_LONGEST_CID = 4 * 10 + MAX_DIGEST
"""Four varints and a digest: no parser of CIDs reads further."""


class GuestMemory:
    """The memory of one guest, looked at through its instance.

    Memory never moves (the engines' setting `memory_may_move`) and never shrinks, so it is looked at again only where a
    slice seems to reach beyond its end.
    """

    __slots__ = ("_look", "_view", "size")

    def __init__(self, look: Callable[[], tuple[int, int]]) -> None:
        """`look` gives the address and the size in bytes of the memory, as they are now."""
        self._look = look
        self._view = memoryview(bytearray())
        self.size = 0

    def follow(self) -> int:
        """Look how large the memory is now, in bytes."""
        base, size = self._look()
        if size != self.size:
            self.size = size
            self._view = _view_of(base, size, _WRITABLE)
        return size

    def reaches(self, end: int) -> bool:
        """Whether the memory has N bytes."""
        return end <= self.size or end <= self.follow()

    def check(self, offset: int, length: int) -> None:
        """Raise ILLEGAL_ARGUMENT unless the slice lies within memory."""
        end = offset + length
        if end > self.size and end > self.follow():
            raise SyscallError(
                ErrorNumber.ILLEGAL_ARGUMENT, f"buffer {offset} (length {length}) out of bounds: {self.size} bytes"
            )

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a slice."""
        end = offset + length
        if end > self.size:
            self.check(offset, length)
        return self._view[offset:end].tobytes()

    def view(self, offset: int, length: int) -> memoryview:
        """The slice itself, without a copy: for what is looked at before anything is paid. It changes with memory."""
        end = offset + length
        if end > self.size:
            self.check(offset, length)
        return self._view[offset:end]

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes; nothing is written where they do not fit."""
        end = offset + len(data)
        if end > self.size:
            self.check(offset, len(data))
        self._view[offset:end] = data

    def read_cid(self, offset: int) -> Cid:
        """The CID that begins at `offset`, however long it is."""
        usual = self._view[offset : offset + USUAL_LENGTH].tobytes()
        if len(usual) == USUAL_LENGTH and usual.startswith(_USUAL):
            return Cid(usual)
        self.check(offset, 0)
        length = _LONGEST_CID if self.reaches(offset + _LONGEST_CID) else self.size - offset
        try:
            cid, _ = read_cid(self.read(offset, length))
        except CidError as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"no CID lies at {offset}: {error}") from None
        return cid

    def write_cid(self, cid: Cid, offset: int, length: int) -> int:
        """Write a CID into a buffer of `length` bytes and return its own length; BUFFER_TOO_SMALL if it is longer."""
        self.check(offset, length)
        if len(cid) > length:
            raise SyscallError(ErrorNumber.BUFFER_TOO_SMALL, f"a CID of {len(cid)} bytes, a buffer of {length}")
        self.write(offset, cid)
        return len(cid)

    def read_address(self, offset: int, length: int) -> Address:
        """The address whose bytes are exactly the slice."""
        self.check(offset, length)
        data = self.read(offset, min(length, MAX_ADDRESS + 1))  # one byte too many is refused like all of them
        try:
            return Address.from_bytes(data)
        except AddressError as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"no address lies at {offset}: {error}") from None

    def read_text(self, offset: int, length: int) -> str:
        """The UTF-8 text of a slice."""
        try:
            return str(self.view(offset, length), "utf-8")
        except UnicodeDecodeError as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"no UTF-8 lies at {offset}: {error}") from None
