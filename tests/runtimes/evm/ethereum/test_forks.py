"""Forks are rows: no module outside their table names one, and a new row works everywhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import runtimes.evm.ethereum.forks
from fvm_hypervisor.laboratory.vectors.t8n import transition
from localnet import Network
from runtimes.evm.ethereum.forks import FORKS, LATEST_FORK, fork_named, fork_names

PROJECT = Path(__file__).resolve().parents[4]
PACKAGES = ("hypervisor", "runtimes", "bridge", "store", "localnet", "fvm_hypervisor")
TABLES = {
    "runtimes/evm/ethereum/forks.py",
    "fvm_hypervisor/soltest/evm_versions.py",
    "localnet/fork/ethereum_point.py",
}
"""Rules, the compiler's versions, and the activation times of public networks."""


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield the string constants of a module, except docstrings, that name a fork; with their lines."""
    known = {name.lower() for name in FORKS}
    if not any(name in source.lower() for name in known):
        return
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in prose else None
        if isinstance(text, str) and text.lower() in known:
            yield node.lineno, text  # type: ignore[attr-defined]


def test_only_fork_tables_name_forks() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{line} {name}"
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*.py")
        if path.relative_to(PROJECT).as_posix() not in TABLES
        for line, name in names_in(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_planted_comparison_is_found() -> None:
    planted = 'def price(fork):\n    """As of Osaka."""\n    return 5 if fork.name == "Osaka" else 3\n'
    assert list(names_in(planted)) == [(3, "Osaka")]


def test_newest_fork_is_last_row_and_has_empty_name_alias() -> None:
    assert fork_names()[-1] == LATEST_FORK.name
    assert fork_named("") is LATEST_FORK


def test_the_help_of_the_node_names_the_forks() -> None:
    """The command's module repeats the names: importing the table would add half a second to each start."""
    *others, newest = (name.lower() for name in fork_names())
    words = f"With --rules ethereum: {', '.join(others)} or {newest} (default)."
    source = (PROJECT / "fvm_hypervisor" / "cli" / "node.py").read_text(encoding="utf-8")
    assert words in source, (
        f"let the help of --hardfork be '{words}' in fvm_hypervisor/cli/node.py, then run `make cli-page`"
    )


def test_a_fork_that_is_added_as_a_row_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    added = LATEST_FORK.successor("Nextfork", transaction_gas_cap=100_000)
    monkeypatch.setattr(runtimes.evm.ethereum.forks, "FORKS", {**FORKS, added.name: added})
    with Network(rules="ethereum", hardfork="nextfork") as network:
        sender, receiver = network.accounts[:2]
        assert network.send(receiver, 5, sender=sender).succeeded
        assert network.rules.messages.gas_limit(network.machine) == 100_000  # the row's fact
    env = {
        "currentNumber": "0x1", "currentTimestamp": "0x1", "currentBaseFee": "0x7", "currentGasLimit": "0x1000000",
        "currentCoinbase": "0x" + "11" * 20, "currentRandom": "0x00", "blockHashes": {"0x0": "0x" + "00" * 32},
    }  # fmt: skip
    assert transition({}, env, [], "Nextfork").result["gasUsed"] == "0x0"
