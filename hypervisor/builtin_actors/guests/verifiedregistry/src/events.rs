//! What the registry tells the world.

use actor_runtime::ActorError;
use actor_runtime::event::Event;
use fvm_shared::ActorID;
use fvm_shared::bigint::BigInt;
use fvm_shared::bigint::bigint_ser::BigIntSer;

use crate::state::{Allocation, Claim};

/// A verifier may give away so much from now on, because of a client or for no reason.
pub fn verifier_balance(verifier: ActorID, balance: &BigInt, client: Option<ActorID>) -> Result<(), ActorError> {
    let event = Event::new("verifier-balance").indexed("verifier", &verifier).field("balance", &BigIntSer(balance));
    match client {
        Some(client) => event.indexed("client", &client).emit(),
        None => event.emit(),
    }
}

/// `kind`: allocation, allocation-removed.
pub fn allocation(kind: &str, number: u64, allocation: &Allocation) -> Result<(), ActorError> {
    Event::new(kind)
        .indexed("id", &number)
        .indexed("client", &allocation.client)
        .indexed("provider", &allocation.provider)
        .indexed("piece-cid", &allocation.data)
        .field("piece-size", &allocation.size.0)
        .field("term-min", &allocation.term_min)
        .field("term-max", &allocation.term_max)
        .field("expiration", &allocation.expiration)
        .emit()
}

/// `kind`: claim, claim-updated, claim-removed.
pub fn claim(kind: &str, number: u64, claim: &Claim) -> Result<(), ActorError> {
    Event::new(kind)
        .indexed("id", &number)
        .indexed("client", &claim.client)
        .indexed("provider", &claim.provider)
        .indexed("piece-cid", &claim.data)
        .field("piece-size", &claim.size.0)
        .field("term-min", &claim.term_min)
        .field("term-max", &claim.term_max)
        .field("term-start", &claim.term_start)
        .indexed("sector", &claim.sector)
        .emit()
}
