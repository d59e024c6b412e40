"""The commands and the Python of docs/proofs.md work."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.page_shell import ROOT, run_page

PAGE = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")


def test_page_commands_produce_documented_output(tmp_path: Path) -> None:
    (ran,) = run_page(PAGE, tmp_path / "page")
    ran.check()
    (shown,) = re.findall(r"^```text\n(address: .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert set(shown.splitlines()) <= set(ran.output.splitlines())


def test_python_of_the_page_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(block.replace('"examples/', f'"{ROOT}/examples/'), names)
    assert "account" in names
