// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Counter {
    uint256 public number;
    constructor(uint256 first) payable { number = first; }
    function add(uint256 more) public returns (uint256) { number = _sum(number, more); return number; }
    function fail() public pure { revert("never"); }
    function _sum(uint256 a, uint256 b) internal pure returns (uint256) { return a + b; }
}
