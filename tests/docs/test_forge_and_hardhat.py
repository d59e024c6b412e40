"""docs/forge-and-hardhat.md, forge and Hardhat against the node: what it shows is what `make clients` runs."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent
CLIENTS = PROJECT / "tests" / "clients"
TEXT = (PROJECT / "docs" / "forge-and-hardhat.md").read_text(encoding="utf-8")


def test_the_configuration_of_hardhat_is_the_one_that_is_run() -> None:
    (shown,) = re.findall(r"```typescript\n(.*?)```", TEXT, re.DOTALL)
    assert shown == (CLIENTS / "hardhat" / "hardhat.config.ts").read_text(encoding="utf-8")


def test_the_import_is_the_file_that_the_command_writes() -> None:
    source = (PROJECT / "localnet" / "solidity" / "FilecoinFork.sol").read_text(encoding="utf-8")
    assert "library FilecoinFork {" in source
    assert "function activate() internal {" in source
    assert 'import {FilecoinFork} from "filecoin/FilecoinFork.sol";' in TEXT


def test_documented_methods_are_those_requested_by_library() -> None:
    source = (PROJECT / "localnet" / "solidity" / "FilecoinFork.sol").read_text(encoding="utf-8")
    assert set(re.findall(r'"(hypervisor_\w+)"', source)) == {"hypervisor_beginState", "hypervisor_callPrecompile"}
    assert set(re.findall(r"`(hypervisor_\w+)`", TEXT)) <= {"hypervisor_beginState", "hypervisor_callPrecompile"}


def test_every_documented_feature_has_its_own_test() -> None:
    tests = re.findall(r"function (test\w*)", (CLIENTS / "contracts" / "test" / "Fork.t.sol").read_text("utf-8"))
    assert len(tests) == len(set(tests)) == 12
