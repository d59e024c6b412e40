//! Sends to other actors, with every kind of failure turned into an error that can be passed on.

use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sys::SendFlags;

use crate::Reply;
use crate::error::ActorError;

/// Calls `method` of `to` with all remaining gas; a failure of any kind is an error to return.
pub fn send(to: &Address, method: MethodNum, params: Option<IpldBlock>, value: TokenAmount) -> Reply {
    send_with(to, method, params, value, SendFlags::empty())
}

/// The same without the right to change state.
pub fn ask(to: &Address, method: MethodNum, params: Option<IpldBlock>) -> Reply {
    send_with(to, method, params, TokenAmount::default(), SendFlags::READ_ONLY)
}

fn send_with(
    to: &Address,
    method: MethodNum,
    params: Option<IpldBlock>,
    value: TokenAmount,
    flags: SendFlags,
) -> Reply {
    let response = fvm_sdk::send::send(to, method, params, value, None, flags).map_err(ActorError::from_send)?;
    if response.exit_code.is_success() {
        return Ok(response.return_data);
    }
    Err(ActorError::from_callee(response.exit_code, response.return_data))
}
