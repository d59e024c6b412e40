"""Deprecated names of the public API."""

from typing import Any
from warnings import warn


def renamed(owner: str, old: str, new: str) -> Any:
    """Return a property that is a deprecated alias of the attribute `new` of the class `owner`."""

    def read(self: object) -> Any:
        text = f"{owner}.{old} is deprecated and will be removed in 0.4.0: use {new}"
        warn(text, DeprecationWarning, stacklevel=2)
        return getattr(self, new)

    return property(read, doc=f"Deprecated alias of `{new}`.")
