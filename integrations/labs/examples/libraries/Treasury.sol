// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// The native actors of this folder, as contracts see them: they answer InvokeEVM.
interface IPool {
    function deposit(uint64 first, uint64 second) external returns (uint64 shares);
    function swap(uint64 amount) external returns (uint64 taken);
}

interface ILoan {
    function owed(uint64 principal, uint64 rate, uint64 periods) external view returns (uint64);
    function owedContinuously(uint64 principal, uint64 rate, uint64 periods) external view returns (uint64);
}

/// Puts money into a pool, swaps, and sees what a loan of the proceeds grows to.
contract Treasury {
    IPool public immutable pool;
    ILoan public immutable loan;

    uint64 public shares;
    uint64 public taken;
    uint64 public owed;
    uint64 public owedContinuously;

    constructor(IPool pool_, ILoan loan_) {
        pool = pool_;
        loan = loan_;
    }

    /// `rate` in parts of a billion for each of `periods`.
    function plan(uint64 first, uint64 second, uint64 amount, uint64 rate, uint64 periods) external {
        shares = pool.deposit(first, second);
        taken = pool.swap(amount);
        owed = loan.owed(taken, rate, periods);
        owedContinuously = loan.owedContinuously(taken, rate, periods);
    }
}
