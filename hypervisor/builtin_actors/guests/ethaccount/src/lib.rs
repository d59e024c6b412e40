//! The account of an Ethereum key, at an f410 address. It has no state, and accepts every exported method without doing
//! anything. The executor makes it out of a placeholder, so that its constructor never runs on a chain.

use actor_runtime::{ActorError, Call, Reply, caller, entrypoint, ids, params};
use fvm_shared::address::Payload;

entrypoint!(dispatch);

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        exported if exported >= ids::FIRST_EXPORTED => params::done(),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn construct(call: Call) -> Reply {
    call.params.expect_none()?;
    caller::must_be(ids::SYSTEM)?;
    let own = fvm_sdk::actor::lookup_delegated_address(fvm_sdk::message::receiver());
    match own.as_ref().map(|address| address.payload()) {
        Some(Payload::Delegated(delegated)) if delegated.namespace() == ids::EAM => params::done(),
        _ => Err(ActorError::illegal_argument("an Ethereum account needs an f410 address")),
    }
}
