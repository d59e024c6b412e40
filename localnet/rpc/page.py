"""The table of methods in docs/json-rpc.md, made from the code: `python -m localnet.rpc.page docs/json-rpc.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from localnet.rpc.dispatch import method_table
from localnet.rpc.methods import Method, OptionalReader

START = "<!-- methods -->\n"
END = "<!-- end of methods -->\n"


def table() -> str:
    """Every method once, by name: its parameters (those in brackets may be left out) and what it answers."""
    methods = {method.name: method for method in method_table().values()}
    rows = [_row(methods[name]) for name in sorted(methods, key=str.lower)]
    return "\n".join(["| method | parameters | answer |", "|---|---|---|", *rows]) + "\n"


def replaced(page: str) -> str:
    """The page with the table as it is now."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return before + START + "\n" + table() + "\n" + END + after


def _row(method: Method) -> str:
    names = [
        f"[{name}]" if isinstance(reader, OptionalReader) else name
        for name, reader in zip(method.parameters, method.readers, strict=True)
    ]
    also = f" (also {', '.join(f'`{alias}`' for alias in method.aliases)})" if method.aliases else ""
    return f"| `{method.name}` | {', '.join(names)} | {method.summary}{also} |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(replaced(path.read_text(encoding="utf-8")), encoding="utf-8")
