// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.13;

/// In none of the project's folders, but imported by a test: forge runs it.
contract ImportedTest {
    function test_imported() external pure {}
}
