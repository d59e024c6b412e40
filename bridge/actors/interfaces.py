"""Actor interfaces as data: methods by name, encoding of Python or JSON values as CBOR, and decoding of return values.

    interface = Interface.parse(text)                       # an IPLD schema: types State, AddParams, AddReturn
    interface.params("Add", {"amount": 5})                  # CBOR for the message
    interface.decode_return("Add", receipt.return_data)     # 5

For user actors, whose schema is known at run time; built-in actors also have generated bindings. Names are those of
`builtin_actors/schemas`, whose shared types (Address, TokenAmount, ...) are available to every interface. A method
whose parameters or return value are a unit has no block for them.

Methods that later versions removed are listed, too. Sources: the method numbers of the crates `fil_actor_*_state` (v10
to v19), and the fallbacks of builtin-actors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from bridge.abi.abi import ContractInterface
from bridge.actors.exported_methods import INTERFACES
from bridge.actors.schemas import AMOUNTS, FIXED_NUMBERS, ActorMethod, actor_schema, meaning, methods_of, term_below
from bridge.ethereum.addresses import eth_address, to_filecoin
from bridge.filecoin.method_numbers import MethodNameError
from hypervisor.builtin_actors.schemas import removed_text
from hypervisor.errors import AddressError, InvalidInput
from hypervisor.messages.address import Address
from hypervisor.types import METHOD_SEND, MethodNumber, encode_bigint, octets, whole_number
from store.cid import CidError, from_public, parse_cid, show, split_cid
from store.codec import MAX_DEPTH, CodecError, decode, encode, kind_of, link, unlink
from store.schema import Record, Schema, SchemaError
from store.schema.language import parse
from store.schema.types import Bytes, Link, List, Map, Simple, Struct, Term, Union, Unit, member_name

_FOLDER: Final = Path(__file__).parent.parent / "solidity"
MAX_METHOD: Final = (1 << 64) - 1
MAX_SCHEMA: Final = 1 << 18
"""Maximum length of a schema in characters."""
MAX_TYPES: Final = 200
"""Maximum number of types of a schema (the storage miner has 91)."""

_METHODS: Final = re.compile(r"^[ \t]*#[ \t]*methods:[ \t]*([0-9].*)$", re.MULTILINE)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,19}")
_HOOKS: Final = {
    "UniversalReceiverParams": ("account", "ethaccount", "evm", "multisig", "placeholder", "verifiedregistry"),
    "AuthenticateMessageParams": ("account", "evm"),
    "AuthenticateMessageReturn": ("account", "evm"),
}
"""Shared types that belong to methods, with the actors that have them; for other actors the names are coincidental."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A schema, and the methods derived from its type names, by name."""

    schema: Schema
    methods: Mapping[str, tuple[MethodNumber, ActorMethod]]

    @classmethod
    def parse(cls, text: str, name: str = "the schema") -> Interface:
        """Parse a user's schema. Raises InvalidInput, with the line, if it is invalid.

        Methods whose numbers are not hashes of their names are listed in a comment: `# methods: 2 Post, 3 Take`.
        """
        if len(text) > MAX_SCHEMA:
            raise InvalidInput(f"{name} exceeds {MAX_SCHEMA:,} characters")
        shared = actor_schema("placeholder")
        try:
            types, advanced = parse(text)
            if not 1 <= len(types) <= MAX_TYPES:
                raise InvalidInput(f"{name} declares {len(types) or 'no'} types: expected 1 to {MAX_TYPES}")
            own = Schema({**shared.types, **types}, tuple(dict.fromkeys((*shared.advanced, *advanced))))
            return cls(own, _by_name(methods_of(types, _fixed_numbers(text, name))))
        except (SchemaError, MethodNameError) as error:
            raise InvalidInput(f"{name} is not an interface: {error}") from None

    @classmethod
    def built_in(cls, actor: str) -> Interface:
        schema, shared = actor_schema(actor), actor_schema("placeholder").types
        types = [name for name in schema.types if name not in shared or actor in _HOOKS.get(name, ())]
        return cls(schema, _by_name(methods_of(types, FIXED_NUMBERS.get(actor, ""))))

    def number(self, method: str) -> MethodNumber:
        """Return the number of a method. Raises InvalidInput with the known methods."""
        return self._method(method)[0]

    def method_at(self, number: int) -> ActorMethod | None:
        """Return the method with a number, or None."""
        if number == METHOD_SEND:
            return ActorMethod("Send")
        return next((known for each, known in self.methods.values() if each == number), None)

    def method_name(self, method: str | int) -> str | None:
        """Return the name of a method given by name or number; None for an unknown number."""
        if isinstance(method, str):
            return method
        known = self.method_at(method)
        return known.name if known is not None and known.name in self.methods else None

    def message(self, method: str | int, value: Any = None, cbor: bytes | None = None) -> tuple[MethodNumber, bytes]:
        """Return number and parameters of a message; `method` is a name or number, `cbor` replaces typed values.

        Raises InvalidInput like `params`, and for typed values of an unknown method.
        """
        name = self.method_name(method)
        if isinstance(method, int):
            number = MethodNumber(whole_number(method, "a method number", 0, MAX_METHOD))
        else:
            number = self.number(method)
        if cbor is not None:
            if value is not None:
                raise InvalidInput("parameters are given both as values and in CBOR: omit one of them")
            return number, octets(cbor, "parameters")
        if name is not None:
            return number, self.params(name, value)
        if value is not None:
            raise InvalidInput(f"the interface has no method {method}: pass its parameters in CBOR")
        return number, b""

    def params(self, method: str, value: Any = None) -> bytes:
        """Encode a method's parameters from Python or JSON values as CBOR; empty if the method takes none.

        Structs are mappings, or lists of all fields in order; amounts integers or decimal text, addresses `Address` or
        text in any form, byte strings bytes or 0x and hex digits, links a CID (bytes, text or `multiformats.CID`) or
        {"/": CID}. Raises InvalidInput, with the path.
        """
        term = self._method(method)[1].params
        if term is None or isinstance(self.schema.type_of(term), Unit):
            if value is not None:
                raise InvalidInput(f"{method} takes no parameters")
            return b""
        try:
            return encode(self.schema.write(term, from_json(self.schema, term, value)))
        except (SchemaError, CodecError) as error:
            raise InvalidInput(f"parameters of {method}: {error}") from None

    def decode_return(self, method: str, data: bytes) -> Any:
        """Decode a return value: structs as records, amounts as integers, addresses as `Address`; None if it is empty.

        Raises InvalidInput for data that does not match the schema.
        """
        term = self._method(method)[1].returns
        if term is None or isinstance(self.schema.type_of(term), Unit):
            if data:
                raise InvalidInput(f"return value of {method}: expected none, found {len(data)} bytes")
            return None
        try:
            return to_python(self.schema, term, self.schema.read(term, decode(data)))
        except (SchemaError, CodecError) as error:
            raise InvalidInput(f"return value of {method}: {error}") from None

    def answer(self, method: str, data: bytes) -> Any:
        """Former name of `decode_return`, until version 0.4."""
        return self.decode_return(method, data)

    def return_as_json(self, name: str | int, data: bytes) -> Any:
        """Decode a return value to JSON (`as_json`); to hex for an unknown method."""
        method = self.method_name(name)
        if method is None:
            return f"0x{data.hex()}" if data else None
        self.decode_return(method, data)
        term = self._method(method)[1].returns
        if term is None or not data:
            return None
        return as_json(self.schema, term, self.schema.read(term, decode(data)))

    def signature(self, method: str) -> str:
        """Format a method's signature: its name, parameters and return value."""
        _, known = self._method(method)
        return f"{method}({self._format_term(known.params)})" + (
            f" -> {words}" if (words := self._format_term(known.returns)) else ""
        )

    def _method(self, method: str) -> tuple[MethodNumber, ActorMethod]:
        found = self.methods.get(method)
        if found is None:
            raise InvalidInput(
                f"the interface has no method '{method}': expected one of {', '.join(sorted(self.methods))}"
            )
        return found

    def _format_term(self, term: str | None) -> str:
        match None if term is None else self.schema.type_of(term):
            case None | Unit():
                return ""
            case Struct(fields):
                return ", ".join(f"{name}: {_name(field.type)}" for name, field in fields.items())
            case Simple(kind):
                return kind.capitalize()
            case _:
                return self.schema.name_of(term or "")


