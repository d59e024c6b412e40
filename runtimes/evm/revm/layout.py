"""The layout of a fixed part of a message: a struct whose fields have names."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


class Layout(Generic[P, T]):
    """A struct, read to and written from the fields of a named tuple."""

    __slots__ = ("_fields", "_new", "pack_into", "pack_values", "size", "unpack_from")

    def __init__(self, fields: Callable[P, T], form: str) -> None:
        struct = Struct(form)
        self._fields: Final = fields
        self._new = cast(Callable[..., T], fields)
        self.size: Final = struct.size
        self.pack_values: Final = struct.pack
        """Return the message with these values in order, faster than `pack`."""
        self.pack_into: Final = struct.pack_into
        """Write these values in order to a position of a buffer."""
        self.unpack_from: Final[Callable[..., tuple[Any, ...]]] = struct.unpack_from
        """Return the values at a position in order, faster than `read`."""

    def pack(self, *args: P.args, **kwargs: P.kwargs) -> bytes:
        """Return the message with these fields."""
        return self.pack_values(*cast(tuple[Any, ...], self._fields(*args, **kwargs)))

    def read(self, data: bytes | memoryview, at: int = 0) -> T:
        """Return the fields at a position of a message."""
        return self._new(*self.unpack_from(data, at))

    def read_all(self, data: bytes | memoryview, at: int, count: int) -> Iterator[T]:
        """Yield the fields of `count` messages that follow each other."""
        for place in range(at, at + count * self.size, self.size):
            yield self._new(*self.unpack_from(data, place))
