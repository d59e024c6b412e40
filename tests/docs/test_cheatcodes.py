"""The cheatcodes of docs/solidity-tests.md are those that there are, and what is missing is what forge-std names."""

from __future__ import annotations

import re
from hashlib import sha256

from devtools.soltest.cheatcodes.signatures import MISSING, name_of
from devtools.soltest.cheatcodes.table import selector, table
from tests.devtools.soltest.cheatcodes.vm_interface import signatures
from tests.docs.cheatcodes_page import PAGE, replaced

OF_LATER_FORGES = {
    "_expectCheatcodeRevert()",
    "_expectCheatcodeRevert(bytes)",
    "_expectCheatcodeRevert(bytes4)",
    "expectDelegateCall(address,bytes)",
    "mockCall(address,bytes,bytes,bool)",
}
"""What forge has and forge-std's interface does not name."""

FORGE_STD = (552, "d7d360e23b8b08493bbd713a6200997d0cd75c1b7f5b1bbfa4c1e0d31b7996cc")
"""The interface `Vm` of forge-std 1.16.1: how many signatures, and their hash; tests/soltests compares by name."""


def test_the_table_is_the_codes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert replaced(text) == text, "run `make cheatcodes-page`"


def test_every_cheatcode_of_forge_std_is_there_or_listed_as_missing() -> None:
    have = {entry.signature for entry in table().values() if not entry.filecoin}
    assert have.isdisjoint(MISSING)
    assert have >= OF_LATER_FORGES
    assert fingerprint((have - OF_LATER_FORGES) | set(MISSING)) == FORGE_STD


def fingerprint(found: set[str]) -> tuple[int, str]:
    """The number of signatures, and a hash of all of them in order."""
    return len(found), sha256("\n".join(sorted(found)).encode()).hexdigest()


def test_a_missing_one_is_known_by_its_name() -> None:
    assert name_of(selector("createFork(string)")) == "createFork"
    assert name_of(b"\0\0\0\0") is None


def test_filecoins_interface_has_every_cheatcode_of_filecoins_and_no_other() -> None:
    source = PAGE.parent.parent / "devtools" / "soltest" / "solidity" / "FilecoinVm.sol"
    own = {entry.signature for entry in table().values() if entry.filecoin}
    assert signatures(re.sub(r"\b(calldata|memory)\b", "", source.read_text(encoding="utf-8"))) == own
