//! A native actor that contracts call as if it were one: Solidity's `IOracle(0xff..id).latest()` reaches the actor as
//! the method InvokeEVM with calldata, and what it answers is return data.

use alloy_sol_types::{Revert, SolCall, SolError};
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::{BytesDe, IPLD_RAW};

use crate::call::byte_string;

pub use crate::call::INVOKE_EVM;
pub use crate::error::REVERTED;

/// The calldata of a call with InvokeEVM: raw from a contract, a CBOR byte string from a message or an actor, nothing
/// without a block. None if it is something else: the EVM actor refuses that with 21.
pub fn calldata(params: Option<IpldBlock>) -> Option<Vec<u8>> {
    match params {
        None => Some(Vec::new()),
        Some(block) if block.codec == IPLD_RAW => Some(block.data),
        Some(block) => block.deserialize::<BytesDe>().ok().map(BytesDe::into_vec),
    }
}

/// The return block of a function.
pub fn answer<C: SolCall>(value: &C::Return) -> IpldBlock {
    byte_string(&C::abi_encode_returns(value))
}

/// The block to abort with, with exit code `REVERTED`: the caller sees a custom error.
pub fn revert<E: SolError>(error: &E) -> IpldBlock {
    byte_string(&error.abi_encode())
}

/// The same with a reason in words: `Error(string)`.
pub fn revert_with(reason: &str) -> IpldBlock {
    revert(&Revert::from(reason))
}
