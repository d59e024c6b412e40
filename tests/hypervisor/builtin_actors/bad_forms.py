"""Bad parameters of a method, made from its schema: each form has one defect and a name.

They start from good parameters (`tests.hypervisor.builtin_actors.examples`). Each field is changed in turn, by its
type: amounts that are negative or above 2^256, unassigned addresses, reordered lists or lists with duplicates, numbers
out of range, other CBOR types. The encoding as a whole is truncated, extended, or not strict.
"""

from collections.abc import Iterator
from typing import Any, Final

from cbor2 import CBORTag

from bridge.actors.schemas import actor_schema, term_below
from hypervisor import Address
from hypervisor.bundles.manifest import Manifest
from store.schema.types import List, Simple, Struct, Term
from tests.hypervisor.builtin_actors.examples import ABSENT, Example, encoded, resolved
from tests.hypervisor.builtin_actors.people import STRANGER, amount, raw

NESTED: Final = 600
"""Depth of nested lists: enough to exhaust a recursive decoder's stack in the guest."""
MANY: Final = 300
"""Number of copies of an item: more than the limit of any list (a multisig has at most 256 signers)."""

_AMOUNTS: Final = {
    "negative": amount(-1), "2^256": amount(1 << 256), "-2^256": amount(-(1 << 256)), "129 bytes": b"\x00" * 129,
    "sign of 2": b"\x02\x01", "a sign alone": b"\x00", "zero with a byte": b"\x00\x00",
}  # fmt: skip
_ADDRESSES: Final = {
    "nobody's key": raw(STRANGER), "nobody's actor": raw(Address.actor(b"nobody")), "nobody's id": b"\x00\x9f\x8d\x06",
    "another namespace": raw(Address.delegated(11, bytes(20))), "protocol 9": b"\x09\x01", "no bytes": b"",
    "an id of eleven bytes": b"\x00" + b"\xff" * 10 + b"\x01", "55 bytes": b"\x04\x0a" + bytes(55), "id 2^64 - 1":
    b"\x00" + b"\xff" * 9 + b"\x01", "a padded id": b"\x00\xe4\x80\x00",
}  # fmt: skip
_INTEGERS: Final = {
    "-1": -1, "0": 0, "2^31": 2**31, "2^63 - 1": 2**63 - 1, "-2^63": -(2**63), "2^63": 2**63, "2^64 - 1": 2**64 - 1,
    "-2^64": -(2**64), "2^64": 2**64, "text": "1", "null": None, "1.0": 1.0,
}  # fmt: skip
_BYTES: Final = {"no bytes": b"", "one byte": b"\x01", "10,000 bytes": bytes(10_000), "text": "text", "null": None}
_SIGNATURES: Final = {
    "no signature": b"", "of type 2": b"\x02" + bytes(96), "of type 3": b"\x03" + bytes(65), "of zeros": b"\x01" +
    bytes(65), "of 300 bytes": b"\x01" + bytes(300), "null": None,
}  # fmt: skip
_BIT_FIELDS: Final = {
    "no bits": b"", "an open run": b"\xff" * 9, "version 1": b"\x01", "a zero at the end": b"\x0c\x00",
    "everything": b"\x04" + b"\xff" * 9 + b"\x01", "null": None,
}  # fmt: skip
BY_NAME: Final[dict[str, dict[str, Any]]] = {
    "Address": _ADDRESSES, "BigInt": _AMOUNTS, "TokenAmount": _AMOUNTS, "DataCap": _AMOUNTS,
    "ConstructorParams": _AMOUNTS, "Signature": _SIGNATURES, "BitField": _BIT_FIELDS,
}  # fmt: skip
"""The one type of constructor parameters that is a leaf is reward's: an amount."""
_BY_KIND: Final[dict[str, dict[str, Any]]] = {
    "int": _INTEGERS, "bool": {"1": 1, "null": None, "text": "true"},
    "string": {"bytes": b"text", "10,000 letters": "x" * 10_000, "no letters": "", "null": None},
}  # fmt: skip


