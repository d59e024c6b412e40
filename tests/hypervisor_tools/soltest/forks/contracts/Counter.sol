pragma solidity ^0.8.20;
contract Counter {
    uint256 public number;
    mapping(address => uint256) public seen;
    event Set(address indexed who, uint256 value);
    constructor() payable {}
    function set(uint256 n) external { number = n; seen[msg.sender] = n; emit Set(msg.sender, n); }
    function bump() external { number++; }
}
