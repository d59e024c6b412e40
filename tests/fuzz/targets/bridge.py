"""Solidity's ABI, RLP, parameters between contracts and actors, and the facade."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from random import Random
from typing import Any, Final

import rlp as ethereum_rlp
from eth_abi.abi import encode

from bridge.abi.abi import AbiMismatch, ContractInterface
from bridge.abi.strict_abi import NotEncodable, read_all
from bridge.actors.binding import Codec
from bridge.actors.exported_methods import INTERFACES
from bridge.actors.facade import SELECTOR, FacadeFunction, FacadeRefusal, facade
from bridge.actors.schemas import actor_schema, methods
from bridge.ethereum import rlp
from bridge.ethereum.reverts import error_text, revert_reason
from bridge.ethereum.rlp import RlpError
from bridge.filecoin.call import AbiError, BlockTooLarge, decode_call, decode_method_return
from bridge.filecoin.cbor import ParamsError, byte_string, read_byte_string
from bridge.filecoin.parameters import (
    ConstructorParams,
    CreateReturn,
    DelegateCallParams,
    calldata_of,
    invoke_return,
    storage_key,
    unwrap_return,
)
from bridge.filecoin.receipts import Log
from hypervisor.errors import MessageError
from hypervisor.integers import encode_bigint
from hypervisor.types import ActorID
from store.cid import CBOR, RAW, cid_of
from store.codec import CodecError, decode_strict, link
from store.codec import encode as encode_cbor
from store.schema.types import Bytes, Kinded, Link, List, SchemaError, Simple, Struct, Term, Union, Unit
from tests.fuzz import trees
from tests.fuzz.target import Target, cbor_mutation

TYPES = (
    "uint256",
    "int8",
    "bool",
    "address",
    "bytes4",
    "bytes",
    "string",
    "uint256[]",
    "string[]",
    "uint8[3]",
    "bytes[2][]",
    "(uint256,string)",
    "(uint256,string)[]",
    "uint256[][]",
)
_VALUES: dict[str, Any] = {
    "uint256": 5,
    "int8": -1,
    "bool": True,
    "address": "0x" + "11" * 20,
    "bytes4": b"abcd",
    "bytes": b"bytes",
    "string": "text",
    "uint256[]": [1, 2],
    "string[]": ["a", "b"],
    "uint8[3]": [1, 2, 3],
    "bytes[2][]": [[b"x", b"y"]],
    "(uint256,string)": (1, "x"),
    "(uint256,string)[]": [(1, "x"), (2, "")],
    "uint256[][]": [[1], []],
}


def run_abi(data: bytes) -> bool:
    interface = _interface()
    taken = 0
    for read in (
        lambda: interface.decode_call(data),
        lambda: interface.decode_result(f"f{data[3] % len(TYPES)}" if len(data) > 3 else "f0", data[4:]),
    ):
        with suppress(AbiMismatch):
            taken += read() is not None
    interface.decode_revert(data)
    interface.function_name(data)
    topics = tuple(data[at : at + 32].ljust(32, b"\0") for at in range(0, min(len(data), 96), 32))
    taken += interface.decode_log(Log(topics, data[96:])) is not None
    return taken > 0


def _item(kind: str, name: str, **more: Any) -> dict[str, Any]:
    if kind.startswith("("):
        parts, rest = kind[1:].split(")")
        components = [_item(part, f"c{at}") for at, part in enumerate(parts.split(","))]
        return {"type": f"tuple{rest}", "name": name, "components": components, **more}
    return {"type": kind, "name": name, **more}


@cache
def _interface() -> ContractInterface:
    entries: list[dict[str, Any]] = []
    for at, kind in enumerate(TYPES):
        inputs = [_item(kind, "a"), _item("uint256", "b")]
        entries.append({"type": "function", "name": f"f{at}", "inputs": inputs, "outputs": [_item(kind, "")]})
        entries.append({"type": "error", "name": f"E{at}", "inputs": inputs})
        arguments = [_item(kind, "a", indexed=False), _item("uint256", "b", indexed=True)]
        entries.append({"type": "event", "name": f"L{at}", "inputs": arguments})
    return ContractInterface(entries)


@cache
def _inputs() -> list[bytes]:
    interface = _interface()
    inputs = []
    for at, kind in enumerate(TYPES):
        arguments = encode([kind, "uint256"], [_VALUES[kind], 7])
        inputs.append(interface.encode_call(f"f{at}", _VALUES[kind], 7))
        inputs.append(b"\0\0\0" + bytes((at,)) + encode([kind], [_VALUES[kind]]))
        inputs += [
            selector + arguments for selector in interface._errors if interface._errors[selector]["name"] == f"E{at}"
        ]
        for topic, _ in interface._events:
            if interface._events[topic, 1]["name"] == f"L{at}":
                inputs.append(topic + (9).to_bytes(32, "big") + bytes(32) + encode([kind], [_VALUES[kind]]))
    return inputs


def abi_seeds() -> Iterator[bytes]:
    yield from _inputs()


def mutate_abi(data: bytes, rng: Random) -> bytes:
    """Change a word, or repeat words."""
    if len(data) < 36 or rng.random() < 0.3:
        data = rng.choice(_inputs())
    at = 4 + 32 * rng.randrange((len(data) - 4) // 32 or 1)
    word = int.from_bytes(data[at : at + 32], "big")
    match rng.randrange(5):
        case 0:
            return data[:at] + data[at : at + 64] + data[at:]
        case 1:
            return data + rng.randbytes(32)
        case 2:
            return data[:at] + (32 * rng.randrange(9)).to_bytes(32, "big") + data[at + 32 :]
        case _:
            return data[:at] + (trees.random_number(rng, word) % 2**256).to_bytes(32, "big") + data[at + 32 :]


ABI_TARGET = Target(run_abi, abi_seeds, mutate_abi, share=60, longest=1500)


def run_rlp(data: bytes) -> bool:
    try:
        item = rlp.decode(data)
    except RlpError as error:
        if "are nested deeper" not in str(error) and _theirs(data) is not None:
            raise AssertionError(f"Ethereum's library takes what is refused here: {error}") from None
        return False
    assert rlp.encode(item) == data
    assert _theirs(data) == item
    with suppress(RlpError):
        rlp.read_number(item)
    return True


def _theirs(data: bytes) -> rlp.Item | None:
    try:
        item: rlp.Item = ethereum_rlp.decode(data, strict=True)
    except ethereum_rlp.exceptions.RLPException:
        return None
    except RecursionError:
        return None
    return item


def rlp_seeds() -> Iterator[bytes]:
    deep: rlp.Item = []
    for _ in range(12):
        deep = [deep]
    items: tuple[rlp.Item, ...] = (
        b"",
        b"\0",
        b"\x7f",
        b"\x80",
        b"a" * 55,
        b"a" * 56,
        b"a" * 300,
        [],
        [b""],
        [b"a", [b"b", []]],
        [b"x"] * 60,
        deep,
    )
    for item in items:
        yield rlp.encode(item)


def mutate_rlp(data: bytes, rng: Random) -> bytes:
    try:
        item = rlp.decode(data)
    except RlpError:
        item = rng.choice([*map(rlp.decode, rlp_seeds())])
    return rlp.encode(_plain(trees.mutated(item, rng)))


def _plain(value: object, depth: int = 12) -> rlp.Item:
    """Convert any value to one that RLP can encode."""
    if isinstance(value, list):
        return [_plain(part, depth - 1) for part in value] if depth else []
    if isinstance(value, int):
        return rlp.number(abs(value))
    return value if isinstance(value, bytes) else repr(value).encode()


RLP_TARGET = Target(run_rlp, rlp_seeds, mutate_rlp, share=60, longest=1024)


_WORD = 32


def run_params(data: bytes) -> bool:
    _unwrapped(data)
    revert_reason(data)
    error_text(data)
    assert calldata_of(RAW, data) == data
    return any([_shapes(data), _calls(data)])


def _unwrapped(data: bytes) -> None:
    unwrapped = unwrap_return(data)
    try:
        assert unwrapped == invoke_return(data)
    except ParamsError:
        assert unwrapped == data
    assert unwrap_return(byte_string(data)) == data


def _shapes(data: bytes) -> bool:
    readers: tuple[Callable[[bytes], Any], ...] = (
        ConstructorParams.decode,
        DelegateCallParams.decode,
        CreateReturn.decode,
        read_byte_string,
        storage_key,
    )
    taken = 0
    for read in readers:
        try:
            value = read(data)
        except (ParamsError, MessageError):
            continue
        taken += 1
        if isinstance(value, ConstructorParams | CreateReturn | DelegateCallParams):
            assert read(value.encode()) == value
        elif isinstance(value, bytes):
            assert read_byte_string(byte_string(value)) == value
    return taken > 0


def _calls(data: bytes) -> bool:
    taken = 0
    for read in (lambda: decode_call(data, True), lambda: decode_call(data, False), lambda: decode_method_return(data)):
        try:
            read()
        except (AbiError, BlockTooLarge):
            continue
        taken += bool(data)
    return taken > 0


def _words(*numbers: int) -> bytes:
    return b"".join((number % 2**256).to_bytes(_WORD, "big") for number in numbers)


def params_seeds() -> Iterator[bytes]:
    address = bytes(range(20))
    yield encode_cbor([address, b"code"])
    yield encode_cbor([link(cid_of(b"code", RAW)), b"data", address, encode_bigint(10**18)])
    yield encode_cbor([1000, b"\2" + address, address])
    yield encode_cbor([1000, None, address])
    yield encode_cbor(b"bytes")
    yield encode_cbor([b"\1"])
    yield _call(Random(1))
    yield bytes.fromhex("08c379a0") + _words(32, 4) + b"text".ljust(32, b"\0")
    yield bytes.fromhex("4e487b71") + _words(17)


def _call(rng: Random) -> bytes:
    """Return a call of a precompile, or the response of handle_filecoin_method."""
    method = rng.choice((0, 1024, 2**64 - 1, rng.choice(trees.NUMBERS)))
    params = rng.randbytes(rng.randrange(70))
    codec = rng.choice((CBOR, CBOR, CBOR, 0, 0x71))
    if rng.random() < 0.4:
        return _words(rng.choice((0, 1, 33, 2**32)), codec, 96, len(params)) + params
    offset = rng.choice((192, 192, 192, 0, 191, 2**32 - 1, 2**32))
    return (
        _words(method, rng.choice((0, 10**18)), rng.choice((0, 1)), codec, offset, rng.choice((100, 192)), len(params))
        + params
    )


def mutate_params(data: bytes, rng: Random) -> bytes:
    """Return a changed call, or changed CBOR."""
    if rng.random() < 0.5:
        return _call(rng) if rng.random() < 0.7 else trees.scrambled(_call(rng), rng)
    return _changed(data, rng)


_changed = cbor_mutation(params_seeds)


PARAMS_TARGET = Target(run_params, params_seeds, mutate_params, share=150, longest=600)


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
