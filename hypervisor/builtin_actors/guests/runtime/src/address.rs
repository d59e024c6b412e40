//! From an address to the id of the actor behind it.

use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{ActorID, METHOD_SEND};

use crate::ActorError;
use crate::kind::code_of;
use crate::send::send;

/// The id; none if nobody has the address. An id address is its own id, whether the actor exists or not.
pub fn resolve(address: &Address) -> Option<ActorID> {
    fvm_sdk::actor::resolve_address(address)
}

/// The id of the actor behind the address. A key or an Ethereum address that nobody has yet gets its account by a send
/// of nothing.
pub fn resolve_or_create(address: &Address) -> Result<ActorID, ActorError> {
    if let Some(id) = resolve(address) {
        return Ok(id);
    }
    send(address, METHOD_SEND, None, TokenAmount::default())?;
    resolve(address).ok_or_else(|| ActorError::illegal_argument(format!("nobody has the address {address}")))
}

/// The same, and the actor has to exist: an id that nobody has is 17.
pub fn resolve_existing(address: &Address) -> Result<ActorID, ActorError> {
    let id = resolve_or_create(address)?;
    match code_of(id) {
        Some(_) => Ok(id),
        None => Err(ActorError::not_found(format!("there is no actor f0{id}"))),
    }
}
