"""Cheatcodes that convert values to strings and back."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import partial
from string import ascii_letters
from typing import Any, Final

from bridge.ethereum.addresses import checksummed
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, check_size, check_type
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from hypervisor_tools.soltest.cheatcodes.text.json_text import to_text

MAX_DECIMALS: Final = 77
_HEX: Final = re.compile(r"[0-9a-fA-F]*")
_DIGITS: Final = re.compile(r"[0-9]*")
_PREFIXED: Final = re.compile(r"[+-]?0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+) *")


def show(kind: str, value: Any) -> str:
    """Return a value as forge prints it."""
    if kind.endswith("[]"):
        return f"[{', '.join(show(kind[:-2], item) for item in value)}]"
    if kind == "address":
        return checksummed(value)
    if kind == "bool":
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return str(value)


def units(number: int, decimals: int) -> str:
    """Return a number in units of 10^decimals."""
    if decimals > MAX_DECIMALS:
        return str(number)
    whole, rest = divmod(abs(number), 10**decimals)
    return f"{'-' if number < 0 else ''}{whole}.{str(rest).rjust(decimals, '0')}"


def _to_string(kind: str) -> None:
    cheatcode(f"toString({kind})", returns="string")(lambda _context, value: show(kind, value))


for _kind in ("address", "bytes", "bytes32", "bool", "uint256", "int256"):
    _to_string(_kind)


# --- strings to values ----------------------------------------------------------------------------------------------


class _Malformed(ValueError):
    """A string that is not a valid value, and the position of the error."""

    def __init__(self, reason: str, at: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at


def read_value(text: str, kind: str, shown: str | None = None) -> Any:
    """Return the value of a string. Raises CheatcodeFailure, whose message has `shown` instead of the string."""
    try:
        return _read(text, kind)
    except _Malformed as error:
        name = to_text(text) if shown is None else shown
        marked = f"parser error:\n{shown or text}\n{' ' * (0 if shown else error.at)}^\n{error.reason}"
        raise CheatcodeFailure(f"failed parsing {name} as type `{kind}`: {marked}") from None
    except ValueError as error:
        name = to_text(text) if shown is None else shown
        raise CheatcodeFailure(f"failed parsing {name} as type `{kind}`: {error}") from None


def _read(text: str, kind: str) -> Any:
    if kind.endswith("[]"):
        if not text.startswith("["):
            raise _Malformed("expected `[`")
        inner = text.removeprefix("[").removesuffix("]")
        return [_read(part.strip().strip("\"'"), kind[:-2]) for part in inner.split(",")] if inner.strip() else []
    if kind == "string":
        return text
    if kind == "bool":
        if text.lower() in ("true", "1"):
            return True
        if text.lower() in ("false", "0"):
            return False
        raise _Malformed("invalid boolean", len(text) - len(text.lstrip(ascii_letters)))
    if kind in ("bytes", "address") or kind.startswith("bytes"):
        return _read_bytes(text, kind)
    return read_number(text, kind)


def _read_bytes(text: str, kind: str) -> bytes:
    is_prefixed = text.startswith("0x")
    found = _HEX.match(text, 2 if is_prefixed else 0)
    digits, end = (found[0], found.end()) if found else ("", 0)
    if not digits and not is_prefixed and (text or kind == "address"):
        raise _Malformed("expected hex digits or the `0x` prefix for an empty hex string")
    at = end if kind not in ("bytes", "address") else 0
    wanted = 20 if kind == "address" else None if kind == "bytes" else int(kind[5:])
    is_odd = len(digits) % 2 == 1
    if is_odd or not text or (wanted is not None and len(digits) != 2 * wanted):
        if not is_prefixed and end == len(text) and kind != "address":
            raise ValueError(_NO_PREFIX)
        raise _Malformed("odd number of digits" if is_odd else "invalid string length", at)
    if end < len(text):
        raise _Malformed("", end)
    return bytes.fromhex(digits)


def read_number(text: str, kind: str) -> int:
    """Return a number in decimal, hexadecimal or exponent notation. Raises ValueError."""
    unsigned = kind.startswith("u")
    bits = int(kind.removeprefix("u").removeprefix("int") or 256)
    if unsigned and text.startswith(("+", "-")):
        raise _Malformed("expected at least one digit")
    prefixed = _PREFIXED.fullmatch(text)
    number = int(text.rstrip(" "), 0) if prefixed else _decimal(text)
    low, high = (0, 1 << bits) if unsigned else (-(1 << (bits - 1)), 1 << (bits - 1))
    if low <= number < high:
        return number
    if unsigned and number < 0:
        raise _Malformed("expected at least one digit")
    if "e+" in text:
        raise _Malformed(_TOO_LARGE, len(text))
    raise ValueError(_NO_PREFIX if len(text) % 2 == 0 else _TOO_LARGE)


_UNITS: Final = {"wei": 0, "gwei": 9, "ether": 18}
_MAX_POWER: Final = 400
"""Limit of the exponent, so that no huge power is computed; 10^400 exceeds every type."""
_TOO_LARGE: Final = "number too large to fit in target type"
_NO_PREFIX: Final = 'missing hex prefix ("0x") for hex string'


def _decimal(text: str) -> int:
    found = re.fullmatch(r"([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))? *(wei|gwei|ether)?", text, re.ASCII)
    if found is None:
        if _HEX.fullmatch(text):
            raise ValueError(_NO_PREFIX)
        start = re.match("[+-]?(?:0[xX])?", text)
        begin = start.end() if start else 0
        digits = (_HEX if begin > 1 else _DIGITS).match(text, begin)
        at = digits.end() if digits else begin
        if at > begin and text[at:].isalpha():  # a unit is read as a word
            at = len(text)
        raise _Malformed("" if at > begin else "expected at least one digit", at)
    sign, whole, rest, exponent, unit = found.groups()
    rest = rest or ""
    power = int(exponent or 0) + _UNITS[unit or "wei"]
    if power < 0:
        raise _Malformed("negative units not allowed", len(text))
    if len(rest) > power:
        if power == 0 and rest.strip("0"):
            raise _Malformed(f"non-zero fraction .{int(rest)} not allowed", len(text))
        raise _Malformed(f"expected at most {power} decimals, got {len(rest)}", len(text))
    number: int = int(whole + rest) * 10 ** min(power - len(rest), _MAX_POWER)
    return -number if sign == "-" else number


def _parse(name: str, kind: str) -> None:
    cheatcode(f"{name}(string)", returns=kind)(lambda _context, text: read_value(text, kind))


for _name, _kind in (
    ("parseBytes", "bytes"), ("parseAddress", "address"), ("parseUint", "uint256"), ("parseInt", "int256"),
    ("parseBytes32", "bytes32"), ("parseBool", "bool"),
):  # fmt: skip
    _parse(_name, _kind)


def is_type(kind: str) -> bool:
    """Return True if a string is an ABI type."""
    from eth_abi.abi import is_encodable_type
    from eth_abi.exceptions import ABITypeError

    try:
        return is_encodable_type(check_type(kind))
    except (ABITypeError, ValueError):
        return False


# --- strings to strings ---------------------------------------------------------------------------------------------


@cheatcode("replace(string,string,string)", returns="string")
def _replace(_context: Context, text: str, old: str, new: str) -> str:
    # A lower bound of the result's size: each character has at least one byte.
    check_size(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def split_text(text: str, delimiter: str) -> list[str]:
    """Split a string; an empty delimiter gives an empty string, each character, and an empty string.

    Raises CheatcodeFailure if the result is too large.
    """
    check_size(64 * (text.count(delimiter) + 1) + len(text))  # an offset, a length and the characters
    return text.split(delimiter) if delimiter else ["", *text, ""]


def _index(text: str, key: str) -> int:
    at = text.encode().find(key.encode())
    return (1 << 256) - 1 if at < 0 else at


def _base64(encode: Callable[[bytes], bytes], data: bytes | str) -> str:
    return encode(data.encode() if isinstance(data, str) else data).decode()


for _signatures, _returns, _function in (
    (("toLowercase(string)",), "string", str.lower),
    (("toUppercase(string)",), "string", str.upper),
    (("trim(string)",), "string", str.strip),
    (("split(string,string)",), "string[]", split_text),
    (("indexOf(string,string)",), "uint256", _index),
    (("contains(string,string)",), "bool", str.__contains__),
    (("toBase64(bytes)", "toBase64(string)"), "string", partial(_base64, base64.b64encode)),
    (("toBase64URL(bytes)", "toBase64URL(string)"), "string", partial(_base64, base64.urlsafe_b64encode)),
):
    cheatcode(*_signatures, returns=_returns)(lambda _context, *values, function=_function: function(*values))
