"""Names and schemas of code that is not built in, stored beside the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypervisor.actor_log import NAME_PREFIX
from store.blockstore import Store
from store.cid import Cid, show

if TYPE_CHECKING:
    from bridge.interfaces import Interface

_INTERFACE_PREFIX: Final = b"interface/"
"""The metadata beside a chain that hold a schema's text, by the code CID that it is of."""


@dataclass(frozen=True, slots=True)
class NamedCode:
    """Code: its CID, its name in traces and logs, and its schema text; unknown values are None."""

    code: Cid
    name: str | None = None
    schema: str | None = None


def keep_named_code(store: Store, *known: NamedCode) -> None:
    """Store the information about code, replacing earlier information."""
    texts = {NAME_PREFIX + each.code: each.name for each in known}
    texts |= {_INTERFACE_PREFIX + each.code: each.schema for each in known}
    metadata = {key: text.encode() for key, text in texts.items() if text is not None}
    if metadata:
        store.commit((), metadata)


def stored_interface(store: Store, code: Cid) -> Interface | None:
    """Return the known interface of code, None if there is none."""
    from bridge.interfaces import Interface

    text = stored_schema(store, code)
    return None if text is None else Interface.parse(text, f"the schema of {show(code)}")


def stored_schema(store: Store, code: Cid) -> str | None:
    """Return the known schema text of code, None if there is none."""
    text = store.metadata(_INTERFACE_PREFIX + code)
    return None if text is None else text.decode()