UNKNOWN_INTERFACE: Final = Interface(actor_schema("placeholder"), {})
"""Interface of an unknown actor."""


def to_python(schema: Schema, term: Term, value: Any) -> Any:
    """Convert a value returned by `Schema.read`, with amounts as integers and addresses as `Address`."""
    match value:
        case bytes():
            return meaning(schema, term, value)
        case dict():
            return Record({key: to_python(schema, _below(schema, term, key), item) for key, item in value.items()})
        case list():
            return [to_python(schema, term_below(schema, term, ""), item) for item in value]
        case _:
            return unlink(value) if kind_of(value) == "link" else value


def as_json(schema: Schema, term: Term, value: Any) -> Any:
    """Convert a value returned by `Schema.read` to JSON, by its type.

    Amounts become decimal text, addresses text, byte strings 0x and hex digits, and links {"/": CID}.
    """
    match value:
        case bytes():
            found = meaning(schema, term, value)
            return "0x" + found.hex() if isinstance(found, bytes) else str(found)
        case dict():
            return {str(key): as_json(schema, _below(schema, term, key), item) for key, item in value.items()}
        case list():
            return [as_json(schema, term_below(schema, term, ""), item) for item in value]
        case _:
            return {"/": show(unlink(value))} if kind_of(value) == "link" else value


