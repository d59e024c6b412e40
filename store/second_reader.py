"""A second strict reader of DAG-CBOR, which shares no code with `store.codec`: the public package `dag-cbor`.

What comes from elsewhere can be read by both: a block that either refuses, or that they read differently, is not taken.
It reads a quarter of a megabyte a second, so it is asked for by name (`hypervisor car verify --strict`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from store.codec import CodecError, decode_strict, kind_of, unlink


def check_twice(data: bytes) -> None:
    """CodecError if the bytes are not the one DAG-CBOR form of a value, in the eyes of both readers."""
    from dag_cbor.decoding.err import CBORDecodingError

    ours = decode_strict(data)
    try:
        theirs = _reader()(data)
    except (CBORDecodingError, ValueError, LookupError, OverflowError) as error:  # not all of them foreseen there
        words = str(error).splitlines() or [type(error).__name__]
        raise CodecError(f"dag-cbor refuses it: {words[-1].lstrip('^ ')}") from None
    if not _same(ours, theirs):
        raise CodecError("dag-cbor reads another value in it")


@cache
def _reader() -> Any:
    """The package's decoder, which knows the hash of sealed sectors by name only."""
    import dag_cbor
    from multiformats import multihash

    name = "poseidon-bls12_381-a2-fc1"
    if not multihash.is_implemented(name):
        multihash.raw.register(name, _not_computed, 32)
    return dag_cbor.decode


def _not_computed(data: object, size: int | None = None) -> bytes:
    raise NotImplementedError("sectors are not hashed here")


def _same(ours: Any, theirs: Any) -> bool:
    match kind_of(ours):
        case "link":
            return kind_of(theirs) == "CID" and bytes(theirs) == unlink(ours)
        case "list":
            return type(theirs) is list and len(ours) == len(theirs) and all(map(_same, ours, theirs))
        case "map":
            return type(theirs) is dict and [*ours] == [*theirs] and all(map(_same, ours.values(), theirs.values()))
        case _:
            return type(ours) is type(theirs) and bool(ours == theirs)
