"""An overlay: other prices and rules than a network version's own, for experiments with what the network may become.

It holds what differs and says for which versions; `NetworkVersion.with_overlay` applies it, `hypervisor.overlay_file`
reads and checks one. Its digest stands for what it changes, whatever it is called: caches keep what they derive from a
version's row under the row's `key`, which has the digest in it, and a folder keeps the overlay in its records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from store.codec import encode

RuleValue = bool | int | str | None


@dataclass(frozen=True, slots=True)
class Overlay:
    """What differs from the rows of network versions `since` to `until` (None: all later ones).

    `prices`: milligas by the names of `hypervisor.price_names`; `rules`: by the names of `MachineRules`, and
    `base_fee`; `added` and `removed`: features of contracts. Each is in the order of its names.
    """

    name: str = field(compare=False)
    since: int
    until: int | None
    prices: tuple[tuple[str, int], ...] = ()
    rules: tuple[tuple[str, RuleValue], ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """32 hex digits: two overlays that change the same have the same."""
        return _digest(self)

    def __str__(self) -> str:
        return f"'{self.name}' ({self.digest})"

    def fields(self) -> list[Any]:
        """As a folder's records keep it."""
        tables = [[list(row) for row in table] for table in (self.prices, self.rules)]
        return [self.name, self.since, self.until, *tables, list(self.added), list(self.removed)]

    @classmethod
    def from_fields(cls, fields: Sequence[Any]) -> Overlay:
        """The inverse of `fields`. Raises TypeError, ValueError."""
        name, since, until, prices, rules, added, removed = fields
        if not isinstance(since, int) or not (until is None or isinstance(until, int)):
            raise TypeError("the versions of an overlay are numbers")
        tables = [tuple((str(key), value) for key, value in table) for table in (prices, rules)]
        if not all(isinstance(value, int) for _, value in tables[0]):
            raise TypeError("the prices of an overlay are numbers")
        return cls(str(name), since, until, tables[0], tables[1], tuple(added), tuple(removed))


@lru_cache(64)
def _digest(overlay: Overlay) -> str:
    # Asked for by every invocation of a contract.
    return blake2b(encode(overlay.fields()[1:]), digest_size=16).hexdigest()
