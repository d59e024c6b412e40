"""DAG-JSON: the IPLD data model as JSON, for the command line, selectors and fixtures.

Values are those of `store.codec`. Links are {"/": "CID"}, bytes {"/": {"bytes": "base64 without padding"}}; keys are
sorted and the output is compact. Source: https://ipld.io/specs/codecs/dag-json/spec/
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from decimal import Decimal
from typing import Any

from store.cid import CidError, parse_cid, show
from store.codec import MAX_DEPTH, CodecError, kind_of, link, unlink
from store.untrusted import parse_json

_RESERVED = "/"


def encode_json(value: Any) -> str:
    """Return the canonical DAG-JSON encoding of a value. Raises CodecError if it has none."""
    parts: list[str] = []
    _write(value, parts, MAX_DEPTH)
    return "".join(parts)


def decode_json(text: str | bytes) -> Any:
    """Decode DAG-JSON with any whitespace and key order. Raises CodecError if the text is not DAG-JSON.

    Rejects duplicate keys, invalid numbers, maps with the single reserved key "/" that are neither links nor bytes, and
    more than 256 levels.
    """
    try:
        plain = parse_json(text, object_pairs_hook=_unique)
    except CodecError:
        raise
    except ValueError as error:
        raise CodecError(f"not DAG-JSON: {error}") from None
    return _read(plain, MAX_DEPTH)


def _write(value: Any, parts: list[str], depth: int) -> None:
    match kind_of(value):
        case "null":
            parts.append("null")
        case "bool":
            parts.append("true" if value else "false")
        case "int":
            if not -(1 << 64) <= value < 1 << 64:
                raise CodecError("DAG-JSON cannot represent an integer of more than 64 bits")
            parts.append(str(value))
        case "float":
            parts.append(_float(value))
        case "string":
            parts.append(_text(value))
        case "bytes":
            parts.append(f'{{"/":{{"bytes":"{b64encode(value).decode().rstrip("=")}"}}}}')
        case "link":
            try:
                parts.append(f'{{"/":"{show(unlink(value))}"}}')
            except CidError as error:
                raise CodecError(f"a link must hold exactly one CID: {error}") from None
        case "list":
            _write_list(value, parts, depth)
        case "map":
            _write_map(value, parts, depth)
        case other:
            raise CodecError(f"DAG-JSON cannot represent a value of type {other}")


def _write_list(value: list[Any], parts: list[str], depth: int) -> None:
    _check_depth(depth)
    parts.append("[")
    for number, item in enumerate(value):
        if number:
            parts.append(",")
        _write(item, parts, depth - 1)
    parts.append("]")


def _write_map(value: dict[Any, Any], parts: list[str], depth: int) -> None:
    _check_depth(depth)
    if not all(isinstance(key, str) for key in value):
        raise CodecError("map keys must be str")
    if _RESERVED in value and _is_reserved(value):
        raise CodecError('a map whose only key is "/" would be read as a link or as bytes')
    parts.append("{")
    for number, key in enumerate(sorted(value, key=lambda key: _utf8(key))):
        if number:
            parts.append(",")
        parts.append(_text(key) + ":")
        _write(value[key], parts, depth - 1)
    parts.append("}")


def _is_reserved(value: dict[str, Any]) -> bool:
    if len(value) != 1:
        return False
    inner = value[_RESERVED]
    return type(inner) is str or (type(inner) is dict and inner.keys() == {"bytes"} and type(inner["bytes"]) is str)


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise CodecError(f"DAG-JSON cannot represent {value}: floats must be finite")
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + int(exponent)  # position of the decimal point, counted from the first digit
    # Formatted like JavaScript numbers, as other implementations do, except that a float always has a decimal point.
    if text == "0":
        number = "0.0"
    elif 0 < point <= 21:
        number = f"{text[:point].ljust(point, '0')}.{text[point:] or '0'}"
    elif -6 < point <= 0:
        number = f"0.{'0' * -point}{text}"
    else:
        number = f"{text[0]}{'.' if text[1:] else ''}{text[1:]}e{point - 1:+d}"
    return "-" * sign + number


def _text(text: str) -> str:
    _utf8(text)
    return json.dumps(text, ensure_ascii=False)


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise CodecError(f"{text!r} is not valid Unicode") from None


def _check_depth(depth: int) -> None:
    if depth == 0:
        raise CodecError(f"more than {MAX_DEPTH} nested lists and maps")


def _read(value: Any, depth: int) -> Any:
    if type(value) is list:
        _check_depth(depth)
        return [_read(item, depth - 1) for item in value]
    if type(value) is dict:
        _check_depth(depth)
        return _read_map(value, depth)
    if type(value) is int and not -(1 << 64) <= value < 1 << 64:
        raise CodecError("not DAG-JSON: an integer has more than 64 bits")
    if type(value) is float and not math.isfinite(value):
        raise CodecError("not DAG-JSON: a number is too large")
    if type(value) is str:
        _utf8(value)
    return value


def _read_map(value: dict[str, Any], depth: int) -> Any:
    if len(value) == 1 and _RESERVED in value:
        inner = value[_RESERVED]
        if type(inner) is str:
            try:
                return link(parse_cid(inner))
            except CidError as error:
                raise CodecError(f"not DAG-JSON: {error}") from None
        if type(inner) is dict and inner.keys() == {"bytes"} and type(inner["bytes"]) is str:
            return _bytes(inner["bytes"])
        raise CodecError('not DAG-JSON: the key "/" is reserved for links and bytes')
    return {key: _read(item, depth - 1) for key, item in value.items()}


def _bytes(text: str) -> bytes:
    try:
        data = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise CodecError(f"not DAG-JSON: invalid base64: {error}") from None
    if b64encode(data).decode().rstrip("=") != text:
        raise CodecError("not DAG-JSON: bytes must be canonical base64 without padding")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CodecError("not DAG-JSON: duplicate key")
    return found
