"""Base of the generated modules in `bridge.bindings`: structs, calls, and the codec of a schema's types.

The codec is derived from the actor's IPLD schema, with each type's functions created on first use. It converts Python
values (addresses, numbers, dataclasses, tuples) to and from DAG-CBOR's data model. Structs are CBOR arrays of their
fields in order; a single parameter is encoded bare if the schema says so. `store.codec` encodes to bytes.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

from bridge.actors.schemas import AMOUNTS, SIGNED, UNSIGNED, actor_schema
from hypervisor.errors import HypervisorError
from hypervisor.messages.address import Address
from hypervisor.types import MethodNumber, decode_bigint, encode_bigint
from store.cid import Cid
from store.codec import decode_strict, encode, link, unlink
from store.schema.types import Bytes, Kinded, Link, List, SchemaError, Simple, Term, Union, Unit
from store.schema.types import Struct as StructType

R = TypeVar("R", covariant=True)
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """A call of a method: its number, its parameters in CBOR, and a decoder of its return value."""

    method: MethodNumber
    params: bytes
    _decode: Callable[[bytes], R] = field(repr=False, compare=False)

    def decode_return(self, data: bytes) -> R:
        """Decode the return data. Raises SchemaError and CodecError (ValueErrors) for data of the wrong shape."""
        return self._decode(data)

    answer = decode_return
    """Former name of `decode_return`, until version 0.4."""


class Codec:
    """Encoders and decoders of one actor's types; `shared` holds the classes of types common to all actors."""

    def __init__(self, actor: str, shared: Codec | None = None) -> None:
        self.actor = actor
        self.classes: dict[str, type[Struct]] = {}
        self._shared = shared
        self._made: dict[str, tuple[Convert, Convert]] = {}

    def encode(self, name: str, value: Any) -> bytes:
        """Encode a value of a type as CBOR. Raises SchemaError (with the path) and CodecError."""
        return encode(self.functions(name)[0](value))

    def decode(self, name: str, data: bytes) -> Any:
        """Decode CBOR to a value of a type. Raises SchemaError (with the path) and CodecError."""
        return self.functions(name)[1](decode_strict(data))

    def call(self, method: MethodNumber, params: str | None, value: Any, answer: str | None) -> Call[Any]:
        """Return a call with parameters and a return value of the given types (None: none)."""
        data = b"" if params is None else self.encode(params, value)
        return Call(method, data, _check_empty if answer is None else partial(self.decode, answer))

    def functions(self, name: str) -> tuple[Convert, Convert]:
        """Return the encoder (value to data) and the decoder (data to value) of a type."""
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = _CodecBuilder(self).codec_of(name)
        return made

    def class_of(self, name: str) -> type[Struct]:
        """Return the dataclass of a struct. Raises KeyError if no method uses it."""
        found = self.classes.get(name)
        if found is None and self._shared is not None:
            found = self._shared.classes.get(name)
        if found is None:
            raise KeyError(f"{self.actor} has no class {name}")
        return found


