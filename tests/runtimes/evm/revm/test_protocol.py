"""The protocol of the guest with revm: both sides are generated from one table."""

from pathlib import Path

import pytest

import runtimes.evm.revm
from scripts.revm_protocol import files

PACKAGE = Path(runtimes.evm.revm.__file__).parent


@pytest.mark.parametrize(("path", "text"), files().items(), ids=[path.name for path in files()])
def test_protocol_file_equals_the_table(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text


def test_formats_are_in_the_table_only() -> None:
    assert [path.name for path in PACKAGE.glob("*.py") if "Struct(" in path.read_text("utf-8")] == ["layout.py"]
