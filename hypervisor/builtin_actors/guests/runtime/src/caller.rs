//! Who may call. Each check answers 18 (forbidden) when it fails; a method makes exactly one of them, after decoding
//! its parameters. A method that anyone may call makes none.

use fvm_shared::address::Address;
use fvm_shared::{ActorID, MethodNum};
use serde::de::DeserializeOwned;

use crate::kind::code_of;
use crate::{ActorError, Call, Kind, Reply, ids};

pub fn must_be(id: ActorID) -> Result<(), ActorError> {
    let caller = fvm_sdk::message::caller();
    if caller == id {
        return Ok(());
    }
    Err(ActorError::forbidden(format!("only f0{id} may call this method, not f0{caller}")))
}

pub fn must_be_one_of(addresses: &[Address]) -> Result<(), ActorError> {
    let caller = Address::new_id(fvm_sdk::message::caller());
    if addresses.contains(&caller) {
        return Ok(());
    }
    Err(ActorError::forbidden(format!("{caller} may not call this method")))
}

pub fn must_be_kind(kind: Kind) -> Result<(), ActorError> {
    let caller = fvm_sdk::message::caller();
    let code = code_of(caller).expect("a caller exists");
    if Kind::of_code(&code) == Some(kind) {
        return Ok(());
    }
    Err(ActorError::forbidden(format!("f0{caller} is of a type that may not call this method")))
}

/// The guard of the internal numbers (below 2^24): the caller's code must be built in and must not be an EVM contract.
/// Every built-in but the EVM and the EAM makes this check, before it looks at the method or its parameters.
pub fn guard_internal_numbers(method: MethodNum) -> Result<(), ActorError> {
    if method >= ids::FIRST_EXPORTED {
        return Ok(());
    }
    let caller = fvm_sdk::message::caller();
    match code_of(caller).as_ref().and_then(Kind::of_code) {
        None | Some(Kind::Evm) => {
            Err(ActorError::forbidden(format!("method {method} is internal: f0{caller} is no built-in actor")))
        }
        Some(_) => Ok(()),
    }
}

/// A method that nobody may call any more: its parameters are decoded all the same.
pub fn frozen<P: DeserializeOwned>(call: Call) -> Reply {
    let _: P = call.params.decode()?;
    Err(ActorError::forbidden(format!("method {} is frozen", call.method)))
}
