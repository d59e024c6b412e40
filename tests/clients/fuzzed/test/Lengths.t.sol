// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// Tests whose gas says how large their inputs are.
contract LengthsTest {
    function testFuzz_arrayAndText(uint8[] memory a, string memory s) public pure { a; s; }
    function testFuzz_array(uint8[] memory a) public pure { a; }
    function testFuzz_wide(uint256[] memory a) public pure { a; }
    function testFuzz_addresses(address[] memory a) public pure { a; }
    function testFuzz_texts(string[] memory a) public pure { a; }
    function testFuzz_threeArrays(uint256[][3] memory a) public pure { a; }
    function testFuzz_arrays(uint256[][] memory a) public pure { a; }
    function testFuzz_text(string memory s) public pure { for (uint256 i; i < bytes(s).length; i++) {} }
    function testFuzz_bytes(bytes memory s) public pure { for (uint256 i; i < s.length; i++) {} }
}
