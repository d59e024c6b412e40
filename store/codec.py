r"""DAG-CBOR: encoding, and decoding of trusted and untrusted blocks.

IPLD kinds map to plain Python: None, bool, int, float, str, bytes, list, dict with str keys, and links as
`cbor2.CBORTag(42, b"\0" + cid)`, which are much cheaper than the CID objects of `dag-cbor`, the public codec and our
test oracle. The encoder also takes a `LinkedCid` for a link. Source: https://ipld.io/specs/codecs/dag-cbor/spec/ and
RFC 8949.

The encoder is stricter and faster than `cbor2.dumps`, which would also write sets, dates and half floats. `decode` is
`cbor2.loads`, but rejects the tags that cbor2 converts to other types. `decode_strict` encodes the result again and
compares: the encoder has exactly one form for each value, so equal bytes are canonical (and this is faster than a
strict decoder in Python).

cbor2 6 takes decoders for tags and a nesting limit. cbor2 5, which packages such as vyper require, takes neither: its
input is checked first, in Python, with the same results.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NoReturn

import cbor2
from cbor2 import CBORDecodeError, CBORSimpleValue, CBORTag, loads

from store.cid import BLAKE2B_CID_LENGTH, CBOR_CID_PREFIX, RAW_CID_PREFIX, Cid, CidError, show, split_cid

TAKES_LIMITS: Final = hasattr(cbor2, "shareable_decoder")
"""True under cbor2 6, whose `loads` takes `semantic_decoders` and `max_depth`."""

FOREIGN_TAGS: Final = frozenset(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
)
"""Tags that cbor2 decodes to other types: dates, bignums, shared references, patterns, sets and so on."""

_BREAK: Final = 0xFF
_INDEFINITE: Final = 1 << 70
"""Value of `left` for an array or string of indefinite length; larger than the number of items in any input."""
_INDEFINITE_MAP: Final = 1 << 72
"""Value of `left` for a map of indefinite length.

