"""Result of `Network.inspect`: the value at a path of the state, truncated if long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypervisor.machine.machine import Hypervisor
from hypervisor.text import one_line, show_fil, table
from hypervisor.types import whole_number
from localnet.state.actor_interfaces import ActorSchemas
from localnet.state.inspection import StateInspector


@dataclass(frozen=True, slots=True)
class InspectedState:
    """A value of the state, ready for JSON (`localnet.state.inspection`): amounts in decimal attoFIL, links as CIDs.

    `complete` is True if it has all entries of a map or list.
    """

    path: str
    value: Any
    complete: bool = True

    @classmethod
    def at(cls, machine: Hypervisor, path: str, limit: int, schemas: ActorSchemas) -> InspectedState:
        """Return the value at a path of the state, at most `limit` entries. Raises PathNotFound, InvalidInput.

        `schemas` returns those of users' actors.
        """
        whole_number(limit, "a number of entries", 1)
        inspector = StateInspector(machine.store, machine.root, schemas)
        found = inspector.read_path(path, limit + 1)
        long = isinstance(found, dict | list) and len(found) > limit
        if isinstance(found, dict) and long:
            found = {key: found[key] for key in list(found)[:limit]}
        return cls(path, found[:limit] if isinstance(found, list) and long else found, not long)

    def __getitem__(self, step: str | int) -> Any:
        return self.value[step]

    def __repr__(self) -> str:
        count = f"{len(self.value)} entries" if isinstance(self.value, dict | list) else _text(self.value)
        return one_line("InspectedState", self.path or "actors", count, "" if self.complete else "more are there")

    def _repr_html_(self) -> str:
        more = ""
        if not self.complete:
            command = f"hypervisor inspect DIR {self.path}".rstrip()
            more = (
                f"{len(self.value):,} entries are shown, and more are there: `network.inspect({self.path!r}, most=N)` "
                f"has N of them, and so has `{command} --limit N` of a chain in a folder."
            )
        return table(self.path or "actors", (), self._rows(), more)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        match self.value:
            case dict() if not self.path.strip("/"):
                for actor, each in self.value.items():
                    yield actor, each["type"], show_fil(int(each["balance"]))
            case dict():
                yield from ((str(key), _text(each)) for key, each in self.value.items())
            case list():
                yield from ((str(index), _text(each)) for index, each in enumerate(self.value))
            case _:
                yield "", _text(self.value)


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case {"/": str(cid)} if len(value) == 1:
            return cid
        case _:
            return json.dumps(value, ensure_ascii=False)
