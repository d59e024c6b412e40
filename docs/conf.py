"""Settings of the documentation site (`make docs`): Sphinx reads the Markdown pages as they are on a git host.

The index, docs/README.md, has one table of pages per group of readers. Its groups become the site's navigation.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
INDEX = "docs/README"

project = "hypervisor"
release = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
extensions = ["myst_parser"]
root_doc = INDEX
_FOLDERS = ("docs", "examples", "hypervisor", "integrations", "tests")
include_patterns = ["*.md", *(f"{folder}/**.md" for folder in _FOLDERS)]
exclude_patterns = [".*", "**/.*", "build", "dist", "**/node_modules", "**/target"]
html_theme = "furo"
html_title = f"hypervisor {release}"
html_copy_source = False
html_show_copyright = False
myst_heading_anchors = 4  # links to headings have the anchors of a git host


def navigation(index: str, documents: list[str]) -> str:
    """Return hidden tables of contents: the groups of the index, then the examples and the other pages."""
    contents, listed = "", {INDEX}
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, table = section.partition("\n")
        names = [f"docs/{name}" for name in re.findall(r"^\| \[[^\]]+\]\(([^)]+)\.md\)", table, re.MULTILINE)]
        contents += _contents(names, title)
        listed.update(names)
    others = [name for name in sorted(documents) if name not in listed and not name.startswith("docs/")]
    contents += _contents([name for name in others if name.startswith("examples/")], "Examples")
    return contents + _contents([name for name in others if not name.startswith("examples/")], "Project")


def _contents(names: list[str], caption: str = "") -> str:
    title = f":caption: {caption}\n" if caption else ""
    return f"\n```{{toctree}}\n:hidden:\n{title}\n" + "".join(f"/{name}\n" for name in names) + "```\n"


def add_navigation(app: Any, name: str, source: list[str]) -> None:
    """Append the navigation to the index, and the pages of a folder below docs/ to that folder's index."""
    if name == INDEX:
        source[0] += navigation(source[0], list(app.env.found_docs))
    elif name.startswith("docs/") and name.endswith("/README"):
        folder = name.removesuffix("README")
        source[0] += _contents([page for page in sorted(app.env.found_docs - {name}) if page.startswith(folder)])


def redirect_home(app: Any, failure: Exception | None) -> None:
    """Write index.html, which leads to the index page."""
    if failure is None and app.builder.name == "html":
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={INDEX}.html"><title>{html_title}</title>\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Any) -> None:
    """Connect the functions above to the events of Sphinx."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", redirect_home)
