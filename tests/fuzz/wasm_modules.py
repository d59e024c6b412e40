"""Random valid WASM modules: functions of random expressions, written in binary."""

from random import Random

from runtimes.wasm.module.parser import I32, I64, MAGIC
from runtimes.wasmtime.encoding import encode_signed, name, section, u32, vector

F32, F64 = 0x7D, 0x7C
TYPES = ((b"\x7f", b"\x7f"), (b"\x7f\x7e", b"\x7e"), (b"", b""), (b"\x7e", b"\x7f"), (b"\x7d\x7c", b"\x7c"))
"""Parameters and results of `invoke` and other functions."""
GLOBALS = ((I32, 1), (I64, 1), (I32, 0), (F64, 1))
TABLE = 6

_UNARY = {
    I32: (0x67, 0x68, 0x69, 0x45, 0xC0, 0xC1),
    I64: (0x79, 0x7A, 0x7B, 0xC2, 0xC3, 0xC4),
    F32: (0x8B, 0x8C, 0x91),
    F64: (0x99, 0x9C, 0x9F),
}
_BINARY = {I32: range(0x6A, 0x79), I64: range(0x7C, 0x8B), F32: range(0x92, 0x99), F64: range(0xA0, 0xA7)}
_COMPARED = {I32: range(0x46, 0x50), I64: range(0x51, 0x5B), F32: range(0x5B, 0x61), F64: range(0x61, 0x67)}
_LOADED = {I32: (0x28, 0x2C, 0x2D, 0x2E, 0x2F), I64: (0x29, 0x30, 0x31, 0x34, 0x35), F32: (0x2A,), F64: (0x2B,)}
_STORED = {I32: (0x36, 0x3A, 0x3B), I64: (0x37, 0x3C, 0x3D, 0x3E), F32: (0x38,), F64: (0x39,)}
_CONVERTED = {
    I32: ((0xA7, I64), (0xA8, F32), (0xAB, F64), (0xBC, F32), (0xFC02, F64)),
    I64: ((0xAC, I32), (0xAD, I32), (0xB0, F64), (0xBD, F64), (0xFC04, F32)),
    F32: ((0xB2, I32), (0xB6, F64), (0xBE, I32)),
    F64: ((0xB7, I32), (0xBB, F32), (0xBF, I64)),
}
"""Opcodes by result type, with operand types; two bytes with a prefix."""
_EDGES = (0, 1, -1, 7, 63, 64, 65535, 65536, 2**31 - 1, -(2**31), 20000)


def generated(rng: Random) -> bytes:
    """Return a new module with an `invoke`, a memory, globals and a table."""
    functions = [0, *(rng.randrange(len(TYPES)) for _ in range(rng.randrange(6)))]
    codes = [_Function(rng, functions, kind).code() for kind in functions]
    table = rng.choice((TABLE,) * 16 + (20_000, 20_001, 2**32 - 1))
    pages = rng.choice((1,) * 16 + (17, 8192, 65_536))
    sections = [
        section(
            1,
            vector(
                b"\x60" + vector(bytes((p,)) for p in params) + vector(bytes((r,)) for r in results)
                for params, results in TYPES
            ),
        ),
        section(3, vector(map(u32, functions))),
        section(4, vector([b"\x70\x00" + u32(table)])),
        section(5, vector([b"\x01" + u32(pages) + u32(max(pages, rng.choice((1, 2, 100))))])),
        section(6, vector(bytes((kind, mutable)) + _constant(kind, rng) + b"\x0b" for kind, mutable in GLOBALS)),
        section(
            7,
            vector(
                [
                    name("memory") + b"\x02\0",
                    name("invoke") + b"\0\0",
                    *([name("table") + b"\x01\0"] * (rng.random() < 0.3)),
                ]
            ),
        ),
        section(
            9,
            vector(
                [b"\0\x41\0\x0b" + vector(u32(rng.randrange(len(functions))) for _ in range(rng.randrange(TABLE + 1)))]
            ),
        ),
        section(12, u32(1)),
        section(10, vector(u32(len(code)) + code for code in codes)),
        section(11, vector([b"\x01" + u32(4) + b"data"])),
    ]
    if rng.random() < 0.1:
        sections.insert(rng.randrange(len(sections)), section(0, name("name") + rng.randbytes(5)))
    return MAGIC + b"".join(sections)


def _constant(kind: int, rng: Random) -> bytes:
    if kind in (I32, I64):
        return bytes((0x41 if kind == I32 else 0x42,)) + encode_signed(rng.choice(_EDGES))
    return b"\x43" + rng.randbytes(4) if kind == F32 else b"\x44" + rng.randbytes(8)


