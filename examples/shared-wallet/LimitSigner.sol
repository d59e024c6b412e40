// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SharedWallet} from "./SharedWallet.sol";

/// A contract that is a signer: whoever asks it to, it approves payments of a wallet up to a sum for each period.
contract LimitSigner {
    error MoreThanLimit(uint256 value, uint256 left);
    /// It looks at amounts only, so it signs plain payments and no calls.
    error NotAPayment(uint256 payment);

    /// A period of no epochs has no number.
    error NoPeriod();

    struct Spent {
        uint256 period;
        uint256 sum;
    }

    uint256 public immutable limit;
    uint256 public immutable epochs;
    /// By wallet: a stranger's wallet, or a contract that only looks like one, uses up nobody else's limit.
    mapping(SharedWallet wallet => Spent) public spent;

    /// attoFIL for each period of so many epochs; a day has 2880 epochs.
    constructor(uint256 limit_, uint256 epochs_) {
        if (epochs_ == 0) revert NoPeriod();
        (limit, epochs) = (limit_, epochs_);
    }

    function sign(SharedWallet wallet, uint256 payment) external {
        (, uint256 value, bytes memory data,,) = wallet.payments(payment);
        if (data.length > 0) revert NotAPayment(payment);
        Spent storage used = spent[wallet];
        uint256 period = block.number / epochs;
        if (period != used.period) (used.period, used.sum) = (period, 0);
        if (value > limit - used.sum) revert MoreThanLimit(value, limit - used.sum);
        used.sum += value;
        wallet.approve(payment);
    }
}