def from_json(schema: Schema, term: Term, value: Any) -> Any:
    """Convert Python or JSON values to the argument of `Schema.write`: the inverse of `as_json` and `to_python`.

    Raises SchemaError, with the path.
    """
    _check_depth(value)
    return _to_value(schema, term, value)


def _fixed_numbers(text: str, name: str) -> str:
    """Return the rows of a schema's `# methods:` comments in the format of FIXED_NUMBERS. Raises InvalidInput."""
    lines = (line.split(",") for line in _METHODS.findall(text))
    rows = [" ".join(row.split()) for line in lines for row in line if row.strip()]
    for row in rows:
        number, _, method = row.partition(" ")
        if not _NUMBER.fullmatch(number) or not 2 <= int(number) <= MAX_METHOD or not method.isidentifier():
            raise InvalidInput(
                f"{name} has an invalid method '{row:.60}': expected a number from 2 on and a name, such as 2 Post"
            )
    if len({row.partition(" ")[end] for end in (0, 2) for row in rows}) < 2 * len(rows):
        raise InvalidInput(f"{name} has a duplicate method in its '# methods:' comments")
    return ", ".join(rows)


def _by_name(numbers: Mapping[MethodNumber, ActorMethod]) -> dict[str, tuple[MethodNumber, ActorMethod]]:
    found: dict[str, tuple[MethodNumber, ActorMethod]] = {}
    for number in sorted(numbers):
        found.setdefault(numbers[number].name, (number, numbers[number]))
    return found


def _below(schema: Schema, term: Term, step: Any) -> Term:
    kind = schema.type_of(term)
    if isinstance(kind, Union):
        return next(member for member in kind.members.values() if member_name(member) == step)
    return term_below(schema, term, step)


def _name(term: Term) -> str:
    match term:
        case str():
            return term
        case List(value):
            return f"[{_name(value)}]"
        case Map(key, value):
            return f"{{{key}:{_name(value)}}}"
        case Link(expected):
            return f"&{expected}"


# --- conversion of Python or JSON values for Schema.write -------------------------------------------------------------


