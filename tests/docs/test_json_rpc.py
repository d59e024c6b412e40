"""docs/json-rpc.md tells the truth: its table is the code's, and so are the numbers and codes that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from localnet.accounts import TEST_MNEMONIC
from localnet.rpc import errors
from localnet.rpc.http import PATHS
from localnet.rpc.method_table import method_table
from localnet.rpc.methods import OptionalReader
from localnet.rpc.node import NodeLimits
from localnet.rpc.refused import REASONS
from localnet.rpc.subscriptions import MAX_REVERTED
from localnet.rules.base_fee import BLOCK_GAS_LIMIT
from tests.docs.json_rpc_examples import EXAMPLES, examples
from tests.docs.json_rpc_page import BEGIN, PARTIAL, peers, replaced, rows
from tests.docs.page_shell import run_page

PAGE = Path(__file__).parent.parent.parent / "docs" / "json-rpc.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_documented_rpc_methods_and_examples_match_code() -> None:
    assert replaced(TEXT) == TEXT, "run `make rpc-page`"


def test_every_method_with_parameters_has_an_example() -> None:
    needing = {row.name for row in method_table().values() if row.readers and row.name not in REASONS}
    optional = {row.name for row in method_table().values() if all(isinstance(r, OptionalReader) for r in row.readers)}
    assert needing - optional <= set(EXAMPLES)
    assert set(EXAMPLES) <= set(method_table())


def test_method_without_example_reports_where_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(EXAMPLES, "eth_getBalance")
    with examples() as asked, pytest.raises(AssertionError) as failed:
        asked.answers(["eth_getBalance"])
    assert str(failed.value).startswith("the example of eth_getBalance, with the parameters [], answers {")
    assert ": write its parameters in EXAMPLES of tests/docs/json_rpc_examples.py" in str(failed.value)


def test_supported_methods_are_documented_with_their_results() -> None:
    shown = set(re.findall(r"^([\w.]+) \[.*\]  ->  \S", TEXT, re.MULTILINE))
    assert {row.name for methods in rows().values() for row in methods} <= shown
    assert {row.name for row in method_table().values()} - set(REASONS) <= shown


def test_every_method_of_a_peer_is_marked() -> None:
    for peer in peers():
        assert set(peer.methods) <= set(re.findall(r"`([\w.]+)`", TEXT)), peer.title


def test_partial_methods_are_offered_and_each_area_has_methods() -> None:
    assert set(PARTIAL) <= set(method_table())
    assert all(rows().values())


def test_rpc_page_lists_every_method_and_alias() -> None:
    assert set(method_table()) <= set(re.findall(r"`([\w.]+)`", TEXT))


def test_every_method_that_the_text_names_exists() -> None:
    named = set(re.findall(r"`((?:eth|evm|anvil|hypervisor|net|web3)_\w+|Filecoin\.\w+)`", TEXT.split(BEGIN)[0]))
    assert named <= set(method_table())


def test_every_error_code_is_explained() -> None:
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (-?\d+) \|", TEXT, re.MULTILINE)} == codes


def test_the_numbers_are_the_codes() -> None:
    limits = NodeLimits()
    for words in (
        TEST_MNEMONIC,
        f"{BLOCK_GAS_LIMIT:,}",
        f"more than {limits.batch:,}",
        f"more than {limits.body >> 20} MiB",
        f"more than {limits.unsent >> 20} MiB wait",
        f"more than {MAX_REVERTED:,} tipsets",
        f"not answered for {limits.ping:.0f} seconds",
        f"{limits.connections} connections",
        f"{limits.clients:,} connections of both kinds",
        f"no byte came for {limits.silence:.0f} seconds",
        f"{limits.subscriptions_of_one:,} subscriptions on each, {limits.subscriptions:,} in all",
        *(f"`{path}`" for path in PATHS),
    ):
        assert words in " ".join(TEXT.split())


@pytest.mark.slow
def test_quick_start_runs_twice_in_one_shell(tmp_path: Path) -> None:
    every = run_page(TEXT.split("## Where it listens")[0] * 2, tmp_path / "page")
    assert len(every) == 18
    for ran in every:
        ran.check()