It counts keys and values, so it is odd after a key without a value.
"""


class LoadingError(ValueError):
    """Raised for a disallowed tag, too many nesting levels, or a break or simple value that is not well-formed."""


def loader(max_depth: int) -> Callable[[bytes], Any]:
    """Return a function that decodes the first CBOR item of its argument.

    The function raises ValueError, OverflowError or CBORDecodeError. It rejects tags in `FOREIGN_TAGS` and more than
    `max_depth` levels of arrays, maps and tags.
    """
    if TAKES_LIMITS:
        refused = {tag: partial(_refuse_tag, tag) for tag in FOREIGN_TAGS}
        return partial(loads, semantic_decoders=refused, max_depth=max_depth)

    def load(data: bytes) -> Any:
        check(data, max_depth)
        return loads(data)

    return load


def check(data: bytes, max_depth: int) -> None:
    """Raise LoadingError if cbor2 5 accepts the first item of `data` and cbor2 6 refuses it.

    Input that both versions reject, such as a truncated item, may pass.
    """
    position, end = 0, len(data)
    outer: list[int] = []
    """Number of items left in each enclosing container."""
    left = 1
    while True:
        while left == 0:
            if not outer:
                return
            left = outer.pop()
        if position >= end:
            return
        head = data[position]
        if head == _BREAK and left > _INDEFINITE // 2:
            if left > _INDEFINITE and left % 2:
                raise LoadingError("a map ends after a key")
            left = 0
            position += 1
            continue
        left -= 1
        size = _SIZES[head]
        if size:
            position += size
            continue
        argument, position = _argument(data, position)
        major = head >> 5
        if major in (2, 3) and argument != _INDEFINITE:
            position += argument
            continue
        if major == 6 and argument in FOREIGN_TAGS:
            _refuse_tag(argument)
        if major == 7:
            if argument < 32 or argument == _INDEFINITE:
                raise LoadingError("a break or a simple value is not well-formed")
            continue
        outer.append(left)
        left = _items(major, argument)
        if major > 3 and len(outer) > max_depth:
            raise LoadingError(f"more than {max_depth} levels of arrays, maps and tags")


def _items(major: int, argument: int) -> int:
    """Return the number of items in an array, a map, a tag, or a string in parts."""
    if major == 6:
        return 1
    if major == 5:
        return _INDEFINITE_MAP if argument == _INDEFINITE else 2 * argument
    return argument


def _argument(data: bytes, position: int) -> tuple[int, int]:
    """Return the argument of the head at `position`, and the position after the head."""
    information = data[position] & 31
    position += 1
    if information < 24:
        return information, position
    if information == 31:
        return _INDEFINITE, position
    end = position + (1 << (information & 3))
    return int.from_bytes(data[position:end]), end


def _size(head: int) -> int:
    """Return the encoded size of an item without nested items, or 0 if its first byte does not determine it."""
    major, information = head >> 5, head & 31
    if major in (2, 3) and information < 24:
        return 1 + information
    if major in (0, 1) or (major == 7 and information not in (24, 31)):
        return 1 + (1 << (information - 24) if 24 <= information < 28 else 0)
    return 0


def _refuse_tag(tag: int, *_: object) -> NoReturn:
    raise LoadingError(f"tag {tag} is not allowed: DAG-CBOR has only tag 42")


_SIZES: Final = bytes(_size(head) for head in range(256))


MAX_DEPTH: Final = 256
"""Maximum nesting depth of arrays and maps, for encoding and decoding."""

LINK_TAG: Final = 42
LINK_HEAD: Final = b"\xd8\x2a\x58\x27\x00"
"""Bytes that precede a version 1 CID with a 32-byte blake2b-256 digest in an encoded link."""

_USUAL_CIDS = (CBOR_CID_PREFIX, RAW_CID_PREFIX)
_LINK_STARTS = (b"\x00" + CBOR_CID_PREFIX, b"\x00" + RAW_CID_PREFIX)
_USUAL_LENGTH = 1 + BLAKE2B_CID_LENGTH
_USUAL_LINK_HEAD = b"\xd8\x2a\x58\x27"
"""Tag 42 and the byte string head of the most common link."""
_DOUBLE = struct.Struct(">d")
_WORD16, _WORD32 = struct.Struct(">BH"), struct.Struct(">BI")
"""CBOR heads with 16-bit and 32-bit arguments."""
_load: Final = loader(MAX_DEPTH + 1)  # cbor2 counts a link as a level


PLAIN_KINDS: Final[Mapping[type, str]] = {
    bool: "bool", int: "int", float: "float", str: "string", bytes: "bytes", list: "list", dict: "map",
    type(None): "null",
}  # fmt: skip
"""Mapping from Python types to the kinds of the IPLD data model, without links."""


class CodecError(ValueError):
    """Raised for bytes that are not DAG-CBOR, or for a value that DAG-CBOR cannot represent."""


def _heads(major: int) -> tuple[bytes, ...]:
    return tuple(bytes((major << 5 | n,)) if n < 24 else bytes((major << 5 | 24, n)) for n in range(256))


_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = (_heads(major) for major in range(6))


def link(cid: bytes) -> Any:
    """Return the value that represents a link to `cid`."""
    return CBORTag(LINK_TAG, b"\x00" + cid)


def unlink(value: Any) -> Cid:
    """Return the CID of a link. Raises CodecError if the value is not a link."""
    if type(value) is CBORTag and value.tag == LINK_TAG:
        raw = value.value
        if type(raw) is bytes and raw[:1] == b"\x00":
            return Cid(raw[1:])
    raise CodecError(f"expected a link, found {_kind(value)}")


def kind_of(value: Any) -> str:
    """Return the IPLD data model kind of a value, or the name of its Python type if it has none."""
    known = PLAIN_KINDS.get(type(value))
    if known is not None:
        return known
    if isinstance(value, bytes):  # a subclass, such as a CID that prints as text
        return "link" if isinstance(value, LinkedCid) else "bytes"
    return "link" if type(value) is CBORTag and value.tag == LINK_TAG else type(value).__name__


def encode(value: Any) -> bytes:
    """Return the canonical DAG-CBOR encoding of a value. Raises CodecError if it has none.

    Tuples are encoded as lists, bytearrays and memoryviews as bytes, a `LinkedCid` as a link. Integers must be in the
    range -2^64 to 2^64 - 1, floats finite and map keys str.
    """
    # One loop for all levels, with exact types, the most frequent first, and calls for rare values only: committing a
    # block spends much of its time here. `outer` holds the iterators of the enclosing levels.
    is_list = type(value) is list  # nearly every block is a list
    items: Iterator[Any] = iter(value if is_list else (value,))
    parts: list[bytes] = [_ARRAY[len(value)] if len(value) < 256 else _long_head(4, len(value))] if is_list else []
    outer: list[Iterator[Any]] = []
    while True:
        for item in items:
            kind = type(item)
            if kind is bytes:
                length = len(item)
                parts.append(_BYTES[length] if length < 256 else _long_head(2, length))
                parts.append(item)
            elif kind is int and 65_536 <= item < 1 << 32:
                parts.append(_WORD32.pack(0x1A, item))
            elif kind is int:
                parts.append(
                    _UINT[item]
                    if 0 <= item < 256
                    else _WORD16.pack(0x19, item)
                    if 0 < item < 65_536
                    else _rarer_integer(item)
                )
            elif kind is list or kind is tuple:
                length = len(item)
                parts.append(_ARRAY[length] if length < 256 else _long_head(4, length))
                outer.append(items)
                items = iter(item)
                break
            elif kind is CBORTag:
                raw = item.value
                usual = item.tag == LINK_TAG and type(raw) is bytes and len(raw) == _USUAL_LENGTH
                parts.append(_USUAL_LINK_HEAD if usual and raw[:7] in _LINK_STARTS else _link_head(item))
                parts.append(raw)
            elif kind is LinkedCid and len(item) == BLAKE2B_CID_LENGTH and item[:6] in _USUAL_CIDS:
                parts.append(LINK_HEAD)
                parts.append(item)
            elif item is None:
                parts.append(b"\xf6")
            elif kind is bool:
                parts.append(b"\xf5" if item else b"\xf4")
            elif kind is str:
                raw = item.encode() if item.isascii() else _utf8(item)
                parts.append(_TEXT[len(raw)] if len(raw) < 256 else _long_head(3, len(raw)))
                parts.append(raw)
            elif kind is dict:
                length = len(item)
                parts.append(_MAP[length] if length < 256 else _long_head(5, length))
                outer.append(items)
                items = iter(_in_key_order(item))
                break
            elif kind is float and math.isfinite(item):
                parts.append(b"\xfb" + _DOUBLE.pack(item))
            else:
                items = chain((_plain(item),), items)
                break
        else:
            if not outer:
                return b"".join(parts)
            items = outer.pop()
            continue
        if len(outer) + is_list > MAX_DEPTH:
            raise CodecError(f"more than {MAX_DEPTH} nested arrays and maps")


def decode(data: bytes) -> Any:
    """Decode a trusted block: fast, and not strict about canonical form.

    Only tag 42 is accepted, so that a block cannot make the decoder create anything but plain values. Raises CodecError
    if the bytes are not CBOR.
    """
    try:
        return _load(data)
    except (CBORDecodeError, ValueError, OverflowError) as error:
        raise CodecError(f"not DAG-CBOR: {error}") from None


def decode_strict(data: bytes) -> Any:
    """Decode canonical DAG-CBOR. Raises CodecError for anything else.

    Canonical are: shortest integers and lengths, text keys that are sorted (shorter first) and unique, definite
    lengths, valid UTF-8, 64-bit finite floats, links with exactly one CID, no other tag, no undefined or simple value,
    no trailing bytes, and at most 256 levels.
    """
    value = decode(data)
    canonical = encode(value)
    if canonical != data:
        pairs = zip(canonical, bytes(data), strict=False)
        at = next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), min(len(data), len(canonical)))
        raise CodecError(f"not canonical DAG-CBOR: byte {at} differs from the canonical encoding")
    return value


def array_head(length: int) -> bytes:
    """Return the CBOR head of an array with `length` items."""
    return _ARRAY[length] if length < 256 else _long_head(4, length)


def bytes_head(length: int) -> bytes:
    """Return the CBOR head of a byte string of `length` bytes."""
    return _BYTES[length] if length < 256 else _long_head(2, length)


def _long_head(major: int, number: int) -> bytes:
    if number < 256:
        return _heads(major)[number]
    if number < 1 << 16:
        return bytes((major << 5 | 25,)) + number.to_bytes(2, "big")
    if number < 1 << 32:
        return bytes((major << 5 | 26,)) + number.to_bytes(4, "big")
    if number < 1 << 64:
        return bytes((major << 5 | 27,)) + number.to_bytes(8, "big")
    raise CodecError("DAG-CBOR cannot represent an integer of more than 64 bits")


def _rarer_integer(value: int) -> bytes:
    """Return the encoding of an integer that is negative or longer than four bytes."""
    if value < 0:
        return _NEGATIVE[~value] if value >= -256 else _long_head(1, ~value)
    return _long_head(0, value)


def _in_key_order(value: dict[Any, Any]) -> list[Any]:
    """Return alternating keys and values of a map, sorted by encoded key."""
    keyed = []
    for key in value:
        if not isinstance(key, str):
            raise CodecError(f"map keys must be str, not {_kind(key)}")
        raw = key.encode() if key.isascii() else _utf8(key)
        keyed.append((len(raw), raw, key))
    keyed.sort()
    flat: list[Any] = []
    for _, _, key in keyed:
        flat += (key, value[key])
    return flat


def _plain(value: Any) -> Any:
    """Return a value of a rarer type as one of the types that `encode` knows. Raises CodecError if there is none."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CodecError(f"DAG-CBOR cannot represent {value}: floats must be finite")
        return float(value)
    if isinstance(value, int):  # IntEnum and similar types; bool is handled by `encode`
        return int(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, LinkedCid):
        return link(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (list, tuple)) and not isinstance(value, CBORSimpleValue):  # a tuple in cbor2 5
        return list(value)
    raise CodecError(f"DAG-CBOR cannot represent a value of type {_kind(value)}")


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise CodecError(f"{text!r} is not valid Unicode") from None


