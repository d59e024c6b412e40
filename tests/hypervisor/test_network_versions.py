"""Network versions are rows: no other module compares version numbers, and a new row defines a new version."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.bundle import Bundle
from hypervisor.bundle_library import find_release
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.network_versions import (
    NETWORK_VERSIONS,
    NV18,
    NV27,
    NV29,
    BaseFee,
    Layouts,
    newest_with_actors,
    versions_between,
)
from localnet import Network
from localnet.rpc.filecoin_network import state_get_network_params
from localnet.rpc.node import Node
from tests.localnet.conftest import ARTIFACTS, Clock

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("store", "hypervisor", "runtimes", "bridge", "localnet", "fvm_hypervisor")
TABLE = PROJECT / "hypervisor" / "network_versions.py"
A_VERSION = re.compile(
    r"(^|[._])(network|nv|network_?version|NV\d+)(\.number|\(\))?$|"
    r"(^|[._])(row\.number|upgrades\.first|(upgrade|each|before|after)\.version)$",
    re.IGNORECASE,
)
"""Pattern of expressions that denote a network version or its number, also in a table row or a plan."""
ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
NUMBERS = range(min(NETWORK_VERSIONS), max(NETWORK_VERSIONS) + 2)
IN_A_NUMBER = re.compile(r"(^|[._])(network|version|nv)\b|\.number\b", re.IGNORECASE)
"""Pattern of expressions that may be a version number if the other operand is one."""


def comparisons(source: str) -> Iterator[int]:
    """Return the lines of a module that compare a network version with a number, or order two versions."""
    tree = ast.parse(source)
    constants = {
        name.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for name in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(name, ast.Name) and node.value.value in NUMBERS and type(node.value.value) is int
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        words = [ast.unparse(side) for side in sides]
        ordered = any(isinstance(operator, ORDERS) for operator in node.ops)
        versions = any(A_VERSION.search(text) for text in words)
        numbers = any(_is_number(side, constants) for side in sides) and any(IN_A_NUMBER.search(text) for text in words)
        if (ordered and versions) or numbers:
            yield node.lineno


def _is_number(node: ast.expr, constants: set[str]) -> bool:
    """Return True if an expression is a literal version number, or a collection or range of such."""
    if isinstance(node, ast.Constant):
        return type(node.value) is int and node.value in NUMBERS
    if isinstance(node, ast.Name):
        return node.id in constants
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(_is_number(element, constants) for element in node.elts)
    return isinstance(node, ast.Call) and any(_is_number(given, constants) for given in node.args)


@pytest.mark.slow
def test_only_version_table_compares_network_versions() -> None:
    modules = [path for room in ROOMS for path in (PROJECT / room).rglob("*.py") if path != TABLE]
    found = [
        f"{path.relative_to(PROJECT)}:{line}"
        for path in modules
        for line in comparisons(path.read_text(encoding="utf-8"))
    ]
    assert len(modules) > 300
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        "if network < 28:\n    pass",
        "if machine.context.network.number >= 29:\n    pass",
        "PREMIUM_RULE_FROM = 28\n\ndef fee(network):\n    return network < PREMIUM_RULE_FROM",
        "FROM: Final = 29\nif version >= FROM:\n    pass",
        "if version == 29:\n    pass",
        "if network.number in (28, 29):\n    pass",
        "if nv in range(21, 29):\n    pass",
        "if NV28.number <= row.number:\n    pass",
        "new = 28 <= upgrade.version",
        "if network_version >= other:\n    pass",
        "if row.number <= upgrades.first:\n    pass",
        "epochs = (each.epoch for each in planned if each.version >= number)",
    ],
)
def test_a_planted_comparison_is_noticed(planted: str) -> None:
    assert list(comparisons(planted))


@pytest.mark.parametrize(
    "fine",
    ["if v in (27, 28):\n    pass", "if number < 24:\n    pass", "if network is None:\n    pass", "a = size < 21"],
)
def test_code_without_version_comparison_is_not_flagged(fine: str) -> None:
    assert not list(comparisons(fine))


def test_a_row_more_is_a_network_of_that_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synthetic version with the base fee rule of full blocks and one opcode less; its state layout is unchanged."""
    newest = NETWORK_VERSIONS[max(NETWORK_VERSIONS)]
    made_up = newest.successor(base_fee=BaseFee.FULLNESS, evm=newest.evm - {"CLZ"}, layouts=Layouts.KEPT)
    monkeypatch.setitem(NETWORK_VERSIONS, made_up.number, made_up)
    with Network(network=made_up.number, clock=Clock()) as network:
        assert network.version == made_up.number == newest.number + 1
        assert network.machine.manifest == Bundle.embedded(f"v{newest.actors}").manifest
        counter = network.deploy(ARTIFACTS / "Counter.json")
        counter.send("increment")
        assert counter.call("number") == 1
        network.send_native(network.accounts[1].native, value=1, gas_limit=9_000_000_000)
        # By hand: nine tenths of a block is four fifths above the target of a half; times an eighth of 100.
        assert network.base_fee == 110
    with Network(network=newest.number, clock=Clock()) as network:
        heights = state_get_network_params(Node(network))["ForkUpgradeParams"]
        assert heights["UpgradeXxHeight"] == 9_999_999_999  # lotus: an unscheduled upgrade
        manifest = network.machine.manifest
        network.upgrade(made_up.number)
        network.send_native(network.accounts[1].native, value=1, gas_limit=9_000_000_000)
        assert (network.version, network.base_fee) == (made_up.number, 110)
        assert network.machine.manifest == manifest


def test_state_layout_change_is_not_inherited_by_successor() -> None:
    """Otherwise a version after nv29 would split the rewards again."""
    assert NV29.layouts is Layouts.STREAMS
    assert NV29.successor().layouts is Layouts.UNKNOWN


def test_version_without_included_actors_needs_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = NETWORK_VERSIONS[max(NETWORK_VERSIONS)]
    added = newest.successor(actors=newest.actors + 1)
    monkeypatch.setitem(NETWORK_VERSIONS, added.number, added)
    with pytest.raises(BundleError, match=f"does not include built-in actors v{added.actors}; pass a bundle"):
        Network(network=added.number, clock=Clock())
    with pytest.raises(InvalidInput, match=f"nv{added.number} changes the layout of their states"):
        Network(network=newest.number, clock=Clock(), upgrades={1: (added.number, f"own-v{newest.actors}")})
    with pytest.raises(InvalidInput, match=f"our own bundle runs on nv21 to nv{added.number}, not on nv18"):
        Network(network=18, clock=Clock())


@pytest.mark.parametrize("number", [row.number for row in NETWORK_VERSIONS.values() if not row.rules.events_in_buffers])
def test_version_needing_official_actors_names_fetchable_release(number: int) -> None:
    with pytest.raises(InvalidInput, match=f"not on nv{number}: take an official one") as refused:
        Network(network=number, clock=Clock())
    advised = re.search(r"`hypervisor bundle fetch (v\d+)`", str(refused.value))
    assert advised is not None
    release = find_release(advised[1])
    assert release.version == NETWORK_VERSIONS[number].actors
    assert release.url is not None


def test_versions_are_found_by_range_and_by_actors() -> None:
    assert [row.number for row in versions_between(26, 29)] == [27, 28, 29]
    assert versions_between(28, 28) == versions_between(29, 28) == []
    assert newest_with_actors(NV18.actors) is NV18
    assert newest_with_actors(NETWORK_VERSIONS[25].actors) is NETWORK_VERSIONS[26]
    assert newest_with_actors(NV27.actors) is NV27
    assert newest_with_actors(9) is None
