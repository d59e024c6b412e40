//! The verified registry, f06: who may give away datacap, what clients have allocated with theirs, and what miners have
//! claimed for storing it. It governs the datacap token.
//!
//! From v19 on (FIP-0118) it is frozen: what was claimed can be looked at, every other method decodes its parameters and
//! answers 18.

// What v19 no longer does is compiled only for its parameters' types.
#![cfg_attr(feature = "v19", allow(dead_code))]

mod claims;
mod clients;
mod events;
mod expiry;
mod requests;
mod state;
mod token;

use actor_runtime::receiver::RECEIVE;
use actor_runtime::{ActorError, Call, Reply, address, caller, entrypoint, ids, params};
use frc42_dispatch::method_hash;
use fvm_shared::MethodNum;
use fvm_shared::address::Address;

use crate::state::State;

const ADD_VERIFIER: MethodNum = 2;
const REMOVE_VERIFIER: MethodNum = 3;
const ADD_VERIFIED_CLIENT: MethodNum = 4;
const REMOVE_VERIFIED_CLIENT_DATACAP: MethodNum = 7;
const REMOVE_EXPIRED_ALLOCATIONS: MethodNum = 8;
const CLAIM_ALLOCATIONS: MethodNum = 9;
const GET_CLAIMS: MethodNum = 10;
const EXTEND_CLAIM_TERMS: MethodNum = 11;
const REMOVE_EXPIRED_CLAIMS: MethodNum = 12;
const ADD_VERIFIED_CLIENT_EXPORTED: MethodNum = method_hash!("AddVerifiedClient");
const REMOVE_EXPIRED_ALLOCATIONS_EXPORTED: MethodNum = method_hash!("RemoveExpiredAllocations");
const GET_CLAIMS_EXPORTED: MethodNum = method_hash!("GetClaims");
const EXTEND_CLAIM_TERMS_EXPORTED: MethodNum = method_hash!("ExtendClaimTerms");
const REMOVE_EXPIRED_CLAIMS_EXPORTED: MethodNum = method_hash!("RemoveExpiredClaims");

entrypoint!(dispatch);

#[cfg(feature = "v19")]
fn dispatch(call: Call) -> Reply {
    use actor_runtime::caller::frozen;
    use actor_runtime::receiver::ReceiveParams;

    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        ADD_VERIFIER => frozen::<clients::GrantParams>(call),
        REMOVE_VERIFIER => frozen::<Address>(call),
        ADD_VERIFIED_CLIENT | ADD_VERIFIED_CLIENT_EXPORTED => frozen::<clients::GrantParams>(call),
        REMOVE_VERIFIED_CLIENT_DATACAP => frozen::<clients::RemovalParams>(call),
        REMOVE_EXPIRED_ALLOCATIONS | REMOVE_EXPIRED_ALLOCATIONS_EXPORTED => frozen::<expiry::ExpiryParams>(call),
        CLAIM_ALLOCATIONS => frozen::<claims::ClaimParams>(call),
        GET_CLAIMS | GET_CLAIMS_EXPORTED => claims::get(call),
        EXTEND_CLAIM_TERMS | EXTEND_CLAIM_TERMS_EXPORTED => frozen::<claims::ExtendParams>(call),
        REMOVE_EXPIRED_CLAIMS | REMOVE_EXPIRED_CLAIMS_EXPORTED => frozen::<expiry::ExpiryParams>(call),
        RECEIVE => frozen::<ReceiveParams>(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

#[cfg(not(feature = "v19"))]
fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        ADD_VERIFIER => clients::add_verifier(call),
        REMOVE_VERIFIER => clients::remove_verifier(call),
        ADD_VERIFIED_CLIENT | ADD_VERIFIED_CLIENT_EXPORTED => clients::add_verified_client(call),
        REMOVE_VERIFIED_CLIENT_DATACAP => clients::remove_datacap(call),
        REMOVE_EXPIRED_ALLOCATIONS | REMOVE_EXPIRED_ALLOCATIONS_EXPORTED => expiry::remove_allocations(call),
        CLAIM_ALLOCATIONS => claims::claim(call),
        GET_CLAIMS | GET_CLAIMS_EXPORTED => claims::get(call),
        EXTEND_CLAIM_TERMS | EXTEND_CLAIM_TERMS_EXPORTED => claims::extend(call),
        REMOVE_EXPIRED_CLAIMS | REMOVE_EXPIRED_CLAIMS_EXPORTED => expiry::remove_claims(call),
        RECEIVE => requests::receive(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

/// Parameters: the root's bare address.
fn construct(call: Call) -> Reply {
    let root: Address = call.params.decode()?;
    caller::must_be(ids::SYSTEM)?;
    let root = address::resolve(&root)
        .ok_or_else(|| ActorError::illegal_argument(format!("nobody has the root's address {root}")))?;
    actor_runtime::state::create(&State::new(root)?)?;
    params::done()
}
