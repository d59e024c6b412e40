"""The tutorial's tests run unchanged in a separate folder."""

import re
from pathlib import Path

import pytest

from hypervisor.builtin_actors import build
from tests.docs.page_shell import REPLACED, commands, run_page

TUTORIAL_ROOT = Path(__file__).parent.parent.parent
TUTORIAL_PAGE = (TUTORIAL_ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
UPGRADE = TUTORIAL_PAGE.partition("\n## An actor that upgrades itself\n")[2].partition("\n## ")[0]
MODULE = "target/wasm32-unknown-unknown/release/tip_jar.wasm"
FILES = dict(re.findall(r"^```python\n# (test_\w+\.py)\n(.*?)^```$", TUTORIAL_PAGE, re.MULTILINE | re.DOTALL))

BEFORE_FOUNDRY = TUTORIAL_PAGE.partition("\n## A deployment with Foundry\n")[0]
"""Part of the page that needs only Python; `tests/clients` executes the whole page."""


def test_every_python_block_is_a_file_of_tests() -> None:
    assert len(FILES) == TUTORIAL_PAGE.count("```python\n") == 5


@pytest.mark.slow
def test_page_commands_produce_documented_output_in_one_shell(tmp_path: Path) -> None:
    every = run_page(BEFORE_FOUNDRY, tmp_path / "page")
    for ran in every:
        ran.check()
    versions = every[-1]
    assert "1 failed, 17 passed" in versions.output, versions.output
    assert "test_leading_zeros_are_counted: failed on nv27, passed on nv28" in versions.output


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace compilation by the committed modules, whose equality `make bundle` checks."""
    for feature in build.FEATURES[build.TEMPLATE]:
        copied = f"mkdir -p {Path(MODULE).parent} && cp {build.module_file(build.TEMPLATE, feature)} {MODULE}"
        monkeypatch.setitem(REPLACED, f"cargo build --release --features {feature}", copied)


@pytest.mark.slow
@pytest.mark.usefixtures("built")
def test_actor_upgrades_itself_as_documented(tmp_path: Path) -> None:
    assert sum(bool(expected) for _, expected in commands(UPGRADE)) == 8
    for ran in run_page(UPGRADE, tmp_path / "page"):
        ran.check()
