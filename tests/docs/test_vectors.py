"""The first example of docs/vectors.md works: a vector is extracted from a new chain, and passes."""

import re
from pathlib import Path

from tests.docs.page_shell import ROOT, run_page

PAGE = (ROOT / "docs" / "vectors.md").read_text(encoding="utf-8")


def test_vector_of_a_new_chain_passes(tmp_path: Path) -> None:
    (example,) = re.findall(r"^## Create a vector\n(.*?^```console\n.*?^```\n)", PAGE, re.MULTILINE | re.DOTALL)
    ran = list(run_page(example, tmp_path / "page"))
    assert len(ran) == 3
    for command in ran:
        command.check()
