"""Parts of all pages: templates, the frame around each page, requests, responses, errors and routes.

Jinja2 renders the templates with autoescaping; it is imported when the first page is rendered. Untrusted text first
passes through `hypervisor.text`, which makes invisible characters visible (control codes, bidirectional overrides,
incomplete characters) and truncates long text. Then HTML is escaped. Lists that the chain's thread modifies are copied
here atomically, so that a page sees a consistent list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress, checksummed, from_delegated
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.text import printable, show_fil
from hypervisor.versions.network_versions import network_version_row
from localnet.contracts.artifacts import ArtifactFolders
from localnet.contracts.named_interface import NamedInterface
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import Node, NodeReader
from localnet.state.controls import code_of
from store.cid import Cid, show
from store.keccak import keccak

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


MakeVector = Callable[[str], str]
"""Function that returns the test vector of a transaction by its hash, as JSON. Raises NoVector."""


FindSource = Callable[[EthAddress], "VerifiedSource | None"]
"""Function that returns the verified sources of the contract at an address, even if it is no longer deployed."""


@dataclass(frozen=True, slots=True)
class VerifiedSource:
    """Verified sources of a contract. `file` is the source with the contract, `code_hash` the hash of its code in hex.

    `output` has the compiler's storage layout, if there is one.
    """

    name: str
    file: str
    compiler: str
    settings: str
    runtime_match: str
    creation_match: str
    verified_at: str
    code_hash: str
    sources: Mapping[str, str]
    output: Mapping[str, Any]


class ComparedCall(NamedTuple):
    """A message with other results under B: gas and ends under A and B, and the first difference (`path`, `words`).

    `enough_gas` is the end under B with the highest gas limit, if the message succeeds under A only.
    """

    number: int
    case: str
    message: str
    kinds: str
    gas: tuple[int, int]
    ends: tuple[str, str]
    path: tuple[str, ...]
    words: tuple[str, ...]
    enough_gas: str = ""


class RecordedComparison(NamedTuple):
    """A comparison: both sides, the number of messages, those that differ, and cases that were not compared."""

    first: str
    second: str
    messages: int
    calls: tuple[ComparedCall, ...]
    skipped: tuple[tuple[str, str], ...]


class NoVector(Exception):
    """Raised, with the reason, for a message that cannot be represented as a vector."""


@dataclass(frozen=True, slots=True)
class PageFrame:
    """Header data of each page: the network, and its newest epoch."""

    head: int
    chain_id: int
    version: int
    version_name: str
    rules: str
    client: str
    has_comparison: bool


class Site:
    """The node's parameters and the frame of its pages."""

    def __init__(
        self,
        node: Node,
        artifacts: ArtifactFolders,
        vectors: MakeVector | None = None,
        sources: FindSource | None = None,
        comparison: RecordedComparison | None = None,
    ) -> None:
        """Create the site of a node.

        `vectors` makes the test vector of a transaction by its hash (`localnet.explorer.further_pages`);
        `sources` finds the verified sources of a contract. `comparison` is shown at `/comparison`.
        """
        self._node = node
        self.artifacts = artifacts
        self.vectors = vectors
        self.comparison = comparison
        self._sources = sources

    def page(self, reader: NodeReader, template: str, **values: Any) -> bytes:
        """Render a page within its frame."""
        return render(template, frame=self._frame(reader), **values)

    def makes_vectors(self, reader: NodeReader) -> bool:
        """Return True if messages can be downloaded as vectors: under Filecoin's rules, with a vector writer."""
        return self.vectors is not None and reader.network.rules.features.has_filecoin_blocks

    def interfaces(self) -> tuple[NamedInterface, ...]:
        """Return the contract interfaces that the network knows, those with an address first."""
        known = self._node.network.interfaces
        return (*(each for each in known if each.address), *(each for each in known if not each.address))

    def compiled_interfaces(self) -> tuple[NamedInterface, ...]:
        """Return the interfaces of the contracts compiled in the node's folders."""
        return tuple(NamedInterface(found.name, found.interface) for found in self.artifacts.contracts())

    def accounts(self) -> tuple[EthAddress, ...]:
        return self._node.unlocked

    def native_accounts(self) -> tuple[Address, ...]:
        """Return the native (f1) addresses of all accounts."""
        return tuple(account.native for account in self._node.network.accounts)

    def name_of(self, address: EthAddress) -> str:
        """Return the name of an account or a contract at an address, or an empty string."""
        accounts = self._node.network.accounts
        found = next((index for index, account in enumerate(accounts) if account.address == address), None)
        if found is not None:
            return f"account {found}"
        text = f"0x{address.hex()}"
        return next((each.name for each in self._node.network.interfaces if each.address == text), "")

    def compiled_name(self, machine: Hypervisor, address: Address) -> str:
        """Return the name of the compiled contract whose code runs at an address; empty if it is unknown."""
        found = self.artifacts.running(code_of(machine, address))
        return "" if found is None else found.name

    def source_of(self, machine: Hypervisor, address: Address) -> VerifiedSource | None:
        """Return the verified sources of the contract whose code is at an address."""
        code = b"" if self._sources is None else code_of(machine, address)
        actor = machine.actor(address) if code else None
        own = None if actor is None else from_delegated(actor.delegated_address)
        if self._sources is None or own is None:
            return None
        found = self._sources(own)
        return found if found is not None and found.code_hash == keccak(code).hex() else None

    def _frame(self, reader: NodeReader) -> PageFrame:
        network = reader.network
        return PageFrame(
            head=network.head.height,
            chain_id=network.chain_id,
            version=network.version,
            version_name=network_version_row(network.version, network.overlay).name,
            rules=network.rules.hardfork or network.rules.name,
            client=self._node.client_version,
            has_comparison=self.comparison is not None,
        )


