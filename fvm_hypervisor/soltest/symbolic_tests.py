"""Counterexamples of symbolic tests as unit tests in Solidity. This module does not import z3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.results import CaseKind, CaseStatus, CounterExample, SuiteResult, TestResult
from fvm_hypervisor.soltest.stage import selector
from hypervisor.errors import InvalidInput

_HEAD: Final = """// SPDX-License-Identifier: UNLICENSED
// Counterexamples found by `hypervisor test --symbolic`.
pragma solidity >=0.8.0;

import {{{contract}}} from "{source}";
{interface}
contract {contract}Counterexamples is {contract} {{
{tests}}}
"""
_INTERFACE: Final = """
interface VmForCounterexamples {
    function etch(address target, bytes calldata code) external;
    function mockCalls(address callee, bytes calldata data, bytes[] calldata answers) external;
}
"""
_TEST: Final = """    /// {arguments}
    function test_{name}() public {{
{answers}        (bool success, bytes memory output) = address(this).delegatecall(hex"{data}");
        if (!success) {{
            assembly {{
                revert(add(output, 32), mload(output))
            }}
        }}
    }}
"""
_VM: Final = "VmForCounterexamples(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D)"
_SVM: Final = "0xF3993A62377BCd56AE39D773740A5390411E8BC9"


def write_tests(suites: Sequence[SuiteResult], root: Path, folder: Path) -> list[Path]:
    """Write a file per suite with counterexamples; return the files. Raises InvalidInput."""
    written = []
    for suite in suites:
        failed = [test for test in suite.tests if test.kind is CaseKind.SYMBOLIC and test.status is CaseStatus.FAILURE]
        if not failed:
            continue
        file = folder / f"{suite.contract}Counterexamples.t.sol"
        source = relpath(root / suite.file, folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(_text(suite.contract, source if source.startswith(".") else f"./{source}", failed), "utf-8")
        except OSError as error:
            raise InvalidInput(f"the counterexamples cannot be written to {file}: {error.strerror}") from None
        written.append(file)
    return written


def _text(contract: str, source: str, failed: Sequence[TestResult]) -> str:
    tests = "\n".join(_test(test) for test in failed)
    interface = _INTERFACE if "VmForCounterexamples" in tests else ""
    return _HEAD.format(contract=contract, source=source, interface=interface, tests=tests)


def _test(test: TestResult) -> str:
    example = test.counterexample[0] if test.counterexample else CounterExample(selector(test.signature), "")
    lines = [f'        {_VM}.etch({_SVM}, hex"00");\n'] if example.answers else []
    for number, (asked, answers) in enumerate(example.answers):
        lines.append(f"        bytes[] memory answers{number} = new bytes[]({len(answers)});\n")
        lines += [f'        answers{number}[{at}] = hex"{answer.hex()}";\n' for at, answer in enumerate(answers)]
        lines.append(f'        {_VM}.mockCalls({_SVM}, hex"{asked.hex()}", answers{number});\n')
    name = re.sub(r"\W+", "_", test.signature).strip("_")
    arguments = re.sub(r"[^\x20-\x7e]", "?", f"{test.signature.partition('(')[0]}({example.arguments})")
    return _TEST.format(arguments=arguments, name=name, answers="".join(lines), data=example.calldata.hex())
