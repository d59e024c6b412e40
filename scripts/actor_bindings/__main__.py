"""`make bindings`: write the generated files, and print the paths of the committed ones that changed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from scripts.actor_bindings import python, solidity, tables

PROJECT: Final = Path(__file__).resolve().parents[2]


def generated_files() -> dict[Path, str]:
    """Return the text of every generated file that is committed, by path."""
    texts = {PROJECT / path: text for part in (solidity, tables) for path, text in part.files().items()}
    documented = PROJECT / solidity.PATH
    return texts | {documented: solidity.update_table(documented.read_text(encoding="utf-8"))}


if __name__ == "__main__":
    python.write(PROJECT)
    changed = {path: text for path, text in generated_files().items() if path.read_text(encoding="utf-8") != text}
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(PROJECT))
    if not changed:
        print("the committed files are up to date")
