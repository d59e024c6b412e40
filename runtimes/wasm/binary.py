"""Reader for the WASM binary format: LEB128 numbers, names, vectors (`runtimes.wasmtime.encoding` writes them).

Malformed input raises InvalidModule with the offset. Rules: WebAssembly core specification 2.0, section 5.2.
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
        return self.position >= self.end

    def fail(self, problem: str) -> InvalidModule:
        return InvalidModule(f"WASM module, offset {self.position}: {problem}")

    def byte(self) -> int:
        if self.position >= self.end:
            raise self.fail("unexpected end")
        value = self.data[self.position]
        self.position += 1
        return value

    def take(self, length: int) -> bytes:
        """Read the next `length` bytes."""
        if length > self.end - self.position:
            raise self.fail(f"{length} bytes expected, {self.end - self.position} left")
        start = self.position
        self.position = start + length
        return self.data[start : self.position]

    def u32(self) -> int:
        """Read an unsigned LEB128 number below 2^32; non-minimal encodings of up to five bytes are allowed."""
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
        """Read the length of a vector; each element takes at least one byte, so larger counts are invalid."""
        value = self.u32()
        if value > self.end - self.position:
            raise self.fail(f"{value} elements announced, {self.end - self.position} bytes left")
        return value

    def skip_leb(self, max_bytes: int) -> None:
        """Skip a LEB128 number of at most `max_bytes` bytes, signed or not."""
        for _ in range(max_bytes):
            if self.byte() < 0x80:
                return
        raise self.fail(f"number is longer than {max_bytes} bytes")

    def name(self) -> str:
        """Read a UTF-8 name."""
        raw = self.take(self.u32())
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.fail("name is not UTF-8") from None
