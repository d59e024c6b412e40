"""The types of an actor's schema as Solidity types, with functions to convert their values.

    Int                             int128: every CBOR integer
    unsigned and signed scalars     uint64 and int64 (ExitCode: uint32)
    BigInt, TokenAmount, DataCap    int256: amounts of actors are signed
    Bool, String, Bytes             bool, string, bytes
    Address                         FilAddress { bytes data }: its bytes, as in filecoin-solidity
    a link                          Cid { bytes data }: the CID's bytes, without CBOR's leading zero byte
    a list                          T[]
    a struct                        a struct with the same fields, in camelCase
    a nullable value                T[] with at most one item
    a kinded union                  a struct of T[]s, exactly one of which has one item

Types are created once per schema. No method uses a map, a float or an untyped value; these raise TypeError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from bridge.abi.strict_abi import BOOL, BYTES, Coder, NotEncodable, array, map_coder, sequence, signed, unsigned
from bridge.actors.schemas import AMOUNTS, SIGNED, UNSIGNED, actor_schema
from hypervisor.bigint import decode_bigint, encode_bigint
from hypervisor.errors import MessageError
from store.cid import CidError, split_cid
from store.codec import CodecError, link, unlink
from store.schema.types import Bytes, Copy, Kinded, Link, List, Simple, Struct, Term, Tuple, Union

_NUMBERS: Final[dict[str, Coder]] = {
    **{name: unsigned(bits) for name, bits in UNSIGNED.items()},
    **{name: signed(bits) for name, bits in SIGNED.items()},
}
_CBOR_INT: Final = 1 << 64
_RESERVED: Final = {"address": "addr", "new": "new_address", "type": "kind"}


@dataclass(frozen=True, slots=True)
class AbiType:
    """A Solidity type: its coder, its name in source code, and the fields of a struct.

    `source` is the name in Solidity without the brackets of lists, whose number is `brackets`; `shared` is true for a
    struct used by several actors.
    """

    coder: Coder
    source: str
    parts: tuple[tuple[str, AbiType], ...] = ()
    brackets: int = 0
    shared: bool = False

    def list_of(self, max_items: int | None = None) -> AbiType:
        """Return T[] of this type."""
        return replace(self, coder=array(self.coder, max_items), brackets=self.brackets + 1)


def camel(name: str) -> str:
    """Convert a field's name to Solidity style: `num_approvals` to `numApprovals`."""
    first, *rest = _RESERVED.get(name, name).split("_")
    return first + "".join(word.capitalize() for word in rest)


def function_name(method: str) -> str:
    """Convert a method's name to a function's: `GetPeerID` to `getPeerID`."""
    return method[:1].lower() + method[1:]


class SolidityTypes:
    """The types of one actor's schema."""

    def __init__(self, actor: str) -> None:
        self.schema = actor_schema(actor)
        self._common = actor_schema("placeholder").types
        self._made: dict[str, AbiType] = {}

    def of(self, term: Term, nullable: bool = False) -> AbiType:
        made = self._type_of_name(term) if isinstance(term, str) else self._type_of_term(term)
        return optional(made) if nullable else made

    def fields(self, term: Term) -> tuple[tuple[str, AbiType], ...] | None:
        """Return the fields of a struct with their types, or None for other terms."""
        kind = self.schema.type_of(term)
        if not isinstance(kind, Struct):
            return None
        if not isinstance(kind.representation, Tuple) or kind.representation.order:
            raise TypeError(f"{term} is not a plain tuple")
        return tuple((name, self.of(field.type, field.nullable)) for name, field in kind.fields.items())

    def _type_of_name(self, name: str) -> AbiType:
        name = self.schema.name_of(name)
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._scalar(name) or self._composite(name)
        return made

    def _type_of_term(self, term: Term) -> AbiType:
        match term:
            case Link():
                return CID
            case List(value, nullable):
                return self.of(value, nullable).list_of()
            case _:
                raise TypeError(f"{term} has no type in Solidity")

    def _scalar(self, name: str) -> AbiType | None:
        if name in AMOUNTS:
            return AMOUNT
        if name == "Address":
            return ADDRESS
        number = _NUMBERS.get(name)
        return None if number is None else AbiType(number, number.name)

    def _composite(self, name: str) -> AbiType:
        kind = self.schema.type_of(name)
        match kind:
            case Bytes(None):
                return RAW_BYTES
            case Simple("int"):
                return INT
            case Simple("bool"):
                return BOOLEAN
            case Simple("string"):
                return STRING
            case Link() | List(advanced=None):
                return self._type_of_term(kind)
            case Struct():
                fields = self.fields(name) or ()
                coder = sequence([part.coder for _, part in fields])
                parts = tuple((camel(field), part) for field, part in fields)
                return AbiType(coder, name, parts, shared=name in self._common)
            case Union(representation=Kinded()):
                return self._choice(name, kind)
            case Copy() | _:
                raise TypeError(f"{name} has no type in Solidity")

    def _choice(self, name: str, kind: Union) -> AbiType:
        members = {data_kind: self.of(term) for data_kind, term in kind.members.items()}
        parts = tuple((f"{data_kind}Value", member.list_of(max_items=1)) for data_kind, member in members.items())
        return AbiType(_one_of([_KINDS[data_kind] for data_kind in members], parts), name, parts)


