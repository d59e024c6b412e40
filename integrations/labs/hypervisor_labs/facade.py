"""Built-in actors as Solidity functions: one per method, with calldata and return data.

    function = facade("storageminer")[selector]
    params = function.params(calldata)          # CBOR for the actor; FacadeRefusal has the revert data
    data = function.encode_return(actor, returned)  # ABI for the contract

Pure functions; `hypervisor_labs.facade_runtime` makes the calls. The types of an actor's schema become Solidity types:

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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from bridge.actors.exported_methods import PAYABLE, exported_methods
from bridge.actors.schemas import AMOUNTS, SIGNED, UNSIGNED, actor_schema, methods
from hypervisor.errors import MessageError
from hypervisor.types import ActorID, MethodNumber, decode_bigint, encode_bigint
from hypervisor_labs.strict_abi import (
    BOOL,
    BYTES,
    Coder,
    NotCanonical,
    NotEncodable,
    array,
    fixed_bytes,
    map_coder,
    read_all,
    sequence,
    signed,
    unsigned,
)
from store.cid import CidError, split_cid
from store.codec import CodecError, decode_strict, encode, link, unlink
from store.keccak import keccak
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


SELECTOR: Final = 4
_TEXT: Final = map_coder(BYTES, bytes.decode, str.encode, name="string")
_ID: Final = unsigned(64)

ERRORS: Final[Mapping[str, tuple[tuple[Coder, str], ...]]] = MappingProxyType({
    "ActorError": ((_ID, "actor"), (_ID, "method"), (unsigned(32), "exitCode"), (BYTES, "data")),
    "UnknownFunction": ((_ID, "actor"), (fixed_bytes(4), "selector")),
    "NotPayable": ((_ID, "actor"), (fixed_bytes(4), "selector")),
    "BadCalldata": ((unsigned(256), "position"), (_TEXT, "why")),
    "BadAnswer": ((_ID, "actor"), (_ID, "method"), (_TEXT, "why")),
})  # fmt: skip
"""Errors of the facade, with the types and names of their arguments."""


class FacadeRefusal(Exception):
    """Raised for a call that reverts; `data` is one of `ERRORS`, encoded."""

    def __init__(self, error: str, *values: Any) -> None:
        super().__init__(f"{error}({', '.join(map(str, values))})")
        self.data = _error_selectors()[error] + sequence([coder for coder, _ in ERRORS[error]]).write(list(values))


@dataclass(frozen=True, slots=True)
class FacadeFunction:
    """A method as a Solidity function.

    `inputs` and `outputs` have names and types: the fields of a struct (`takes_tuple`, `returns_tuple`), or a single
    value that is bare in CBOR. `arguments` and `results` are the coders for all of them together.
    """

    actor: str
    name: str
    method: MethodNumber
    mutability: str
    inputs: tuple[tuple[str, AbiType], ...]
    outputs: tuple[tuple[str, AbiType], ...]
    selector: bytes
    arguments: Coder
    results: Coder
    takes_tuple: bool
    returns_tuple: bool

    @property
    def signature(self) -> str:
        """The canonical signature, such as `transfer((bytes),int256,bytes)`."""
        return self.name + self.arguments.name

    @property
    def payable(self) -> bool:
        """True if a call may carry value."""
        return self.mutability == PAYABLE

    def params(self, calldata: bytes) -> bytes:
        """Return the actor's parameters in CBOR, empty if the method takes none. Raises FacadeRefusal."""
        try:
            values = read_all(self.arguments, calldata, SELECTOR)
            if not self.inputs and not self.takes_tuple:
                return b""
            return encode(values if self.takes_tuple else values[0])
        except NotCanonical as refused:
            raise FacadeRefusal("BadCalldata", refused.at, refused.reason) from None
        except (CodecError, MessageError) as error:
            raise FacadeRefusal("BadCalldata", SELECTOR, str(error)) from None

    def encode_return(self, actor: ActorID, data: bytes | None) -> bytes:
        """Return the actor's return data, or None for a method without any, as ABI. Raises FacadeRefusal."""
        try:
            if data is None:
                values: Any = []
            else:
                found = decode_strict(data)
                values = found if self.returns_tuple else [found]
            return self.results.write(values)
        except (NotEncodable, CodecError) as error:
            raise FacadeRefusal("BadAnswer", actor, self.method, str(error)) from None


@cache
def facade(actor: str) -> Mapping[bytes, FacadeFunction]:
    """Return the functions of a built-in actor by selector; empty if it has no interface."""
    types = SolidityTypes(actor)
    found = {}
    for method in exported_methods(actor):
        terms = methods(actor)[method.number]
        name = function_name(method.name)
        inputs, takes_tuple = _parameters(types, terms.params)
        outputs, returns_tuple = _parameters(types, terms.returns)
        arguments, results = (sequence([part.coder for _, part in parts]) for parts in (inputs, outputs))
        selector = bytes(keccak((name + arguments.name).encode())[:SELECTOR])
        found[selector] = FacadeFunction(
            actor, name, method.number, method.mutability, inputs, outputs, selector, arguments, results,
            takes_tuple, returns_tuple,
        )  # fmt: skip
    return MappingProxyType(found)


def _parameters(types: SolidityTypes, term: str | None) -> tuple[tuple[tuple[str, AbiType], ...], bool]:
    """Return the names and ABI types of a schema type, and True if it is a struct, whose fields they are."""
    if term is None:
        return (), False
    fields = types.fields(term)
    if fields is None:
        return ((_single_name(types, term), types.of(term)),), False
    return tuple((camel(name), part) for name, part in fields), True


_NAMES: Final = {"Address": "addr", "ActorID": "actor", "DealID": "deal", "SectorNumber": "sector", "BitField": "deals"}


def _single_name(types: SolidityTypes, name: str) -> str:
    """Return the argument name for a bare value of a type. Return values have no name."""
    return "" if name.endswith("Return") else _NAMES.get(types.schema.name_of(name), "changes")


@cache
def _error_selectors() -> Mapping[str, bytes]:
    return {
        name: bytes(keccak((name + sequence([coder for coder, _ in parts]).name).encode())[:SELECTOR])
        for name, parts in ERRORS.items()
    }