def bad_forms(example: Example, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each bad form of an example's parameters."""
    if example.params is ABSENT:
        yield from {
            "parameters where there are none": b"\x80",
            "null": b"\xf6",
            "bytes that are no CBOR": b"\xff",
        }.items()
        return
    yield "absent", b""
    yield from _whole(example.encoded(manifest))
    type_name = example.schema_type
    for name, value in _inside(example.actor, type_name, example.params) if type_name else ():
        yield name, encoded(resolved(value, manifest))


def _whole(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Forms of the bytes as a whole."""
    yield "cut in the middle", good[: len(good) // 2]
    yield "cut by one byte", good[:-1]
    yield "one byte more", good + b"\x00"
    yield "twice", good * 2
    yield "an empty list", b"\x80"
    yield "an empty map", b"\xa0"
    yield "null", b"\xf6"
    yield "a list in a list", b"\x81" + good
    yield "lists without end", b"\x81" * NESTED + b"\x80"
    yield "a length of 2^32", b"\x9b\x00\x00\x00\x01\x00\x00\x00\x00"
    if good[0] >> 5 == 4 and good[0] & 31 < 24:
        yield "an open length", b"\x9f" + good[1:] + b"\xff"
        yield "a long head", bytes([0x98, good[0] & 31]) + good[1:]


def _inside(actor: str, term: Term, value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The value with one thing wrong, at each place in turn."""
    kind = actor_schema(actor).type_of(term)
    if isinstance(kind, Struct) and isinstance(value, list):
        yield from _in_struct(actor, term, kind, value, path)
    elif isinstance(kind, List) and isinstance(value, list):
        yield from _in_list(actor, term, value, path)
    else:
        for name, wrong in _leaf(actor, term, value):
            if wrong != value or type(wrong) is not type(value):
                yield f"{path or 'it'}: {name}", wrong


def _in_struct(actor: str, term: Term, kind: Struct, value: list[Any], path: str) -> Iterator[tuple[str, Any]]:
    here = f"{path}: " if path else ""
    yield f"{here}without the last field", value[:-1]
    yield f"{here}one field more", [*value, 0]
    yield f"{here}a map", dict(zip(kind.fields, value, strict=True))
    for place, name in enumerate(kind.fields):
        below = term_below(actor_schema(actor), term, name)
        for label, wrong in _inside(actor, below, value[place], f"{path}.{name}" if path else name):
            yield label, [*value[:place], wrong, *value[place + 1 :]]


def _in_list(actor: str, term: Term, value: list[Any], path: str) -> Iterator[tuple[str, Any]]:
    here = f"{path}: " if path else ""
    yield f"{here}empty", []
    yield f"{here}bytes", b"\x01\x02"
    if not value:
        return
    yield f"{here}the first one twice", [value[0], *value]
    yield f"{here}{MANY} of the first one", [value[0]] * MANY
    yield f"{here}null among them", [*value, None]
    if len(value) > 1:
        yield f"{here}in reverse", value[::-1]
    for label, wrong in _inside(actor, term_below(actor_schema(actor), term, "0"), value[0], f"{path}[0]"):
        yield label, [wrong, *value[1:]]


def _leaf(actor: str, term: Term, value: Any) -> Iterator[tuple[str, Any]]:
    """Wrong values for a leaf, by the name of its type, else by its kind."""
    schema = actor_schema(actor)
    named = schema.name_of(term) if isinstance(term, str) else ""
    kind = schema.type_of(term)
    if named in BY_NAME:
        yield from BY_NAME[named].items()
        yield "a number", 5
    elif isinstance(kind, Simple):
        yield from _BY_KIND.get(kind.kind, {}).items()
    elif isinstance(value, bytes):
        yield from _BYTES.items()
    else:
        yield from {"null": None, "bytes": b"\x01\x71", "a number": 5, "another tag": CBORTag(43, _link(value))}.items()


def _link(value: Any) -> Any:
    """Return the content of a link's tag; a `Code` is returned unchanged."""
    return value.value if isinstance(value, CBORTag) else value
