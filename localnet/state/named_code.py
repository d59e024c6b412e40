"""Names and schemas of code outside the bundle of built-in actors.

A schema is either stored next to the local chain when code is installed, or embedded in the code: its custom section
`ipld.schema` contains the schema's text. The latter is on the chain, so forks, snapshots and other nodes have it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypervisor.bundles.bundle import check_sections, custom_section
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.machine.machine_state import NAME_PREFIX
from hypervisor.machine.registry import runtime_of_code, traits_of
from hypervisor.threads import BoundedCache
from store.blockstore import Blockstore, Store, StoreError
from store.cid import Cid, show, write_uvarint

if TYPE_CHECKING:
    from bridge.actors.interfaces import Interface

_INTERFACE_PREFIX: Final = b"interface/"
"""Prefix of metadata keys: the code CID follows, and the value is the text of its schema."""

SCHEMA_SECTION: Final = "ipld.schema"
"""Name of the custom section of a module that contains the text of its schema."""


@dataclass(frozen=True, slots=True)
class KnownSchema:
    """A schema's text, or the fault of one that cannot be used; neither if there is none.

    `is_local` is True if it is stored in the folder, next to the chain. `is_contract` is True for code of a runtime of
    contracts, whose states are those of the EVM actor.
    """

    text: str | None = None
    fault: str = ""
    is_local: bool = False
    is_contract: bool = False


_MAX_CACHED: Final = 1 << 22
_in_code: Final[BoundedCache[Cid, KnownSchema]] = BoundedCache(_MAX_CACHED, "named_code")
"""Schemas in code by code CID, which determines them."""


@dataclass(frozen=True, slots=True)
class NamedCode:
    """Code: its CID, its name in traces and logs, and its schema text; unknown values are None."""

    code: Cid
    name: str | None = None
    schema: str | None = None


def store_named_code(store: Store, *known: NamedCode) -> None:
    """Store the information about code, replacing earlier information."""
    texts = {NAME_PREFIX + each.code: each.name for each in known}
    texts |= {_INTERFACE_PREFIX + each.code: each.schema for each in known}
    metadata = {key: text.encode() for key, text in texts.items() if text is not None}
    if metadata:
        store.commit((), metadata)


def stored_interface(store: Store, code: Cid) -> Interface | None:
    """Return the known interface of code, None if there is none."""
    from bridge.actors.interfaces import Interface

    text = stored_schema(store, code)
    return None if text is None else Interface.parse(text, f"the schema of {show(code)}")


def stored_schema(store: Store, code: Cid) -> str | None:
    """Return the schema text stored for code, else the valid one in the code; None if there is none."""
    return schema_of_code(store, code).text


def schema_of_code(store: Store, code: Cid, blocks: Blockstore | None = None) -> KnownSchema:
    """Return the schema stored for code, else the one in the code, which `blocks` (default: the store) may have."""
    text = store.metadata(_INTERFACE_PREFIX + code)
    return _cached_schema(blocks or store, code) if text is None else KnownSchema(text.decode(), is_local=True)


def schema_in_module(module: bytes) -> str | None:
    """Return the schema text in a module, or None if it has none. Raises InvalidInput if it is not an interface."""
    from bridge.actors.interfaces import Interface

    section = custom_section(module, SCHEMA_SECTION)
    if section is None:
        return None
    name = f"the module's section {SCHEMA_SECTION}"
    try:
        text = section.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not text: {error}") from None
    Interface.parse(text, name)
    return text


def with_schema(module: bytes, text: str) -> bytes:
    """Return a module with a schema's text. Raises InvalidInput for an invalid schema, or if the module has one."""
    from bridge.actors.interfaces import Interface

    Interface.parse(text)
    check_sections(module)
    if custom_section(module, SCHEMA_SECTION) is not None:
        raise InvalidInput(f"the module already has a section {SCHEMA_SECTION}: build it without one")
    content = _with_length(SCHEMA_SECTION.encode()) + text.encode()
    return module + b"\0" + _with_length(content)


def _with_length(data: bytes) -> bytes:
    """Return bytes after their length in LEB128."""
    return write_uvarint(len(data)) + data


def _cached_schema(store: Blockstore, code: Cid) -> KnownSchema:
    """Return the schema in code; none if the code cannot be read."""
    known = _in_code.get(code)
    if known is not None:
        return known
    try:
        module = store.get(code)
    except (StoreError, HypervisorError):  # such as a fork without a connection: values are shown undecoded
        return KnownSchema()
    try:
        is_contract = traits_of(runtime_of_code(module)).is_contract
        known = KnownSchema(schema_in_module(module), is_contract=is_contract)
    except InvalidInput as error:
        known = KnownSchema(fault=str(error))
    return _in_code.setdefault(code, known, len(known.text or "") + len(known.fault) + len(code))
