"""Generated parts of documentation pages equal the output of their generators."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.docs import (
    cheatcodes_page,
    cli_page,
    foundry_flags_page,
    json_rpc_page,
    reliability_page,
    syscalls_page,
)

SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("generator", "target"),
    [
        (cheatcodes_page, "cheatcodes-page"),
        (reliability_page, "reliability-page"),
        (syscalls_page, "syscalls-page"),
        pytest.param(cli_page, "cli-page", marks=SLOW),
        pytest.param(foundry_flags_page, "cli-page", marks=SLOW),
        pytest.param(json_rpc_page, "rpc-page", marks=SLOW),
    ],
    ids=lambda value: getattr(value, "__name__", value).rpartition(".")[2],
)
def test_page_equals_generated_page(generator: ModuleType, target: str) -> None:
    page = generator.PAGE.read_text(encoding="utf-8")
    assert generator.replaced(page) == page, f"run `make {target}`"
