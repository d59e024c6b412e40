"""The built-in actors' interfaces as IPLD schemas, one file an actor: state, and parameters and returns of each method.

Types are called `State`, `<Method>Params` and `<Method>Return`; a comment before each gives the method's numbers. The
types that actors share are in common.ipldsch, which stands before every other. Layouts: builtin-actors v18, and where
an older version has another one, a type that ends in its version. Parsing them is others' work (`store.schema`).
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
_FOLDER = Path(__file__).parent


@cache
def schema_text(name: str) -> str:
    """Return the schema of an actor, including the shared types. Raises KeyError for an unknown name."""
    return "\n".join(file_text(part) for part in (SHARED, name))


def file_text(name: str) -> str:
    """Return the schema file of an actor, or the shared types (`SHARED`). Raises KeyError for an unknown name."""
    if name not in (*NAMES, SHARED):
        raise KeyError(name)
    return (_FOLDER / f"{name}.ipldsch").read_text(encoding="utf-8")
