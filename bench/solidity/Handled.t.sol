// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface Vm {
    function deal(address account, uint256 balance) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 timestamp) external;
    function expectRevert() external;
}

contract Vault {
    mapping(address => uint256) public held;
    uint256 public total;

    function put() external payable {
        held[msg.sender] += msg.value;
        total += msg.value;
    }

    function refuse() external pure {
        revert("refused");
    }

    function take(uint256 amount) external {
        uint256 mine = held[msg.sender];
        uint256 taken = amount > mine ? mine : amount;
        held[msg.sender] = mine - taken;
        total -= taken;
        payable(msg.sender).transfer(taken);
    }
}

contract Handler {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Vault vault;

    constructor(Vault handled) {
        vault = handled;
    }

    function put(uint160 seed, uint96 amount) external {
        address user = address(0x10000 + seed % 10);
        vm.deal(user, amount);
        vm.startPrank(user);
        vault.put{value: amount}();
        vm.stopPrank();
    }

    function take(uint160 seed, uint96 amount) external {
        address user = address(0x10000 + seed % 10);
        vm.deal(user, 0);
        vm.warp(block.timestamp + 1);
        vm.startPrank(user);
        vault.take(amount);
        vm.stopPrank();
        vm.expectRevert();
        vault.refuse();
    }
}

contract HandledTest {
    Vault vault;
    address[] handlers;

    function setUp() public {
        vault = new Vault();
        handlers.push(address(new Handler(vault)));
    }

    function targetContracts() public view returns (address[] memory) {
        return handlers;
    }

    function invariant_total() public view {
        require(address(vault).balance == vault.total());
    }
}
