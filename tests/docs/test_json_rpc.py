"""docs/json-rpc.md tells the truth: its table is the code's, and so are the numbers and codes that it names."""

from __future__ import annotations

import re
from pathlib import Path

from localnet.accounts import TEST_MNEMONIC
from localnet.base_fee import BLOCK_GAS_LIMIT
from localnet.rpc import errors
from localnet.rpc.dispatch import method_table
from localnet.rpc.http import PATHS
from localnet.rpc.node import Limits
from localnet.rpc.page import replaced
from localnet.rpc.subscriptions import MOST_REVERTED

PAGE = Path(__file__).parent.parent.parent / "docs" / "json-rpc.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_table_is_what_the_code_has() -> None:
    assert replaced(TEXT) == TEXT, "run `python -m localnet.rpc.page docs/json-rpc.md`"


def test_every_method_is_there_under_every_name() -> None:
    assert set(method_table()) <= set(re.findall(r"`([\w.]+)`", TEXT))


def test_every_method_that_the_text_names_exists() -> None:
    named = set(re.findall(r"`((?:eth|evm|anvil|hypervisor|net|web3)_\w+)`", TEXT))
    assert named <= set(method_table())


def test_every_error_code_is_explained() -> None:
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (-?\d+) \|", TEXT, re.MULTILINE)} == codes


def test_the_numbers_are_the_codes() -> None:
    limits = Limits()
    for words in (
        TEST_MNEMONIC,
        f"{BLOCK_GAS_LIMIT:,}",
        f"more than {limits.batch:,}",
        f"more than {limits.body >> 20} MiB",
        f"more than {limits.unsent >> 20} MiB wait",
        f"more than {MOST_REVERTED:,} tipsets",
        f"not answered for {limits.ping:.0f} seconds",
        f"{limits.connections} connections",
        f"{limits.subscriptions_of_one:,} subscriptions on each, {limits.subscriptions:,} in all",
        *(f"`{path}`" for path in PATHS),
    ):
        assert words in TEXT
