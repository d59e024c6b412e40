// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// The native actor beside this file, as contracts see it: it answers InvokeEVM, so it is called like a contract.
interface IPriceOracle {
    error NoPriceYet();

    function latest() external view returns (uint64 round, int256 price);
}

/// Takes prices that a native oracle pushes, and no others.
contract PriceFeed {
    event PriceUpdated(uint64 indexed round, int256 price);

    error NotTheOracle(address caller);
    error StaleRound(uint64 latest);
    /// What was pushed is not what the oracle says when it is asked.
    error NotConfirmed(uint64 round, int256 price);
    error TooOld(uint256 epoch);

    /// The masked-ID address of the native actor: nobody else is seen by it, and only code can make calls from it.
    IPriceOracle public immutable oracle;
    uint256 public immutable maxAge;

    uint64 public round;
    int256 private last;
    uint256 public updated;

    constructor(IPriceOracle oracle_, uint256 maxAge_) {
        oracle = oracle_;
        maxAge = maxAge_;
    }

    /// The oracle calls this. It is asked back in the middle of its call, and must know its own new price.
    function update(uint64 round_, int256 price_) external returns (bool changed) {
        if (msg.sender != address(oracle)) revert NotTheOracle(msg.sender);
        if (round_ <= round) revert StaleRound(round);
        (uint64 confirmedRound, int256 confirmedPrice) = oracle.latest();
        if (confirmedRound != round_ || confirmedPrice != price_) revert NotConfirmed(round_, price_);
        changed = last != price_;
        (round, last, updated) = (round_, price_, block.number);
        emit PriceUpdated(round_, price_);
    }

    /// For a feed that was subscribed late: takes the price that the oracle has already.
    function pull() external {
        (uint64 found, int256 price_) = oracle.latest();
        if (found <= round) revert StaleRound(round);
        (round, last, updated) = (found, price_, block.number);
        emit PriceUpdated(found, price_);
    }

    /// The price, not older than `maxAge` epochs.
    function price() external view returns (int256) {
        if (round == 0 || block.number > updated + maxAge) revert TooOld(updated);
        return last;
    }
}
