"""Reading the WASM binary format's atoms: LEB128 numbers, names, vectors (`runtimes.wasmtime.encoding` writes them).

The reader never looks past its end: whatever is malformed is an InvalidModule with the offset in its text. Rules:
WebAssembly core specification 2.0, section 5.2.
"""

from hypervisor.errors import InvalidModule

MAX_U32_BYTES = 5


class BinaryReader:
    """A cursor over part of a module's bytes."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    @property
    def done(self) -> bool:
        """True at the end."""
        return self.position >= self.end

    def fail(self, problem: str) -> InvalidModule:
        """The error for what lies at the cursor."""
        return InvalidModule(f"WASM module, offset {self.position}: {problem}")

    def byte(self) -> int:
        """One byte."""
        if self.position >= self.end:
            raise self.fail("cut short")
        value = self.data[self.position]
        self.position += 1
        return value

    def take(self, length: int) -> bytes:
        """The next N bytes."""
        if length > self.end - self.position:
            raise self.fail(f"{length} bytes expected, {self.end - self.position} left")
        start = self.position
        self.position = start + length
        return self.data[start : self.position]

    def u32(self) -> int:
        """An unsigned LEB128 number below 2^32; longer forms than the shortest are allowed, up to five bytes."""
        value = 0
        for shift in range(0, 7 * MAX_U32_BYTES, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> 32:
                    raise self.fail("number does not fit in 32 bits")
                return value
        raise self.fail("number is longer than 5 bytes")

    def count(self) -> int:
        """The length of a vector; each element takes a byte at least, so a larger count cannot be true."""
        value = self.u32()
        if value > self.end - self.position:
            raise self.fail(f"{value} elements announced, {self.end - self.position} bytes left")
        return value

    def skip_leb(self, max_bytes: int) -> None:
        """Pass over a LEB128 number of at most `max_bytes` bytes, signed or not."""
        for _ in range(max_bytes):
            if self.byte() < 0x80:
                return
        raise self.fail(f"number is longer than {max_bytes} bytes")

    def name(self) -> str:
        """A UTF-8 name."""
        raw = self.take(self.u32())
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.fail("name is not UTF-8") from None
