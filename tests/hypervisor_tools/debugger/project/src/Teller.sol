// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// A contract that pays through a native actor, which fails.
contract Teller {
    address constant CALL_ACTOR_BY_ID = 0xfe00000000000000000000000000000000000005;
    uint64 constant FAIL = 2807139696;

    uint256 public attempts;
    int256 public lastExit;

    error Refused(int256 exit);

    function pay(uint64 actor, bytes calldata params) external returns (uint256) {
        attempts = attempts + 1;
        int256 exit = ask(actor, params);
        lastExit = exit;
        if (exit != 0) {
            revert Refused(exit);
        }
        return attempts;
    }

    function ask(uint64 actor, bytes calldata params) internal returns (int256 exit) {
        bytes memory input = abi.encode(FAIL, uint256(0), uint64(0), uint64(0x51), params, actor);
        (bool called, bytes memory output) = CALL_ACTOR_BY_ID.delegatecall(input);
        require(called, "not callable");
        (exit,,) = abi.decode(output, (int256, uint64, bytes));
    }

    function spin(uint256 rounds) external returns (uint256 sum) {
        for (uint256 i = 0; i < rounds; i++) {
            sum += i * i;
        }
        attempts = sum;
    }
}
