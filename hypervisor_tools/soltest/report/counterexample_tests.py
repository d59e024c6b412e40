"""Counterexamples of symbolic, fuzz and invariant tests as unit tests in Solidity. This module does not import z3.

The contract of the unit tests inherits from the suite, so its `setUp` deploys contracts at the same addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import Final

from bridge.ethereum.addresses import EthAddress, checksummed
from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.discovery import COUNTEREXAMPLES
from hypervisor_tools.soltest.execution.results import (
    SVM,
    CaseKind,
    CaseStatus,
    CounterExample,
    CreatedValues,
    SuiteResult,
    TestResult,
)
from hypervisor_tools.soltest.project.consent import write_inside

_HEAD: Final = """// SPDX-License-Identifier: UNLICENSED
// Counterexamples found by `hypervisor`.
pragma solidity >=0.8.0;

import {{{contract}}} from "{source}";
{interface}"""
_CONTRACT: Final = """
contract {contract}Counterexamples is {contract} {{
{tests}}}
"""
_WITH_SET_UP: Final = """
contract {contract}Counterexample{number} is {contract} {{
    constructor() {{
{statements}    }}

{test}}}
"""
_INTERFACE: Final = """
interface VmForCounterexamples {
    function etch(address target, bytes calldata code) external;
    function prank(address sender) external;
    function roll(uint256 number) external;
    function warp(uint256 timestamp) external;
    function mockCalls(address callee, bytes calldata data, bytes[] calldata answers) external;
    function store(address target, bytes32 slot, bytes32 word) external;
}
"""
_TEST: Final = """    // {arguments}
    function test_{name}() public {{
{statements}        (bool success, bytes memory output) = address(this).delegatecall(hex"{data}");
        if (!success) {{
            assembly {{
                revert(add(output, 32), mload(output))
            }}
        }}
    }}
"""
_VM: Final = "VmForCounterexamples(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D)"


def write_tests(suites: Sequence[SuiteResult], root: Path, folder: Path) -> list[Path]:
    """Write a file per suite with counterexamples; return the files. Raises InvalidInput.

    The folder of the suite's source is repeated below `folder`, so that suites of one name do not share a file.
    """
    written = []
    for suite in suites:
        failed = [test for test in suite.tests if _has_example(test)]
        if not failed:
            continue
        place = PurePosixPath(suite.file)
        stem = place.name.removesuffix(".sol").removesuffix(".t")
        file = folder / place.parent / f"{stem}.{suite.contract}{COUNTEREXAMPLES}"
        source = relpath(root / suite.file, file.parent)
        text = _text(suite.contract, source if source.startswith(".") else f"./{source}", failed)
        try:
            write_inside(root if file.is_relative_to(root) else folder, file, text.encode())
        except OSError as error:
            raise InvalidInput(f"the counterexamples cannot be written to {file}: {error.strerror}") from None
        written.append(file)
    return written


def _has_example(test: TestResult) -> bool:
    if test.status is not CaseStatus.FAILURE:
        return False
    return test.kind is CaseKind.SYMBOLIC or (
        test.kind in (CaseKind.FUZZ, CaseKind.INVARIANT) and bool(test.counterexample)
    )


def _text(contract: str, source: str, failed: Sequence[TestResult]) -> str:
    """Return the file. Values that `setUp` needs are set by the constructor of a contract for their test alone."""
    early = [test for test in failed if _example(test).created.in_set_up]
    tests = "\n".join(_test(test, _block(test)) for test in failed if test not in early)
    others = "".join(
        _WITH_SET_UP.format(contract=contract, number=number, statements=_block(test), test=_test(test, ""))
        for number, test in enumerate(early)
    )
    interface = _INTERFACE if "VmForCounterexamples" in tests + others else ""
    own = _CONTRACT.format(contract=contract, tests=tests) if tests else ""
    return _HEAD.format(contract=contract, source=source, interface=interface) + own + others


def _example(test: TestResult) -> CounterExample:
    return test.counterexample[0] if test.counterexample else CounterExample(selector(test.signature), "")


def _block(test: TestResult) -> str:
    """Return the statements before the call of a test, as lines: they create its values, or make its calls."""
    found = _calls(test) if test.is_sequence else _statements(_example(test).created)
    return "".join(f"        {statement}\n" for statement in found)


def _test(test: TestResult, statements: str) -> str:
    example = CounterExample(selector(test.signature), "") if test.is_sequence else _example(test)
    name = re.sub(r"\W+", "_", test.signature).strip("_")
    arguments = re.sub(r"[^\x20-\x7e]", "?", f"{test.signature.partition('(')[0]}({example.arguments})")
    return _TEST.format(arguments=arguments, name=name, statements=statements, data=example.calldata.hex())


def _calls(test: TestResult) -> Iterator[str]:
    """Yield statements that make the calls of a sequence. Only the last one may be a failure itself, by its revert."""
    last = len(test.counterexample) - 1
    for number, call in enumerate(test.counterexample):
        if call.delay.seconds:
            yield f"{_VM}.warp(block.timestamp + {call.delay.seconds});"
        if call.delay.blocks:
            yield f"{_VM}.roll(block.number + {call.delay.blocks});"
        yield f"{_VM}.prank({checksummed(EthAddress(bytes.fromhex(call.sender[2:])))});"
        target = checksummed(EthAddress(bytes.fromhex(call.address[2:])))
        made = f'{target}.call(hex"{call.calldata.hex()}");'
        yield f"(bool success{number},) = {made}" if number == last else made
        if number == last:
            yield f'require(success{number}, "the last call of the sequence reverts");'


def _statements(values: CreatedValues) -> Iterator[str]:
    """Yield statements that create the values: `svm` is mocked, and words of symbolic storage are stored."""
    svm = checksummed(SVM)
    if values.answers:
        yield f'{_VM}.etch({svm}, hex"00");'
    for number, (calldata, answers) in enumerate(values.by_calldata().items()):
        yield f"bytes[] memory answers{number} = new bytes[]({len(answers)});"
        yield from (f'answers{number}[{at}] = hex"{answer.hex()}";' for at, answer in enumerate(answers))
        yield f'{_VM}.mockCalls({svm}, hex"{calldata.hex()}", answers{number});'
    for address, slot, word in values.storage:
        yield f"{_VM}.store({checksummed(address)}, bytes32(uint256({slot:#x})), bytes32(uint256({word:#x})));"
