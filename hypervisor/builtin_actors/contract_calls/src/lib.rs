//! Calls between native actors and Ethereum contracts by Solidity's ABI, for actors written in Rust.
//!
//! ```ignore
//! contract_calls::sol! {
//!     interface IPriceFeed {
//!         error StaleRound(uint64 latest);
//!         function update(uint64 round, int256 price) external returns (bool changed);
//!     }
//! }
//!
//! match Contract::at(feed).call(&IPriceFeed::updateCall { round, price }) {
//!     Ok(changed) => ...,
//!     Err(error) => match error.custom::<IPriceFeed::StaleRound>() {
//!         Some(stale) => ...,
//!         None => return Err(error.to_string()),
//!     },
//! }
//! ```
//!
//! | module    | what for                                                                                          |
//! |-----------|---------------------------------------------------------------------------------------------------|
//! | `call`    | a contract's functions: InvokeEVM with calldata, and what comes back                              |
//! | `error`   | how such a call fails: reverts with their reasons and custom errors, other exits, refused sends   |
//! | `handler` | methods by number, which reach a contract as `handle_filecoin_method`                             |
//! | `serve`   | the other way round: a native actor that contracts call as if it were a contract                  |
//! | `address` | Ethereum's addresses as Filecoin's and back                                                       |
//!
//! The ABI itself is the work of `alloy-sol-types`, and the calls are `fvm_sdk`'s. The rules are FIP-0054 and FIP-0055
//! in the shape that the official EVM actor gives them.

pub mod address;
pub mod call;
pub mod error;
pub mod handler;
pub mod serve;

#[cfg(test)]
mod tests;

pub use alloy_sol_types;
pub use alloy_sol_types::private::{I256, U256};
pub use alloy_sol_types::{SolCall, SolError, SolEvent, SolInterface};

pub use address::EthAddress;
pub use call::Contract;
pub use error::CallError;

/// Solidity's interfaces, structs and errors as Rust's types: `alloy_sol_types::sol!`, found through this crate.
#[macro_export]
macro_rules! sol {
    ($($tokens:tt)*) => {
        $crate::alloy_sol_types::sol! {
            #![sol(alloy_sol_types = $crate::alloy_sol_types, all_derives)]
            $($tokens)*
        }
    };
}