def optional(inner: AbiType) -> AbiType:
    """Return the type of a nullable value: a list of at most one item."""
    listed = inner.list_of(max_items=1)

    def write(value: Any) -> list[Any]:
        return [] if value is None else [value]

    return replace(listed, coder=map_coder(listed.coder, lambda items: items[0] if items else None, write))


_KINDS: Final = {"string": str, "bytes": bytes}


def _one_of(kinds: list[type], parts: tuple[tuple[str, AbiType], ...]) -> Coder:
    def read(lists: list[list[Any]]) -> Any:
        chosen = [items[0] for items in lists if items]
        if len(chosen) != 1:
            raise ValueError(f"expected exactly one choice, found {len(chosen)}")
        return chosen[0]

    def write(value: Any) -> list[list[Any]]:
        if type(value) not in kinds:
            raise NotEncodable(f"{value!r:.60} does not match any choice")
        return [[value] if type(value) is kind else [] for kind in kinds]

    return map_coder(sequence([part.coder for _, part in parts]), read, write)


def _in_struct(read: Callable[[Any], Any], write: Callable[[Any], Any]) -> Coder:
    """Return a coder for bytes in a struct with one field: `struct FilAddress { bytes data; }`."""
    return map_coder(sequence([BYTES]), lambda values: read(values[0]), lambda value: [write(value)])


def _same(value: Any) -> Any:
    return value


def _to_int(number: int) -> int:
    if not -_CBOR_INT <= number < _CBOR_INT:
        raise ValueError("the number exceeds the range of CBOR integers")
    return number


def _to_link(data: bytes) -> Any:
    try:
        split_cid(data)
    except CidError as error:
        raise ValueError(str(error)) from None
    return link(data)


def _from_link(value: Any) -> bytes:
    try:
        return bytes(unlink(value))
    except CodecError as error:
        raise NotEncodable(str(error)) from None


def _from_amount(data: Any) -> int:
    try:
        return decode_bigint(data)
    except MessageError as error:
        raise NotEncodable(str(error)) from None


def _to_text(data: bytes) -> str:
    return data.decode()  # UnicodeDecodeError is a ValueError


def _from_text(text: Any) -> bytes:
    if type(text) is not str:
        raise NotEncodable(f"{text!r:.60} is not text")
    return text.encode()


INT: Final = AbiType(map_coder(signed(128), _to_int, _same), "int128")
BOOLEAN: Final = AbiType(BOOL, "bool")
STRING: Final = AbiType(map_coder(BYTES, _to_text, _from_text, name="string"), "string")
RAW_BYTES: Final = AbiType(BYTES, "bytes")
AMOUNT: Final = AbiType(map_coder(signed(256), encode_bigint, _from_amount), "int256")
ADDRESS: Final = AbiType(_in_struct(_same, _same), "FilAddress", (("data", RAW_BYTES),), shared=True)
CID: Final = AbiType(_in_struct(_to_link, _from_link), "Cid", (("data", RAW_BYTES),), shared=True)
