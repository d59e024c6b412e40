"""Solidity tests of a user's actor, and its mutants.

Expected: the template's own behaviour, as its Python tests have it (a tip jar counts tips from 1).
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.filecoin.method_numbers import method_number
from localnet.state.named_code import with_schema

TEMPLATE = Path(__file__).parents[2] / "hypervisor" / "builtin_actors" / "template" / "tip_jar"
TEST = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;
import {filecoinVm} from "hypervisor/FilecoinVm.sol";

contract JarTest {
    uint64 jar;

    function setUp() public {
        jar = filecoinVm.deployActor("jar.wasm", hex"81420064"); // [f0100]
    }

    function tip(uint256 value) internal returns (int256 exitCode, bytes memory answer) {
        bytes memory note = hex"816178"; // ["x"]
        (, bytes memory found) = address(uint160(0xfE) << 152 | 5).delegatecall(
            abi.encode(TIP, value, uint64(0), uint64(0x51), note, jar)
        );
        (exitCode,, answer) = abi.decode(found, (int256, uint64, bytes));
    }

    function testCountsTips() public {
        for (uint8 count = 1; count < 4; count++) {
            (int256 exitCode, bytes memory answer) = tip(5);
            require(exitCode == 0 && uint8(answer[0]) == count, "not counted");
        }
        require(address((uint160(0xff) << 152) | jar).balance == 15, "not paid");
    }

    function testRefusesTipsOfNothing() public {
        (int256 exitCode,) = tip(0);
        require(exitCode == 16, "taken"); // USR_ILLEGAL_ARGUMENT
    }
}
"""
REFUSED = """
contract RefusedTest {
    function testNoSuchModule() public {
        filecoinVm.deployActor("none.wasm", "");
    }

    function testNoModule() public {
        filecoinVm.deployActor("foundry.toml", "");
    }

    function testConstructorRefuses() public {
        filecoinVm.deployActor("jar.wasm", "");
    }
}
"""


@pytest.fixture
def project(clients: Path, tmp_path: Path) -> Path:
    (tmp_path / "test").mkdir()
    text = TEST.replace("TIP", f"uint64({method_number('Tip')})")
    (tmp_path / "test" / "Jar.t.sol").write_text(text, encoding="utf-8")
    solc = clients / "node_modules" / "solc"
    permissions = '[{ access = "read", path = "./" }]'
    settings = f'[profile.default]\nsolc = "{solc}"\nfs_permissions = {permissions}\n'
    (tmp_path / "foundry.toml").write_text(settings, encoding="utf-8")
    (tmp_path / "Makefile").write_text("all:\n", encoding="utf-8")
    shutil.copy(TEMPLATE / "tip_jar.wasm", tmp_path / "jar.wasm")
    return tmp_path


def hypervisor(*arguments: object) -> Any:
    program = Path(sys.executable).with_name("hypervisor")
    done = subprocess.run([program, *map(str, arguments), "--json"], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_solidity_tests_create_and_call_an_actor(project: Path) -> None:
    with (project / "test" / "Jar.t.sol").open("a", encoding="utf-8") as file:
        file.write(REFUSED)
    suites = hypervisor("test", project, "--trust").values()
    assert {name: test["reason"] for suite in suites for name, test in suite["test_results"].items()} == {
        "testCountsTips()": None,
        "testRefusesTipsOfNothing()": None,
        "testConstructorRefuses()": "vm.deployActor: the constructor exited with 16: this method takes parameters",
        "testNoModule()": "vm.deployActor: not a WASM module: the first eight bytes are not its magic number and "
        "version 1",
        "testNoSuchModule()": f'vm.deployActor: failed to open file "{project / "none.wasm"}": No such file or '
        "directory (os error 2)",
    }


def test_trace_names_methods_by_the_schema_in_the_module(project: Path) -> None:
    module, schema = (TEMPLATE / name for name in ("tip_jar.wasm", "interface.ipldsch"))
    (project / "jar.wasm").write_bytes(with_schema(module.read_bytes(), schema.read_text(encoding="utf-8")))
    program = Path(sys.executable).with_name("hypervisor")
    command: list[str | Path] = [program, "test", project, "--trust", "-vvvv", "--match-test", "CountsTips"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.count('actor::Tip{value: 5}(note="x")') == 3, done.stdout + done.stderr


def test_solidity_tests_detect_mutants(project: Path) -> None:
    found = hypervisor("actor", "mutate", project, "--no-build", "--count", "4", "--seed", "1")
    assert found["summary"]["total"] == 4
    assert found["summary"]["killed"] > 0
    assert found["summary"]["mutation_score"] < 100
