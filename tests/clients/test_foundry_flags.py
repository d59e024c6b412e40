"""Recorded names of forge's options and keys equal those of npm's forge."""

from pathlib import Path

import pytest

from tests.docs.forge_names import names_of_program, recorded

pytestmark = pytest.mark.long


def test_recorded_names_equal_those_of_forge(clients: Path) -> None:
    found = names_of_program(str(clients / "node_modules" / ".bin" / "forge"))
    assert found == recorded(), "python -m tests.docs.forge_names FORGE > tests/docs/forge_names.toml"
