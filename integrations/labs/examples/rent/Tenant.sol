// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// The rent actor of the lab `rent`, as contracts call it. No bytes in place of an address: the caller itself.
interface Rent {
    function pay(bytes calldata actor) external payable returns (uint64 due);
    function optOut() external;
    function resurrect(bytes calldata actor, bytes calldata proof) external payable returns (uint64 due);
    function look(bytes calldata actor)
        external
        view
        returns (uint64 size, uint256 deposit, uint64 due, uint64 archivedSince);
}

/// Keeps words, and pays the rent for them from its own balance.
contract Tenant {
    Rent constant RENT = Rent(0xfF00000000000000000000000000000000000015);

    mapping(uint256 => uint256) public words;
    uint256 public count;

    function keep(uint256 more) external {
        for (uint256 place = 0; place < more; place++) words[count++] = uint256(keccak256(abi.encode(count)));
    }

    function payRent(uint256 amount) external returns (uint64 due) {
        return RENT.pay{value: amount}("");
    }

    function optOut() external {
        RENT.optOut();
    }

    /// Calls somebody, and goes on whatever becomes of it.
    function forward(address to, uint256 value, bytes calldata data) external returns (bool done, bytes memory answer) {
        return to.call{value: value}(data);
    }

    /// Runs somebody else's code in this contract's place, and goes on whatever becomes of it.
    function borrow(address code, bytes calldata data) external returns (bool done, bytes memory answer) {
        return code.delegatecall(data);
    }

    receive() external payable {}
}