def _link_head(value: CBORTag) -> bytes:
    """Return the bytes before the content of a link. Raises CodecError for a tag that is not a link to one CID."""
    if value.tag != LINK_TAG:
        raise CodecError(f"tag {value.tag} is not allowed in DAG-CBOR (only links, tag {LINK_TAG})")
    raw = value.value
    if type(raw) is not bytes:
        raise CodecError("the content of a link must be a byte string")
    if raw[:1] != b"\x00":
        raise CodecError("the content of a link must start with the byte 0x00")
    try:
        split_cid(raw[1:])
    except CidError as error:
        raise CodecError(f"a link must hold exactly one CID: {error}") from None
    return b"\xd8\x2a" + _BYTES[len(raw)]


def _kind(value: Any) -> str:
    return f"tag {value.tag}" if type(value) is CBORTag else type(value).__name__


if TYPE_CHECKING:
    from store.cid import Cid as _Cid
else:
    _Cid = bytes  # a class cannot inherit from a NewType at run time


class LinkedCid(_Cid):  # type: ignore[misc]  # the base is a NewType for the type checker
    r"""A CID that `store.codec.encode` writes as a link, and that prints as text. Equal to its bytes.

    >>> from store.cid import cid_of
    >>> LinkedCid(cid_of(b"\x80"))
    bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a
    """

    __slots__ = ()

    def __str__(self) -> str:
        return show(self)

    __repr__ = __str__


class RewrittenBlock(bytes):
    """A block that records which links are not in the block it was rewritten from. Behaves as its bytes."""

    before: Cid | None
    """CID of the original block; None if there is none."""
    links: list[Cid]
    """Links that the original block does not have, and possibly others of the block."""
