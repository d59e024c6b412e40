"""Generator of docs/syscalls.md and the actors' C header from the table of syscalls.

python -m tests.docs.syscalls_page     regenerate both (`make syscalls-page`)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hypervisor.exit_codes import ErrorNumber
from runtimes.wasm.syscalls.table import STRUCTURES, Syscall
from scripts.actor_bindings.tables import HEADER, NEWEST, OLDEST, description, header, members, prototype
from tests.docs.page_shell import between

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "syscalls.md"
BEGIN: Final = "<!-- syscalls: make syscalls-page -->\n"
END: Final = "<!-- end of syscalls -->\n"


def replaced(page: str) -> str:
    return between(page, BEGIN, END, "\n" + "\n".join(lines()) + "\n\n")


def lines() -> Iterator[str]:
    """Return the error numbers, the structures, and the syscalls of each module."""
    yield "## Error numbers\n\n| number | name |\n|---|---|"
    yield from (f"| {number} | `FVM_E_{number.name}` |" for number in ErrorNumber)
    yield "\n## Structures\n\n| structure | bytes | fields, with the offset of each |\n|---|---|---|"
    for structure in STRUCTURES:
        fields, at = [], 0
        for kind, name, size in members(structure):
            fields.append(f"`{kind} {name}` {at}")
            at += size
        yield f"| `{structure.name}` | {structure.size} | {', '.join(fields)} |"
    for module in dict.fromkeys(syscall.module for syscall in NEWEST.values()):
        yield f"\n## {module}\n\n| syscall | in C | what it does |\n|---|---|---|"
        yield from (_row(syscall) for syscall in NEWEST.values() if syscall.module == module)
    yield "\n## At network versions 18 to 20\n\n| syscall | in C | what it does |\n|---|---|---|"
    yield from (_row(syscall) for name, syscall in OLDEST.items() if NEWEST[name] is not syscall)
    missing = ", ".join(f"`{'.'.join(name)}`" for name in NEWEST if name not in OLDEST)
    yield f"\nAdded in network version 21: {missing}."


def _row(syscall: Syscall) -> str:
    return f"| `{syscall.module}.{syscall.name}` | `{prototype(syscall).removesuffix(';')}` | {description(syscall)} |"


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    HEADER.parent.mkdir(exist_ok=True)
    HEADER.write_text(header(), encoding="utf-8")
