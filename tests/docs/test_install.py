"""The installation page names the frameworks and versions that `make beside` resolves, and the extras."""

from __future__ import annotations

import re
import tomllib

from tests.packaging.beside import FRAMEWORKS
from tests.packaging.project import PROJECT

PAGE = (PROJECT / "docs" / "install.md").read_text(encoding="utf-8")
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_page_lists_the_frameworks_that_are_checked() -> None:
    rows = re.findall(r"^\| ([\w.]+ \(`([\w-]+)`\)|`?[\w-]+`?) \| (\d\S*) \|", PAGE, re.MULTILINE)
    listed = {f"{package or name.strip('`').lower()}=={version}" for name, package, version in rows}
    assert listed == set(FRAMEWORKS)


def test_the_page_lists_every_extra() -> None:
    assert set(re.findall(r"^\| `\[(\w+)\]` \|", PAGE, re.MULTILINE)) == METADATA["optional-dependencies"].keys()
