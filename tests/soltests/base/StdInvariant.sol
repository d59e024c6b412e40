// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.13;

/// What runners ask a test contract for: the contracts that an invariant test calls.
abstract contract StdInvariant {
    address[] private targets;

    function targetContracts() public view returns (address[] memory) {
        return targets;
    }

    function targetContract(address target) internal {
        targets.push(target);
    }
}
