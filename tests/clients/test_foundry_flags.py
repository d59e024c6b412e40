"""The recorded names of forge's options and keys are those of the forge that npm brings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.forge_names import asked, recorded

pytestmark = pytest.mark.long


def test_the_recorded_names_are_forges(clients: Path) -> None:
    found = asked(str(clients / "node_modules" / ".bin" / "forge"))
    assert found == recorded(), "python -m tests.docs.forge_names FORGE > tests/docs/forge_names.toml"
