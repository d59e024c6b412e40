"""Calldata and return values of the lab `facade`."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from random import Random
from typing import Any, Final

from bridge.actors.binding import Codec
from bridge.actors.exported_methods import INTERFACES
from bridge.actors.schemas import actor_schema, methods
from hypervisor.types import ActorID
from hypervisor_labs.facade import SELECTOR, FacadeFunction, FacadeRefusal, facade
from hypervisor_labs.strict_abi import NotEncodable, read_all
from store.cid import CBOR, cid_of
from store.codec import CodecError, decode_strict, link
from store.codec import encode as encode_cbor
from store.schema.types import Bytes, Kinded, Link, List, SchemaError, Simple, Struct, Term, Union, Unit
from tests.fuzz import trees
from tests.fuzz.target import Target

ME: Final = ActorID(5)
_FACADE_WORD: Final = 32
_NUMBERS: Final = (0, 1, 2, 31, 32, 33, 64, 96, 128, 2**32, 2**63, 2**64, 2**255, 2**256 - 1)


def run_facade(data: bytes) -> bool:
    """Run an input: the first byte selects a function, the second calldata or a CBOR return value."""
    if len(data) < 2:
        return False
    function = _functions()[data[0] % len(_functions())]
    return _calldata(function, data[2:]) if data[1] % 2 else _answer(function, data[2:])


def _calldata(function: FacadeFunction, arguments: bytes) -> bool:
    try:
        params = function.params(function.selector + arguments)
    except FacadeRefusal as refusal:
        _error(refusal)
        return False
    values = decode_strict(params) if params else []
    if function.inputs or params:
        again = values if function.takes_tuple else [values]
        assert function.arguments.write(again) == arguments
        _bound(function, "params", params)
    return True


def _answer(function: FacadeFunction, returned: bytes) -> bool:
    try:
        answer = function.encode_return(ME, returned or None)
    except FacadeRefusal as refusal:
        _error(refusal)
        with suppress(SchemaError, CodecError):
            _bound(function, "returns", returned)
        return False
    values = read_all(function.results, answer)
    if returned:
        _bound(function, "returns", returned)
        assert encode_cbor(values if function.returns_tuple else values[0]) == _shortest(returned, function)
    return True


def _bound(function: FacadeFunction, side: str, data: bytes) -> None:
    """Check that the bindings re-encode what they decode, or raise SchemaError or CodecError."""
    name = getattr(methods(function.actor)[function.method], side)
    if name is None:
        return
    codec: Codec = import_module(f"bridge.bindings.{function.actor}").CODEC
    try:
        value = codec.decode(name, data)
    except SchemaError:  # addresses are the actors' to check: the facade lets any bytes pass
        return
    assert codec.decode(name, codec.encode(name, value)) == value


def _shortest(returned: bytes, function: FacadeFunction) -> bytes:
    """Return values without leading zeros in amounts, as the facade writes them."""
    values = decode_strict(returned)
    written = function.results.write(values if function.returns_tuple else [values])
    again = read_all(function.results, written)
    return encode_cbor(again if function.returns_tuple else again[0])


def _error(refusal: FacadeRefusal) -> None:
    assert len(refusal.data) % _FACADE_WORD == SELECTOR


@cache
def _functions() -> tuple[FacadeFunction, ...]:
    return tuple(function for actor in INTERFACES for function in facade(actor).values())


def _input(place: int, side: int, rng: Random) -> bytes:
    """Return a call of a function, or a return value of its types."""
    function = _functions()[place]
    terms = methods(function.actor)[function.method]
    name = terms.params if side else terms.returns
    if name is None:
        return bytes((place, side))
    value = _value(function.actor, name, rng)
    if not side:
        return bytes((place, side)) + encode_cbor(value)
    try:
        return bytes((place, side)) + function.arguments.write(value if function.takes_tuple else [value])
    except NotEncodable:  # a number that the type does not have
        return bytes((place, side))


def _value(actor: str, term: Term, rng: Random, nullable: bool = False) -> Any:
    if nullable and rng.random() < 0.5:
        return None
    schema = actor_schema(actor)
    name = schema.name_of(term) if isinstance(term, str) else ""
    if name in ("BigInt", "TokenAmount", "DataCap"):
        return rng.choice((b"", b"\0\5", b"\1\5", b"\0" + b"\x7f" * 32, b"\0" + b"\xff" * 32, b"\0\0\7"))
    if name == "Address":
        return rng.choice((b"\0\x64", b"\4\x0a" + bytes(20), b"\1" + bytes(20), b"none"))
    kind = schema.type_of(term)
    match kind:
        case Simple("int"):
            return rng.choice(trees.NUMBERS) if rng.random() < 0.1 else rng.randrange(200)
        case Simple("bool"):
            return rng.random() < 0.5
        case Simple("string"):
            return rng.choice(trees.TEXTS)
        case Bytes():
            return rng.randbytes(rng.randrange(40))
        case Unit("null"):
            return None
        case Link():
            return link(cid_of(b"cid", CBOR))
        case List(value, inner):
            return [_value(actor, value, rng, inner) for _ in range(rng.randrange(3))]
        case Struct(fields):
            return [_value(actor, part.type, rng, part.nullable) for part in fields.values()]
        case Union(members, Kinded()):
            return _value(actor, rng.choice(list(members.values())), rng)
        case _:
            raise AssertionError(kind)


def facade_seeds() -> Iterator[bytes]:
    rng = Random(1)
    for place in range(len(_functions())):
        yield _input(place, 0, rng)
        yield _input(place, 1, rng)


def mutate_facade(data: bytes, rng: Random) -> bytes:
    """Return other values in the same form, or a changed word, byte or length."""
    if len(data) < 2 or rng.random() < 0.6:
        place = data[0] % len(_functions()) if data and rng.random() < 0.5 else rng.randrange(len(_functions()))
        return _input(place, rng.randrange(2), rng)
    head, rest = data[:2], data[2:]
    if head[1] % 2 == 0:
        return head + _changed_calldata(rest, rng)
    at = _FACADE_WORD * rng.randrange(max(1, len(rest) // _FACADE_WORD))
    match rng.randrange(5):
        case 0:
            return head + rest[:at] + rest[at : at + _FACADE_WORD] + rest[at:]
        case 1:
            return head + rest[:at] + rng.choice(_NUMBERS).to_bytes(_FACADE_WORD, "big") + rest[at + _FACADE_WORD :]
        case 2:
            return (
                head
                + rest[:at]
                + (_FACADE_WORD * rng.randrange(12)).to_bytes(_FACADE_WORD, "big")
                + rest[at + _FACADE_WORD :]
            )
        case _:
            return head + trees.scrambled(rest, rng)


def _changed_calldata(returned: bytes, rng: Random) -> bytes:
    try:
        return encode_cbor(trees.mutated(decode_strict(returned), rng))
    except CodecError:
        return trees.scrambled(returned, rng)


FACADE_TARGET = Target(run_facade, facade_seeds, mutate_facade, share=60, longest=1500)
