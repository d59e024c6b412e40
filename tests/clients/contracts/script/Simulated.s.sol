// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// Writes many words: a call that costs enough by forge's count for Filecoin to carry it, and too little to run it.
contract Ledger {
    uint256[] private rows;

    function fill(uint256 count) external {
        for (uint256 i = 0; i < count; i++) rows.push(i + 1);
    }
}

/// One transaction that creates a contract.
contract CreateLedger {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external {
        VM.startBroadcast();
        new Ledger();
        VM.stopBroadcast();
    }
}

/// One transaction that calls it.
contract FillLedger {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run(Ledger ledger) external {
        VM.startBroadcast();
        ledger.fill(100);
        VM.stopBroadcast();
    }
}
