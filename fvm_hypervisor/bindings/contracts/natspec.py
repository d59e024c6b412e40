"""NatSpec documentation of a contract, read from compiler artifacts.

solc writes it to `devdoc` and `userdoc` if asked, and forge below `metadata` (as text in solc's output). Malformed
documentation is ignored. Source: the Solidity documentation, NatSpec Format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hypervisor.printable import printable
from store.json_text import parse_json

MAX_CHARACTERS: Final = 2_000
"""Maximum number of characters of a note; longer ones are cut."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Descriptions of the contract, and by signature of functions, events and errors; `constructor` is a key too."""

    contract: tuple[str, ...] = ()
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def notes(content: Any) -> Notes:
    """Return the NatSpec notes in a compiler's JSON output as paragraphs; empty if it has none."""
    user, dev = _documents(content)
    return Notes(
        contract=tuple(_paragraphs([user], [dev | {"details": dev.get("details"), "params": None, "returns": None}])),
        functions=_each(user.get("methods"), dev.get("methods")),
        events=_each(user.get("events"), dev.get("events")),
        errors=_each(user.get("errors"), dev.get("errors")),
    )


def _documents(content: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the user and the developer documentation."""
    found = _dict(content)
    metadata = found.get("metadata", found.get("rawMetadata"))
    if isinstance(metadata, str):
        try:
            metadata = parse_json(metadata.encode())
        except ValueError:
            metadata = None
    output = _dict(_dict(metadata).get("output"))
    return (
        _dict(found.get("userdoc")) or _dict(output.get("userdoc")),
        _dict(found.get("devdoc")) or _dict(output.get("devdoc")),
    )


def _each(user: Any, dev: Any) -> dict[str, tuple[str, ...]]:
    users, developers = _dict(user), _dict(dev)
    names = [name for name in {**users, **developers} if isinstance(name, str)]
    return {name: tuple(_paragraphs(_list(users.get(name)), _list(developers.get(name)))) for name in names}


def _paragraphs(user: list[dict[str, Any]], dev: list[dict[str, Any]]) -> Iterator[str]:
    yield from (_cleaned(each["notice"]) for each in user if isinstance(each.get("notice"), str))
    for each in dev:
        if isinstance(each.get("details"), str):
            yield _cleaned(each["details"])
        for name, text in _dict(each.get("params")).items():
            if isinstance(text, str):
                yield f"{_cleaned(name)}: {_cleaned(text)}"
        for name, text in _dict(each.get("returns")).items():
            if isinstance(text, str):
                yield f"Returns {'' if name.startswith('_') else f'{_cleaned(name)}: '}{_cleaned(text)}"


def _cleaned(text: str) -> str:
    return printable(" ".join(text.split()), MAX_CHARACTERS)


def _dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[dict[str, Any]]:
    """Join descriptions of errors, which are lists, because a signature may be declared several times."""
    return [_dict(each) for each in (value if isinstance(value, list) else [value])]
