"""Overlays: changed prices and rules of network versions, for experiments.

An overlay has the changes and the versions they apply to; `NetworkVersion.with_overlay` applies it, and
`hypervisor.versions.overlay_file` parses and validates it. Its digest depends on the changes but not on the name:
caches use the `key` of a version's row, which includes the digest, and a folder stores the overlay in its records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from store.codec import encode

RuleValue = bool | int | str | None


class Draft(NamedTuple):
    """A network version that no network has yet: `number`, the successor of version `base`.

    `migration` is the SHA-256 of the Python file that rewrites states at the upgrade, in hex; empty for none.
    """

    number: int
    base: int
    migration: str = ""


@dataclass(frozen=True, slots=True)
class Overlay:
    """Changes to the rows of network versions `since` to `until` (None: all later ones).

    `prices` maps the names of `hypervisor.gas` to milligas; `rules` has names of `MachineRules`, `base_fee`
    and `receipts`; `added` and `removed` are EVM features. Each is sorted by name. With `draft`, the
    overlay adds a network version and changes no other.
    """

    name: str = field(compare=False)
    since: int
    until: int | None
    prices: tuple[tuple[str, int], ...] = ()
    rules: tuple[tuple[str, RuleValue], ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    draft: Draft | None = None

    @property
    def digest(self) -> str:
        """Digest of the changes, as 32 hex digits."""
        return _digest(self)

    def __str__(self) -> str:
        return f"'{self.name}' ({self.digest})"

    def fields(self) -> list[Any]:
        """Return the fields for a folder's records."""
        tables = [[list(row) for row in table] for table in (self.prices, self.rules)]
        draft = [] if self.draft is None else [list(self.draft)]
        return [self.name, self.since, self.until, *tables, list(self.added), list(self.removed), *draft]

    @classmethod
    def from_fields(cls, fields: Sequence[Any]) -> Overlay:
        """Create an overlay from `fields`. Raises TypeError and ValueError."""
        name, since, until, prices, rules, added, removed, *rest = fields
        if not isinstance(since, int) or not (until is None or isinstance(until, int)):
            raise TypeError("the versions of an overlay must be numbers")
        tables = [tuple((str(key), value) for key, value in table) for table in (prices, rules)]
        if not all(isinstance(value, int) for _, value in tables[0]):
            raise TypeError("the prices of an overlay must be numbers")
        draft = None if not rest else _draft(*rest)
        return cls(str(name), since, until, tables[0], tables[1], tuple(added), tuple(removed), draft)


def _draft(fields: Sequence[Any]) -> Draft:
    number, base, migration = fields
    if type(number) is not int or type(base) is not int or not isinstance(migration, str):
        raise TypeError("a draft version has two numbers and a digest")
    return Draft(number, base, migration)


@lru_cache(64)
def _digest(overlay: Overlay) -> str:
    # Cached, since every invocation of a contract needs it.
    return blake2b(encode(overlay.fields()[1:]), digest_size=16).hexdigest()