def _check_depth(value: Any) -> None:
    """Raise SchemaError for nested data that no block may contain, before recursing into it."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for each in level if isinstance(each, Mapping | list | tuple) for item in _parts(each)]
        if not level:
            return
    raise SchemaError(f"more than {MAX_DEPTH} nested lists and maps")


def _parts(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


def _to_value(schema: Schema, term: Term, value: Any) -> Any:
    kind = schema.type_of(term)
    if isinstance(term, str) and schema.name_of(term) in AMOUNTS:
        return _amount(value)
    if isinstance(term, str) and schema.name_of(term) == "Address":
        return _address(value)
    match kind:
        case Bytes():
            return _bytes(value)
        case Link():
            return _link(value)
        case Struct(fields):
            return _fields(schema, {name: field.type for name, field in fields.items()}, value)
        case Map() | List() if isinstance(value, Mapping):
            return {key: _under(schema, term_below(schema, term, key), item, key) for key, item in value.items()}
        case List() if isinstance(value, list | tuple):
            inner = term_below(schema, term, "")
            return [_under(schema, inner, item, index) for index, item in enumerate(value)]
        case Union(members) if isinstance(value, Mapping):
            terms = {member_name(member): member for member in members.values()}
            return {key: _under(schema, terms[key], item, key) if key in terms else item for key, item in value.items()}
        case _:
            return value


def _fields(schema: Schema, terms: Mapping[str, Term], value: Any) -> dict[Any, Any]:
    if isinstance(value, list | tuple):
        if len(value) != len(terms):
            raise SchemaError(f"expected {len(terms)} values ({', '.join(terms)}), found {len(value)}")
        value = dict(zip(terms, value, strict=True))
    if not isinstance(value, Mapping):
        raise SchemaError(f"expected {{{', '.join(terms)}}}, found {_kind(value)}")
    return {
        name: item if item is None or name not in terms else _under(schema, terms[name], item, name)
        for name, item in value.items()
    }


def _under(schema: Schema, term: Term, value: Any, step: object) -> Any:
    try:
        return _to_value(schema, term, value)
    except SchemaError as error:
        raise error.below(step) from None


def _amount(value: Any) -> bytes:
    try:
        number = int(value) if isinstance(value, str) and len(value) <= 400 else value
    except ValueError:
        raise SchemaError(f"{value!r:.60} is not an amount: expected an integer, or decimal text") from None
    if type(number) is not int:
        raise SchemaError(f"expected an amount (an integer, or decimal text), found {_kind(value)}")
    try:
        return encode_bigint(number)
    except ValueError as error:
        raise SchemaError(f"{value!r:.60} is not an amount: {error}") from None


def _address(value: Any) -> bytes:
    try:
        match value:
            case Address():
                return value.to_bytes()
            case str() if value.startswith("0x"):
                return to_filecoin(eth_address(bytes.fromhex(value[2:]))).to_bytes()
            case str():
                return Address.parse(value).to_bytes()
            case _:
                raise SchemaError(f"expected an address, found {_kind(value)}")
    except SchemaError:
        raise
    except AddressError as error:
        raise SchemaError(str(error)) from None
    except ValueError as error:
        raise SchemaError(f"{value!r:.60} is not an address: {error}") from None


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        if value.startswith("0x"):
            return bytes.fromhex(value[2:])
    except ValueError:
        pass
    raise SchemaError(f"{value!r:.60} is not valid bytes: expected 0x and pairs of hex digits")


def _link(value: Any) -> Any:
    try:
        match value:
            case {"/": str(text), **rest} if not rest:
                return link(parse_cid(text))
            case str():
                return link(parse_cid(value))
            case bytes():
                split_cid(value)
                return link(value)
            case _ if kind_of(value) == "link":
                return value
            case _:
                from multiformats import CID

                return link(from_public(value)) if isinstance(value, CID) else value
    except CidError as error:
        raise SchemaError(str(error)) from None


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


REMOVED_NUMBERS: Final = {
    "storagemarket": "6 ActivateDeals, 8 ComputeDataCommitment",
    "storageminer": "6 PreCommitSector, 7 ProveCommitSector, 8 ExtendSectorExpiration, 17 ConfirmSectorProofsValid,"
    " 25 PreCommitSectorBatch, 26 ProveCommitAggregate, 27 ProveReplicaUpdates, 29 ProveReplicaUpdates2",
    "storagepower": "8 SubmitPoRepForBulkVerify",
}
"""Methods by number that actors had since version 10 and lost in a later one, in the format of FIXED_NUMBERS."""

_EXPORTED: Final = 1 << 24
FALLBACKS: Final = {"evm": 1024, "account": _EXPORTED, "ethaccount": _EXPORTED, "multisig": _EXPORTED}
"""First number of the open range of each actor: without a method of that number, it accepts any parameters."""


@cache
def removed_interface(actor: str) -> Interface:
    """Return the interface of an actor's removed methods; its schema has the types of the current ones too."""
    removed = Schema.parse(removed_text())
    known = actor_schema(actor)
    schema = Schema({**removed.types, **known.types}, tuple(dict.fromkeys((*removed.advanced, *known.advanced))))
    numbers = REMOVED_NUMBERS.get(actor, "")
    found = methods_of(removed.types, numbers) if numbers else {}
    own = [row.split() for row in numbers.split(", ") if row]
    methods: dict[str, tuple[MethodNumber, ActorMethod]] = {
        name: (MethodNumber(int(number)), found[MethodNumber(int(number))]) for number, name in own
    }
    return Interface(schema, methods)


def has_fallback(actor: str, number: int) -> bool:
    """Return True if an actor accepts a method number without a name, with any parameters."""
    return actor in FALLBACKS and number >= FALLBACKS[actor]


@cache
def solidity_interface(actor: str) -> ContractInterface | None:
    """Return the ABI of a built-in actor's Solidity interface, including the errors, or None if it has none."""
    name = INTERFACES.get(actor)
    if name is None:
        return None
    return ContractInterface(json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))
