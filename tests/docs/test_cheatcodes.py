"""docs/cheatcodes.md lists the supported cheatcodes, and the missing ones of forge-std."""

from __future__ import annotations

import re
from pathlib import Path

from fvm_hypervisor.soltest.cheatcodes.signatures import MISSING, name_of
from fvm_hypervisor.soltest.cheatcodes.table import selector, table
from tests.docs.cheatcodes_page import PAGE, replaced
from tests.fvm_hypervisor.soltest.cheatcodes.vm_interface import signatures

SELECTORS = Path(__file__).parent.parent / "fvm_hypervisor" / "soltest" / "cheatcodes" / "forge_std_selectors.txt"
OF_LATER_FORGES = {
    "_expectCheatcodeRevert()",
    "_expectCheatcodeRevert(bytes)",
    "_expectCheatcodeRevert(bytes4)",
    "expectDelegateCall(address,bytes)",
    "mockCall(address,bytes,bytes,bool)",
}
"""Cheatcodes of forge missing in forge-std's interface."""

FORGE_STD = frozenset(map(bytes.fromhex, SELECTORS.read_text(encoding="utf-8").split()))
"""The selectors of the interface `Vm` of forge-std 1.16.1; tests/soltests compares by name."""


def test_the_table_is_the_codes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert replaced(text) == text, "run `make cheatcodes-page`"


def test_forge_std_cheatcodes_are_implemented_or_listed_missing() -> None:
    have = {entry.signature for entry in table().values() if not entry.filecoin}
    assert have.isdisjoint(MISSING)
    assert have >= OF_LATER_FORGES
    assert problems((have - OF_LATER_FORGES) | set(MISSING)) == []


def test_unknown_cheatcode_is_reported_with_remedy() -> None:
    every = {entry.signature for entry in table().values() if not entry.filecoin} - OF_LATER_FORGES | set(MISSING)
    (problem,) = problems(every | {"mintGold(uint256)"})
    assert problem.startswith("forge-std does not have 'mintGold(uint256)': decorate it with filecoin=True")
    (problem,) = problems(every - {"warp(uint256)"})
    assert problem.startswith("the selector 0xe5d6bf02 of forge-std")  # forge-std's, of warp(uint256)


def problems(signatures: set[str]) -> list[str]:
    """Return the differences from forge-std's interface, each with a remedy."""
    found = {selector(signature): signature for signature in signatures}
    more = [
        f"forge-std does not have '{signature}': decorate it with filecoin=True and declare it in "
        "fvm_hypervisor/soltest/solidity/FilecoinVm.sol, or list it in OF_LATER_FORGES where a later forge has it"
        for own, signature in sorted(found.items())
        if own not in FORGE_STD
    ]
    return more + [
        f"the selector 0x{lacking.hex()} of forge-std has no cheatcode: add it, or list its signature in MISSING "
        "(fvm_hypervisor/soltest/cheatcodes/signatures.py)"
        for lacking in sorted(FORGE_STD - found.keys())
    ]


def test_a_missing_one_is_known_by_its_name() -> None:
    assert name_of(selector("createFork(string)")) == "createFork"
    assert name_of(b"\0\0\0\0") is None


def test_filecoin_vm_interface_lists_exactly_filecoin_cheatcodes() -> None:
    source = PAGE.parent.parent / "fvm_hypervisor" / "soltest" / "solidity" / "FilecoinVm.sol"
    own = {entry.signature for entry in table().values() if entry.filecoin}
    assert signatures(re.sub(r"\b(calldata|memory)\b", "", source.read_text(encoding="utf-8"))) == own
