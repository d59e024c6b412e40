// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Child { uint public x; constructor(uint v) payable { x = v; } function bye(address payable to) external { selfdestruct(to); } }
contract Probe {
    uint public value; mapping(uint => uint) public map; address public child;
    event Set(uint indexed key, uint value, address indexed who); event Plain(bytes data);
    error Custom(uint a, string b);
    constructor() payable { value = 7; }
    receive() external payable { emit Plain("got"); }
    function set(uint k, uint v) external payable returns (uint) { map[k] = v; emit Set(k, v, msg.sender); return v + 1; }
    function clear(uint k) external { delete map[k]; }
    function boom() external pure { revert("boom"); }
    function custom() external pure { revert Custom(5, "bad"); }
    function panics(uint a) external pure returns (uint) { return 1 / a; }
    function inv() external pure { assembly { invalid() } }
    function empty() external pure { assembly { revert(0, 0) } }
    function loop() external { while (true) { value++; } }
    function make(uint v) external payable returns (address) { Child c = new Child{value: msg.value}(v); child = address(c); return child; }
    function make2(uint v, bytes32 salt) external payable returns (address) { return address(new Child{value: msg.value, salt: salt}(v)); }
    function kill(address payable to) external payable returns (address) { Child c = new Child{value: msg.value}(1); c.bye(to); return address(c); }
    function env() external view returns (uint, uint, uint, address, uint, uint, uint, bytes32) { return (block.number, block.timestamp, block.prevrandao, block.coinbase, block.basefee, block.gaslimit, block.chainid, blockhash(block.number - 1)); }
    function tx_() external payable returns (address, address, uint, uint, uint) { return (tx.origin, msg.sender, tx.gasprice, gasleft() > 0 ? 1 : 0, msg.value); }
    function hashOf(uint n) external view returns (bytes32) { return blockhash(n); }
    function inner() external returns (bool ok, bytes memory data) { (ok, data) = address(this).call(abi.encodeCall(this.boom, ())); value = 9; }
    function self(bytes calldata d) external payable returns (bool, bytes memory) { return address(this).delegatecall(d); }
    function to(address a, bytes calldata d) external payable returns (bool, bytes memory) { return a.call{value: msg.value}(d); }
    function view_(address a, bytes calldata d) external view returns (bool, bytes memory) { return a.staticcall(d); }
    function sha(bytes calldata d) external pure returns (bytes32) { return sha256(d); }
    function bal(address a) external view returns (uint, uint, bytes32) { return (a.balance, a.code.length, a.codehash); }
    function trans(uint v) external returns (uint r) { assembly { tstore(1, v) r := tload(1) } }
    function blob() external view returns (bytes32, uint) { return (blobhash(0), block.blobbasefee); }
    function refund(uint n) external { for (uint i; i < n; i++) map[i] = 1; for (uint i; i < n; i++) map[i] = 0; }
    function gas() external view returns (uint) { return gasleft(); }
    function logs() external { assembly { log0(0, 1) log1(0, 1, 1) log2(0, 1, 1, 2) log3(0, 1, 1, 2, 3) log4(0, 1, 1, 2, 3, 4) } }
}
