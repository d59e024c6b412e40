"""The commands and the Python of docs/proofs.md work, and the first example of docs/vectors.md."""

import re
from pathlib import Path

import pytest

from tests.docs.page_shell import ROOT, run_page

PROOFS_PAGE = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
FIRST_LINES = ("stateRoot: ", "network: ")
"""Starts of the documented outputs, in the order of the commands."""


@pytest.mark.slow
def test_page_commands_produce_documented_output(tmp_path: Path) -> None:
    for ran, first in zip(run_page(PROOFS_PAGE, tmp_path / "page"), FIRST_LINES, strict=True):
        ran.check()
        (shown,) = re.findall(rf"^```text\n({first}.*?)^```$", PROOFS_PAGE, re.MULTILINE | re.DOTALL)
        assert shown in ran.output


@pytest.mark.parametrize(("at", "name"), [(0, "account"), (1, "state")])
def test_python_of_the_page_runs(at: int, name: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PROOFS_PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    exec(blocks[at].replace('"examples/', f'"{ROOT}/examples/'), names)
    assert name in names


@pytest.mark.slow
def test_vector_of_a_new_chain_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "vectors.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^## Create a vector\n(.*?^```console\n.*?^```\n)", page, re.MULTILINE | re.DOTALL)
    ran = list(run_page(example, tmp_path / "page"))
    assert len(ran) == 3
    for command in ran:
        command.check()
