"""One class name, one meaning: no two classes of the packages share a name, private ones apart."""

from __future__ import annotations

import ast
from collections import defaultdict

import pytest

from tests.packaging.project import PROJECT

ROOMS = ("bench", "bridge", "fvm_hypervisor", "hypervisor", "localnet", "runtimes", "store")
KEPT = {
    "Call": "generated bindings of built-in actors import bridge.binding.Call",
    "Struct": "and bridge.binding.Struct; the other one is the IPLD schema's own term",
    "Chain": "generated bindings of contracts import localnet.contracts.typed_contract.Chain",
}


@pytest.mark.slow
def test_a_class_name_has_one_meaning() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for room in ROOMS:
        for path in (PROJECT / room).rglob("*.py"):
            if path.parent == PROJECT / "bridge" / "bindings":
                continue  # generated: they repeat the schemas' names
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(path.relative_to(PROJECT)))
    shared = {name: places for name, places in found.items() if len(places) > 1}
    assert {name: places for name, places in shared.items() if name not in KEPT} == {}
    assert set(shared) == set(KEPT), "an exception that is none any more"