class Struct:
    """Base class of dataclasses for structs: `class ProposeParams(Struct, codec=...)`."""

    __slots__ = ()
    _codec: ClassVar[Codec]

    def __init_subclass__(cls, codec: Codec | None = None) -> None:
        if codec is not None:  # a dataclass with slots is created twice, the second time without arguments
            cls._codec = codec
        cls._codec.classes[cls.__name__] = cls

    def encode(self) -> bytes:
        """Encode as CBOR, a tuple of the fields. Raises SchemaError and CodecError."""
        return self._codec.encode(type(self).__name__, self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Decode CBOR written by `encode`. Raises SchemaError and CodecError."""
        value: Self = cls._codec.decode(cls.__name__, data)
        return value


def field_name(name: str) -> str:
    """Return a field's name in Python: `from` becomes `from_`."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _check_empty(data: bytes) -> None:
    if data:
        raise SchemaError(f"expected no return value, found {len(data)} bytes")


class _CodecBuilder:
    """Builds the encoder and the decoder of each type from the schema."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._schema = actor_schema(codec.actor)  # parsed on first use, not at import

    def codec_of(self, name: str) -> tuple[Convert, Convert]:
        name = self._schema.name_of(name)
        if name in AMOUNTS:
            return _write_amount, _read_amount
        if name == "Address":
            return _write_address, _read_address
        kind = self._schema.type_of(name)
        match kind:
            case Simple("int"):
                number = _within(_RANGES[name]) if name in _RANGES else _int
                return number, number
            case Simple("bool"):
                return _of(bool), _of(bool)
            case Simple("string"):
                return _of(str), _of(str)
            case Bytes(None):
                return _of(bytes), _of(bytes)
            case Unit("null"):
                return _of(type(None)), _of(type(None))
            case Link() | List(advanced=None):
                return self._term(kind)
            case StructType():
                return self._struct(name, kind)
            case Union(representation=Kinded()):
                return self._choice(kind)
            case _:
                raise TypeError(f"{name} cannot be represented in Python")

    def _term(self, term: Term, nullable: bool = False) -> tuple[Convert, Convert]:
        match term:
            case str():
                write, read = self._codec.functions(self._schema.name_of(term))
            case Link():
                write, read = _write_link, _read_link
            case List(value, inner_nullable):
                item = self._term(value, inner_nullable)
                write, read = _list(item[0], list), _list(item[1], tuple)
            case _:
                raise TypeError(f"{term} cannot be represented in Python")
        return (_or_none(write), _or_none(read)) if nullable else (write, read)

    def _struct(self, name: str, kind: StructType) -> tuple[Convert, Convert]:
        of = self._codec.class_of(name)
        names = tuple(kind.fields)
        pairs = [self._term(field.type, field.nullable) for field in kind.fields.values()]
        writers, readers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        fields = _fields(tuple(map(field_name, names)))

        def write(value: Any) -> list[Any]:
            if type(value) is not of:
                raise SchemaError(f"expected {name}, found {type(value).__name__}")
            return _each(names, writers, fields(value))

        def read(data: Any) -> Any:
            if type(data) is not list or len(data) != len(names):
                raise SchemaError(f"expected a list of {len(names)} values for {name}")
            return of(*_each(names, readers, data))

        return write, read

    def _choice(self, kind: Union) -> tuple[Convert, Convert]:
        members = {name: self._term(member) for name, member in kind.members.items()}
        by_data = {_DATA_TYPES[name]: read for name, (_, read) in members.items()}
        writers = [write for write, _ in members.values()]

        def write(value: Any) -> Any:
            for writer in writers:
                try:
                    return writer(value)
                except SchemaError:
                    continue
            raise SchemaError(f"expected one of {', '.join(members)}, found {type(value).__name__}")

        def read(data: Any) -> Any:
            reader = by_data.get(type(data))
            if reader is None:
                raise SchemaError(f"expected one of {', '.join(members)}, found {type(data).__name__}")
            return reader(data)

        return write, read


_DATA_TYPES: Final[dict[str, type]] = {"string": str, "bytes": bytes, "null": type(None), "link": type(link(b""))}


def _fields(names: tuple[str, ...]) -> Callable[[Any], Sequence[Any]]:
    """Return a function that returns the values of fields, in order."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: [getattr(value, name) for name in names]


def _each(names: Sequence[str], functions: Sequence[Convert], values: Sequence[Any]) -> list[Any]:
    done: list[Any] = []
    try:
        for function, value in zip(functions, values, strict=True):
            done.append(function(value))
    except SchemaError as error:
        raise error.below(names[len(done)]) from None
    return done


def _list(convert: Convert, make: Callable[[list[Any]], Any]) -> Convert:
    def convert_list(values: Any) -> Any:
        if not isinstance(values, list | tuple):
            raise SchemaError(f"expected a list, found {type(values).__name__}")
        done: list[Any] = []
        try:
            for value in values:
                done.append(convert(value))  # noqa: PERF401 - the length is the index of the failed item
        except SchemaError as error:
            raise error.below(len(done)) from None
        return make(done)

    return convert_list


def _or_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _of(kind: type) -> Convert:
    def convert(value: Any) -> Any:
        if type(value) is not kind:
            if kind is bytes and isinstance(value, bytes):  # a subclass that prints as text
                return bytes(value)
            raise SchemaError(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return convert


def _int(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, int) and type(value) is not bool:  # an IntEnum member
        return int(value)
    raise SchemaError(f"expected an integer, found {type(value).__name__}")


_RANGES: Final = {name: range(1 << bits) for name, bits in UNSIGNED.items()} | {
    name: range(-1 << (bits - 1), 1 << (bits - 1)) for name, bits in SIGNED.items()
}


def _within(allowed: range) -> Convert:
    def convert(value: Any) -> int:
        number = _int(value)
        if number not in allowed:
            raise SchemaError(f"expected a number from {allowed[0]} to {allowed[-1]}")
        return number

    return convert


def _write_amount(value: Any) -> bytes:
    try:
        return encode_bigint(_int(value))
    except HypervisorError as error:
        raise SchemaError(str(error)) from None


def _read_amount(data: Any) -> int:
    try:
        return decode_bigint(data)
    except HypervisorError as error:
        raise SchemaError(str(error)) from None


def _write_address(value: Any) -> bytes:
    if type(value) is not Address:
        raise SchemaError(f"expected an address, found {type(value).__name__}")
    return value.to_bytes()


def _read_address(data: Any) -> Address:
    if type(data) is not bytes:
        raise SchemaError(f"expected an address's bytes, found {type(data).__name__}")
    try:
        return Address.from_bytes(data)
    except HypervisorError as error:
        raise SchemaError(str(error)) from None


def _write_link(value: Any) -> Any:
    return link(_of(bytes)(value))


def _read_link(data: Any) -> Cid:
    try:
        return unlink(data)
    except ValueError as error:
        raise SchemaError(str(error)) from None
