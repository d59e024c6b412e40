"""docs/json-rpc.md: its commands run, the methods that it names exist, and each method has an example."""

import re
from pathlib import Path

import pytest

from localnet.rpc import filecoin_v2
from localnet.rpc.method_table import method_table
from localnet.rpc.methods import OptionalReader
from localnet.rpc.refused import REASONS
from tests.docs.json_rpc_examples import EXAMPLES, examples
from tests.docs.json_rpc_page import missing
from tests.docs.page_shell import run_page

JSON_RPC_PAGE = Path(__file__).parent.parent.parent / "docs" / "json-rpc.md"
TEXT = JSON_RPC_PAGE.read_text(encoding="utf-8")


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


def test_every_method_that_the_text_names_exists() -> None:
    named = set(re.findall(r"`((?:eth|evm|anvil|hypervisor|net|web3)_\w+|Filecoin\.\w+)`", TEXT))
    assert named <= {*method_table(), *(method.name for method in filecoin_v2.METHODS)}


def test_missing_methods_of_other_nodes_are_listed_with_their_reasons() -> None:
    rows = re.findall(r"^\| (\w.*?) \| (.+) \|$", TEXT.split("### Missing methods")[1], re.MULTILINE)[1:]
    assert {name for names, _ in rows for name in names.split(", ")} == missing()
    assert all(reason.strip() for _, reason in rows)


@pytest.mark.slow
def test_quick_start_runs_twice_in_one_shell(tmp_path: Path) -> None:
    every = run_page(TEXT.split("## Where it listens")[0] * 2, tmp_path / "page")
    assert len(every) == 18
    for ran in every:
        ran.check()