class _Function:
    """A function under construction; `labels` are the result types of enclosing blocks, the function's own first."""

    def __init__(self, rng: Random, functions: list[int], kind: int) -> None:
        self._rng = rng
        self._functions = functions
        params, self._results = TYPES[kind]
        self._groups = [(rng.choice((1, 2, 5)), rng.choice((I32, I64, F32, F64))) for _ in range(rng.randrange(4))]
        self._locals = [*params, *(kind for count, kind in self._groups for _ in range(count))]
        self._left = rng.randrange(10, 80)

    def code(self) -> bytes:
        groups = vector(u32(count) + bytes((kind,)) for count, kind in self._groups)
        labels = [self._results]
        return groups + self._statements(labels, 3) + self._values(self._results, labels, 3) + b"\x0b"

    def _values(self, kinds: bytes, labels: list[bytes], depth: int) -> bytes:
        return b"".join(self._value(kind, labels, depth) for kind in kinds)

    def _value(self, kind: int, labels: list[bytes], depth: int) -> bytes:
        rng = self._rng
        self._left -= 1
        choice = rng.randrange(14) if depth > 0 and self._left > 0 else rng.randrange(3)
        of_kind = [at for at, local in enumerate(self._locals) if local == kind]
        below = depth - 1
        match choice:
            case 1 if of_kind:
                return b"\x20" + u32(rng.choice(of_kind))
            case 2:
                found = [at for at, (other, _) in enumerate(GLOBALS) if other == kind]
                return b"\x23" + u32(rng.choice(found)) if found else _constant(kind, rng)
            case 3:
                return self._value(kind, labels, below) + bytes((rng.choice(_UNARY[kind]),))
            case 4 | 5:
                return (
                    self._value(kind, labels, below) * 1
                    + self._value(kind, labels, below)
                    + bytes((rng.choice(_BINARY[kind]),))
                )
            case 6 if kind == I32:
                other = rng.choice((I32, I64, F32, F64))
                return (
                    self._value(other, labels, below)
                    + self._value(other, labels, below)
                    + bytes((rng.choice(_COMPARED[other]),))
                )
            case 7:
                return (
                    self._value(I32, labels, below)
                    + bytes((rng.choice(_LOADED[kind]),))
                    + b"\0"
                    + u32(rng.choice((0, 8, 2**32 - 1)))
                )
            case 8:
                code, other = rng.choice(_CONVERTED[kind])
                made = bytes((code,)) if code < 256 else b"\xfc" + u32(code & 255)
                return self._value(other, labels, below) + made
            case 9:
                inside = [*labels, bytes((kind,))]
                either = [self._statements(inside, below) + self._value(kind, inside, below) for _ in range(2)]
                return (
                    self._value(I32, labels, below)
                    + b"\x04"
                    + bytes((kind,))
                    + either[0]
                    + b"\x05"
                    + either[1]
                    + b"\x0b"
                )
            case 10:
                inside = [*labels, bytes((kind,))]
                return (
                    b"\x02"
                    + bytes((kind,))
                    + self._statements(inside, below)
                    + self._value(kind, inside, below)
                    + b"\x0b"
                )
            case 11:
                return self._call(kind, labels, below)
            case 12 if kind == I32:
                return rng.choice((b"\x3f\0", self._value(I32, labels, below) + b"\x40\0", b"\xfc\x10\0"))
            case 13 if of_kind:
                return self._value(kind, labels, below) + b"\x22" + u32(rng.choice(of_kind))
            case _:
                return _constant(kind, rng)

    def _call(self, kind: int, labels: list[bytes], depth: int) -> bytes:
        """Append a call with a result of this type, direct or through the table."""
        rng = self._rng
        kinds = [at for at, (_, results) in enumerate(TYPES) if results == bytes((kind,))]
        if not kinds:
            return _constant(kind, rng)
        if rng.random() < 0.5:
            of_type = rng.choice(kinds)
            return (
                self._values(TYPES[of_type][0], labels, depth)
                + self._value(I32, labels, depth)
                + b"\x11"
                + u32(of_type)
                + b"\0"
            )
        places = [at for at, of_type in enumerate(self._functions) if of_type in kinds]
        if not places:
            return _constant(kind, rng)
        place = rng.choice(places)
        return self._values(TYPES[self._functions[place]][0], labels, depth) + b"\x10" + u32(place)

    def _statements(self, labels: list[bytes], depth: int) -> bytes:
        return (
            b"".join(self._statement(labels, depth) for _ in range(self._rng.randrange(4)))
            if depth > 0 and self._left > 0
            else b""
        )

    def _statement(self, labels: list[bytes], depth: int) -> bytes:
        rng, below = self._rng, depth - 1
        kind = rng.choice((I32, I64, F32, F64))
        match rng.randrange(12):
            case 0:
                return self._value(kind, labels, below) + b"\x1a"
            case 1 if kind in self._locals:
                return self._value(kind, labels, below) + b"\x21" + u32(self._locals.index(kind))
            case 2:
                at = rng.choice([at for at, (_, mutable) in enumerate(GLOBALS) if mutable])
                return self._value(GLOBALS[at][0], labels, below) + b"\x24" + u32(at)
            case 3:
                return (
                    self._value(I32, labels, below)
                    + self._value(kind, labels, below)
                    + bytes((rng.choice(_STORED[kind]),))
                    + b"\0\0"
                )
            case 4:
                away = rng.randrange(len(labels))
                kinds = labels[-1 - away]
                return (
                    self._values(kinds, labels, below)
                    + self._value(I32, labels, below)
                    + b"\x0d"
                    + u32(away)
                    + b"\x1a" * len(kinds)
                )
            case 5:
                inside = [*labels, b""]
                return b"\x03\x40" + self._statements(inside, below) + self._value(I32, inside, below) + b"\x0d\0\x0b"
            case 6:
                three = b"".join(self._value(I32, labels, below) for _ in range(3))
                return three + rng.choice((b"\xfc\x0a\0\0", b"\xfc\x0b\0", b"\xfc\x08\0\0", b"\xfc\x0e\0\0"))
            case 7:
                inside = [*labels, b"", b""]
                return (
                    b"\x02\x40\x02\x40"
                    + self._value(I32, inside, below)
                    + b"\x0e"
                    + vector([b"\0", b"\1"])
                    + b"\0"
                    + b"\x0b\x0b"
                )
            case 8 if rng.random() < 0.2:
                return (
                    b"\x02\x40"
                    + rng.choice((b"\0", b"\x0c\0"))
                    + self._value(kind, [*labels, b""], below)
                    + b"\x1a\x0b"
                )
            case 9:
                return self._value(I32, labels, below) + b"\x04\x40" + self._statements([*labels, b""], below) + b"\x0b"
            case 10:
                return b"\xfc\x09\0"
            case _:
                return b"\x01"