HTML: Final = "text/html; charset=utf-8"
SVG: Final = "image/svg+xml"
COLLECTED_REMEDY: Final = "a node keeps more with --keep-states N, a Network with keep_states=N"
"""Remedy for a state that was collected."""


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A search result: the page's URL, its name, and its kind."""

    url: str
    name: str
    what: str


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page request: path parameters and query parameters. `url` is the node's URL as seen by the browser."""

    url: str
    path_params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, otherwise: int, maximum: int = (1 << 63) - 1) -> int:
        """Return a number from the query string. Raises PageError 400."""
        value = self.query.get(name, "")
        return otherwise if not value else parse_number(value, f"the query's '{name}'", maximum)


@dataclass(frozen=True, slots=True)
class PageResponse:
    """A response to a page request. `redirect_to` is the URL of a redirection."""

    body: bytes
    status: int = 200
    content_type: str = HTML
    redirect_to: str | None = None


@dataclass(frozen=True, slots=True)
class DeferredResponse:
    """A response computed outside the query threads, because it queries the node itself."""

    make: Callable[[], PageResponse]


class PageError(Exception):
    """An error page: the status, a title, and the reason with the invalid value."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(text)
        self.status, self.title, self.text = status, title, text


def not_found(text: str) -> PageError:
    """Return the 404 error for a valid path to something that does not exist."""
    return PageError(404, "Not found", text)


def malformed(text: str) -> PageError:
    """Return the error for a malformed page address."""
    return PageError(400, "This address cannot be read", text)


def collected_text(epoch: int, retained: int) -> str:
    """Return the error text for a state that was collected, with the option that keeps more states."""
    return f"the state of epoch {epoch} was collected: states are kept from epoch {retained} on ({COLLECTED_REMEDY})"


def parse_number(text: str, what: str, maximum: int = (1 << 63) - 1) -> int:
    """Parse a decimal number of at most `maximum`. Raises PageError 400."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) > maximum:
        raise malformed(f"{what} is {quote_value(text)}: expected a number from 0 to {maximum}")
    return int(text)


def quote_value(text: str) -> str:
    """Return a quoted value for an error message, truncated if it is long."""
    return f"'{text}'" if len(text) <= 80 else f"'{text[:80]}...' ({len(text):,} characters)"


View = Callable[[Site, NodeReader, PageRequest], PageResponse | DeferredResponse]


@dataclass(frozen=True, slots=True)
class PageRoute:
    """A URL pattern, matched in full, and its view."""

    pattern: re.Pattern[str]
    view: View
    kind: QueryKind = QueryKind.QUERY


def page_route(pattern: str, view: View, kind: QueryKind = QueryKind.QUERY) -> PageRoute:
    """Return a route for a regular expression."""
    return PageRoute(re.compile(pattern), view, kind)
