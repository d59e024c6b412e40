"""The interfaces of the built-in actors as IPLD schemas, one file per actor: state, parameters and return values.

Types are named `State`, `<Method>Params` and `<Method>Return`; the comment before a type has its method numbers.
Shared types are in common.ipldsch, which is prepended to every schema. removed.ipldsch has the parameters and return
values of methods that actors no longer have. Layouts are those of builtin-actors v18; a
type with the layout of an older version ends with the version. `store.schema` parses the files.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

NAMES = (
    "system", "init", "cron", "account", "storagepower", "storageminer", "storagemarket", "paymentchannel",
    "multisig", "reward", "verifiedregistry", "datacap", "placeholder", "evm", "eam", "ethaccount",
)  # fmt: skip
"""The actors, as a bundle's manifest names and orders them."""

SHARED = "common"
_REMOVED = "removed"
_FOLDER = Path(__file__).parent


@cache
def schema_text(name: str) -> str:
    """Return the schema of an actor, including the shared types. Raises KeyError for an unknown name."""
    return "\n".join(file_text(part) for part in (SHARED, name))


@cache
def removed_text() -> str:
    """Return the schema of the methods that actors no longer have, including the shared types."""
    return "\n".join((_FOLDER / f"{part}.ipldsch").read_text(encoding="utf-8") for part in (SHARED, _REMOVED))


def file_text(name: str) -> str:
    """Return the schema file of an actor, or the shared types (`SHARED`). Raises KeyError for an unknown name."""
    if name not in (*NAMES, SHARED):
        raise KeyError(name)
    return (_FOLDER / f"{name}.ipldsch").read_text(encoding="utf-8")
