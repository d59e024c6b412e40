"""A second strict DAG-CBOR decoder, independent of `store.codec`: the public package `dag-cbor`.

Untrusted blocks can be checked with both decoders, and are rejected if either rejects them or the results differ. It
decodes about a quarter of a megabyte per second, so it is optional (`hypervisor car verify --strict`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from store.codec import CodecError, decode_strict, kind_of, unlink


def check_twice(data: bytes) -> None:
    """Raise CodecError unless both decoders accept the bytes as canonical DAG-CBOR of the same value."""
    from dag_cbor.decoding.err import CBORDecodingError

    ours = decode_strict(data)
    try:
        theirs = _reader()(data)
    except (CBORDecodingError, ValueError, LookupError, OverflowError) as error:  # not all are wrapped
        words = str(error).splitlines() or [type(error).__name__]
        raise CodecError(f"rejected by dag-cbor: {words[-1].lstrip('^ ')}") from None
    if not _same(ours, theirs):
        raise CodecError("dag-cbor decodes it to a different value")


@cache
def _reader() -> Any:
    """Return the package's decoder, extended by the name of the sealed sectors' hash function."""
    import dag_cbor
    from multiformats import multihash

    name = "poseidon-bls12_381-a2-fc1"
    if not multihash.is_implemented(name):
        multihash.raw.register(name, _not_computed, 32)
    return dag_cbor.decode


def _not_computed(data: object, size: int | None = None) -> bytes:
    raise NotImplementedError("sector hashes are not computed")


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
