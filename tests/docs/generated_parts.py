"""Generator of the parts of pages that `make docs` includes: `python -m tests.docs.generated_parts`.

Each part is a file in build/docs-parts. A file is written only if its text changed, so Sphinx reads only changed pages.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.docs import json_rpc_page
from tests.docs.api_page import names_text
from tests.docs.cheatcodes_page import cheatcodes
from tests.docs.cli_page import commands, refused_anvil_options
from tests.docs.foundry_flags_page import forge_test_options, keys, report_options

FOLDER: Final = Path(__file__).resolve().parents[2] / "build" / "docs-parts"
PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "commands": commands,
    "anvil-options": refused_anvil_options,
    "public-names": names_text,
    "cheatcodes": cheatcodes,
    "forge-test-options": forge_test_options,
    "forge-report-options": report_options,
    "foundry-keys": keys,
    "rpc-methods": json_rpc_page.methods_text,
}
"""Generators by the name of the part."""


def write(folder: Path) -> None:
    """Write all parts into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, generate in PARTS.items():
        path, text = folder / f"{name}.md", generate()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        write(FOLDER)
    except AssertionError as error:
        sys.exit(f"error: {error}")
