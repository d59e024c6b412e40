"""Parameters and results between contracts and actors: CBOR of fixed shapes, ABI of fixed calls."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from bridge.ethereum.reverts import error_text, revert_reason
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
from hypervisor.errors import MessageError
from hypervisor.integers import encode_bigint
from store.cid import CBOR, RAW, cid_of
from store.codec import encode, link
from tests.fuzz import trees
from tests.fuzz.target import Target, cbor_mutation

_WORD = 32


def run(data: bytes) -> bool:
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


def seeds() -> Iterator[bytes]:
    address = bytes(range(20))
    yield encode([address, b"code"])
    yield encode([link(cid_of(b"code", RAW)), b"data", address, encode_bigint(10**18)])
    yield encode([1000, b"\2" + address, address])
    yield encode([1000, None, address])
    yield encode(b"bytes")
    yield encode([b"\1"])
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


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a changed call, or changed CBOR."""
    if rng.random() < 0.5:
        return _call(rng) if rng.random() < 0.7 else trees.scrambled(_call(rng), rng)
    return _changed(data, rng)


_changed = cbor_mutation(seeds)


TARGET = Target(run, seeds, mutate, share=150, longest=600)
