// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

error TooMuch(address who, uint256 asked, uint256 has);

struct Holder {
    uint256 balance;
    bool open;
    string note;
}

library Sums {
    function minus(uint256 a, uint256 b) internal pure returns (uint256) {
        require(b <= a, "minus: below zero");
        return a - b;
    }
}

contract Ledger {
    using Sums for uint256;

    mapping(address => Holder) public accounts;
    uint256 public total;

    event Changed(address indexed who, uint256 balance, string note);

    modifier onlyOpen(address who) {
        require(accounts[who].open, "closed");
        _;
    }

    function open(address who, string calldata note) external {
        accounts[who] = Holder(0, true, note);
        emit Changed(who, 0, note);
    }

    function add(address who, uint256 amount) external onlyOpen(who) {
        accounts[who].balance += amount;
        total += amount;
        emit Changed(who, accounts[who].balance, "");
    }

    function take(address who, uint256 amount) external onlyOpen(who) returns (uint256 left) {
        uint256 has = accounts[who].balance;
        if (amount > 1_000_000) {
            revert TooMuch(who, amount, has);
        }
        left = _take(has, amount);
        accounts[who].balance = left;
        total = total.minus(amount);
    }

    function _take(uint256 has, uint256 amount) private pure returns (uint256) {
        return has.minus(amount);
    }

    function account(address who) external view returns (Holder memory) {
        return accounts[who];
    }

    function unused(uint256 x) external pure returns (uint256) {
        for (uint256 i = 0; i < x; i++) {
            x += i;
        }
        return x > 3 ? x : 3;
    }
}

contract Bank {
    Ledger public immutable ledger;

    constructor() {
        ledger = new Ledger();
    }

    function join(string calldata note) external payable {
        ledger.open(msg.sender, note);
        if (msg.value > 0) {
            ledger.add(msg.sender, msg.value);
        } else {
            ledger.add(msg.sender, 0);
        }
    }

    function withdraw(uint256 amount) external returns (uint256 left) {
        left = ledger.take(msg.sender, amount);
        (bool paid,) = msg.sender.call{value: amount}("");
        require(paid, "not paid");
    }

    function twice(uint256 amount) external {
        try ledger.take(msg.sender, amount) returns (uint256) {
            ledger.take(msg.sender, amount);
        } catch {
            revert("twice failed");
        }
    }

    receive() external payable {}
}
