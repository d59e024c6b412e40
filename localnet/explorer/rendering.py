"""Rendering of templates: Jinja2 with autoescaping, and the text and number filters.

Jinja2 is imported when the first page is rendered. Untrusted text first passes through `hypervisor.text`, which
makes invisible characters visible (control codes, bidirectional overrides, incomplete characters) and truncates long
text. Then HTML is escaped.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bridge.ethereum.addresses import EthAddress, checksummed, from_delegated
from hypervisor.messages.address import Address
from hypervisor.text import printable, show_fil
from store.cid import Cid, show

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE: Final = Path(__file__).parent
ASSETS: Final = {"explorer.css": "text/css; charset=utf-8", "explorer.js": "text/javascript; charset=utf-8"}
"""The files that pages load, with their types."""
_MIN_SHORTENED: Final = 22
_MAX_TEXT: Final = 2_000
_LATEST: Final = 253_402_300_799
"""Unix time of the end of the year 9999; later dates cannot be formatted."""


@cache
def asset(name: str) -> tuple[bytes, str]:
    """Return a static file and a tag that changes with its content."""
    content = (_HERE / "static" / name).read_bytes()
    return content, sha256(content).hexdigest()[:16]


def render(template: str, **values: Any) -> bytes:
    """Render a page. Lone surrogates become question marks."""
    return _environment().get_template(template).render(values).encode("utf-8", "replace")


def show_address(address: Address) -> str:
    """Return the 0x form of an f410 address, and Filecoin's form of any other address."""
    found = from_delegated(address)
    return str(address) if found is None else checksummed(found)


def show_ethereum(address: EthAddress) -> str:
    """Format an Ethereum address with its checksum."""
    return checksummed(address)


def _shorten(text: str) -> str:
    """Return the beginning and the end of a long text."""
    return text if len(text) <= _MIN_SHORTENED else f"{text[:8]}…{text[-4:]}"


def _fil(amount: int) -> str:
    return show_fil(amount) if amount else "0 FIL"


def _when(timestamp: int) -> str:
    if not 0 <= timestamp <= _LATEST:
        return f"{timestamp} s"
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _number(value: int) -> str:
    return f"{value:,}"


def _text(value: object, limit: int = _MAX_TEXT) -> str:
    return printable(str(value), limit)


def _cid(value: Cid) -> str:
    return show(value)


def _asset_address(name: str) -> str:
    return f"/assets/{name}?v={asset(name)[1]}"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        autoescape=True,
        loader=FileSystemLoader(_HERE / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update({
        "cid": _cid, "cut": _shorten, "eth": show_ethereum, "fil": _fil, "n": _number, "text": _text, "when": _when,
        "address": show_address,
    })  # fmt: skip
    made.globals["asset"] = _asset_address
    return made
