// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Method numbers of the counter actor (examples/counter): FRC-42 hashes of their names.
library CounterActor {
    uint64 internal constant INCREMENT = 2922929132;
    uint64 internal constant GET = 355179992;
    uint64 internal constant DEPOSIT = 1932531225;
    uint64 internal constant CALL_CONTRACT = 50407676;
    uint64 internal constant FAIL = 2807139696;
    uint64 internal constant PING_PONG = 3404487225;
}
