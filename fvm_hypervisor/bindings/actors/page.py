"""The table of the facade's functions in docs/bridge.md."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bridge.actors.facade import INTERFACES, NONPAYABLE, AbiType, FacadeFunction, facade

PATH: Final = Path("docs/bridge.md")
BEGIN: Final = "<!-- functions of the interfaces: make bindings -->\n"
END: Final = "<!-- end of the functions -->\n"


def update_table(text: str) -> str:
    """Return the page `text` with its generated table updated."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + _table() + END + rest.split(END)[1]


def _table() -> str:
    rows = [_row(function) for actor in INTERFACES for function in facade(actor).values()]
    return "| function | method | selector | returns |\n|---|---|---|---|\n" + "".join(rows)


def _row(function: FacadeFunction) -> str:
    mutability = "" if function.mutability == NONPAYABLE else f" {function.mutability}"
    call = f"{INTERFACES[function.actor]}.{function.name}({_format_list(function.inputs)}){mutability}"
    answers = f"`{_format_list(function.outputs)}`" if function.outputs else ""
    return f"| `{call}` | {function.method} | `{function.selector.hex()}` | {answers} |\n"


def _format_list(parts: tuple[tuple[str, AbiType], ...]) -> str:
    return ", ".join(f"{part.source}{'[]' * part.brackets} {name}".rstrip() for name, part in parts)
