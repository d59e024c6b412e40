"""The cheatcodes of docs/solidity-tests.md are those that there are, and what is missing is what forge-std names."""

from __future__ import annotations

import re

from devtools.soltest.cheatcodes.signatures import MISSING, name_of
from devtools.soltest.cheatcodes.table import selector, table
from tests.conftest import data_file
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


def test_the_table_is_the_codes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert replaced(text) == text, "run `make cheatcodes-page`"


def test_every_cheatcode_of_forge_std_is_there_or_listed_as_missing() -> None:
    wanted = signatures(data_file("suites/forge-std/src/Vm.sol").read_text(encoding="utf-8"))
    have = {entry.signature for entry in table().values() if not entry.filecoin}
    assert wanted - have == set(MISSING)
    assert have - wanted == OF_LATER_FORGES


def test_a_missing_one_is_known_by_its_name() -> None:
    assert name_of(selector("createFork(string)")) == "createFork"
    assert name_of(b"\0\0\0\0") is None


def test_filecoins_interface_has_every_cheatcode_of_filecoins_and_no_other() -> None:
    source = PAGE.parent.parent / "devtools" / "soltest" / "solidity" / "FilecoinVm.sol"
    own = {entry.signature for entry in table().values() if entry.filecoin}
    assert signatures(re.sub(r"\b(calldata|memory)\b", "", source.read_text(encoding="utf-8"))) == own
