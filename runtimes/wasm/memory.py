"""A guest's memory as syscalls see it: every pointer checked, then read or written.

Pointers and lengths are what the guest says (unsigned 32-bit). A slice must lie within memory; an empty one may lie at
its end. Whatever does not fit, and whatever does not parse, is ILLEGAL_ARGUMENT. Source: ref-fvm syscalls/context.rs.
"""

import ctypes

from hypervisor.address import Address
from hypervisor.errors import AddressError, SyscallError
from hypervisor.exit_codes import ErrorNumber
from store.cid import MAX_DIGEST, Cid, CidError, read_cid

_LONGEST_CID = 4 * 10 + MAX_DIGEST
"""Four varints and a digest: no parser of CIDs reads further."""


class GuestMemory:
    """The memory of one guest during one syscall or after it; `follow` must be called whenever the guest has run."""

    __slots__ = ("_base", "_view", "size")

    def __init__(self) -> None:
        self._base = 0
        self._view = memoryview(bytearray())
        self.size = 0

    def follow(self, base: int, size: int) -> None:
        """Take over the address and the size in bytes, as wasmtime has them now."""
        if base != self._base or size != self.size:
            self._base = base
            self.size = size
            bytes_ = (ctypes.c_ubyte * size).from_address(base) if size else bytearray()
            self._view = memoryview(bytes_).cast("B")

    def check(self, offset: int, length: int) -> None:
        """Raise ILLEGAL_ARGUMENT unless the slice lies within memory."""
        if offset + length > self.size:
            raise SyscallError(
                ErrorNumber.ILLEGAL_ARGUMENT, f"buffer {offset} (length {length}) out of bounds: {self.size} bytes"
            )

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a slice."""
        end = offset + length
        if end > self.size:
            self.check(offset, length)
        return self._view[offset:end].tobytes()

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes; nothing is written where they do not fit."""
        end = offset + len(data)
        if end > self.size:
            self.check(offset, len(data))
        self._view[offset:end] = data

    def read_cid(self, offset: int) -> Cid:
        """The CID that begins at `offset`, however long it is."""
        self.check(offset, 0)
        try:
            cid, _ = read_cid(self.read(offset, min(_LONGEST_CID, self.size - offset)))
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
        data = self.read(offset, length)
        try:
            return Address.from_bytes(data)
        except AddressError as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"no address lies at {offset}: {error}") from None

    def read_text(self, offset: int, length: int) -> str:
        """The UTF-8 text of a slice."""
        try:
            return self.read(offset, length).decode()
        except UnicodeDecodeError as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"no UTF-8 lies at {offset}: {error}") from None
