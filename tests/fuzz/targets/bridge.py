"""Solidity's ABI, RLP, and parameters between contracts and actors."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any

import rlp as ethereum_rlp
from eth_abi.abi import encode

from bridge.abi.abi import AbiMismatch, ContractInterface
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
from hypervisor.types import encode_bigint
from store.cid import CBOR, RAW, cid_of
from store.codec import encode as encode_cbor
from store.codec import link
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
