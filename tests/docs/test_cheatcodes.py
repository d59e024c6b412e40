"""Each cheatcode of forge is implemented, or listed as missing."""

import re
from pathlib import Path

from fvm_hypervisor.soltest.cheatcodes.signatures import MISSING, name_of
from fvm_hypervisor.soltest.cheatcodes.table import selector, table
from tests.fvm_hypervisor.soltest.cheatcodes.vm_interface import signatures
from tests.packaging.project import PROJECT

SELECTORS = Path(__file__).parent.parent / "fvm_hypervisor" / "soltest" / "cheatcodes" / "forge_selectors.txt"
FORGE = frozenset(map(bytes.fromhex, SELECTORS.read_text(encoding="utf-8").split()))
"""The selectors of forge 1.8.0, from crates/cheatcodes/assets/cheatcodes.json at 2a5df2c4 of 2026-08-22.

It contains every function of the interface `Vm` of forge-std 1.16.1. tests/soltests compares by name.
"""


def test_forges_cheatcodes_are_implemented_or_listed_missing() -> None:
    have = {entry.signature for entry in table().values() if not entry.filecoin}
    assert have.isdisjoint(MISSING)
    assert problems(have | set(MISSING)) == []


def test_unknown_cheatcode_is_reported_with_remedy() -> None:
    every = {entry.signature for entry in table().values() if not entry.filecoin} | set(MISSING)
    (problem,) = problems(every | {"mintGold(uint256)"})
    assert problem.startswith("forge does not have 'mintGold(uint256)': decorate it with filecoin=True")
    (problem,) = problems(every - {"warp(uint256)"})
    assert problem.startswith("the selector 0xe5d6bf02 of forge has")  # of warp(uint256)


def problems(signatures: set[str]) -> list[str]:
    """Return the differences from forge's list, each with a remedy."""
    found = {selector(signature): signature for signature in signatures}
    more = [
        f"forge does not have '{signature}': decorate it with filecoin=True and declare it in "
        "fvm_hypervisor/soltest/solidity/FilecoinVm.sol"
        for own, signature in sorted(found.items())
        if own not in FORGE
    ]
    return more + [
        f"the selector 0x{lacking.hex()} of forge has no cheatcode: add it, or list its signature in MISSING "
        "(fvm_hypervisor/soltest/cheatcodes/signatures.py)"
        for lacking in sorted(FORGE - found.keys())
    ]


def test_a_missing_one_is_known_by_its_name() -> None:
    assert name_of(selector("createFork(string)")) == "createFork"
    assert name_of(b"\0\0\0\0") is None


def test_filecoin_vm_interface_lists_exactly_filecoin_cheatcodes() -> None:
    source = PROJECT / "fvm_hypervisor" / "soltest" / "solidity" / "FilecoinVm.sol"
    own = {entry.signature for entry in table().values() if entry.filecoin}
    assert signatures(re.sub(r"\b(calldata|memory)\b", "", source.read_text(encoding="utf-8"))) == own
