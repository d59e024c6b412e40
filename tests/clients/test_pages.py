"""Commands of documentation pages that need Foundry, executed unchanged."""

import sys
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, INSTALLED, PROJECT, installed, search_path
from tests.docs.page_shell import run_page

pytestmark = pytest.mark.long


def test_coming_from_foundry(tmp_path: Path) -> None:
    clients = installed(INSTALLED, HERE)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{search_path(clients)}",
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
    }
    page = (PROJECT / "docs" / "coming-from-foundry.md").read_text(encoding="utf-8")
    every = run_page(page, tmp_path / "page", environment)
    assert len(every) == 6
    for ran in every:
        ran.check()
