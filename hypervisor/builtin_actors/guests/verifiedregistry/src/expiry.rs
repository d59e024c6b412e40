//! What has expired can be cleared away by anybody: allocations, whose datacap goes back to the client, and claims.

use actor_runtime::batch::Batch;
use actor_runtime::nested::NestedMap;
use actor_runtime::{ActorError, Call, Reply, key, params, state};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::bigint::{BigInt, bigint_ser};
use fvm_shared::clock::ChainEpoch;
use fvm_shared::error::ExitCode;
use num_traits::Zero;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::state::{Allocation, Claim, State};
use crate::{events, token};

#[derive(Deserialize_tuple)]
pub struct ExpiryParams {
    /// A client for allocations, a provider for claims.
    owner: ActorID,
    /// Empty: all that have expired.
    numbers: Vec<u64>,
}

#[derive(Serialize_tuple)]
struct AllocationsReturn {
    considered: Vec<u64>,
    results: Batch,
    #[serde(with = "bigint_ser")]
    recovered: BigInt,
}

#[derive(Serialize_tuple)]
struct ClaimsReturn {
    considered: Vec<u64>,
    results: Batch,
}

trait Expires {
    /// From this epoch on it may be removed.
    fn expires(&self) -> ChainEpoch;
}

impl Expires for Allocation {
    fn expires(&self) -> ChainEpoch {
        self.expiration
    }
}

impl Expires for Claim {
    fn expires(&self) -> ChainEpoch {
        self.term_start + self.term_max
    }
}

pub fn remove_allocations(call: Call) -> Reply {
    let wanted: ExpiryParams = call.params.decode()?;
    let client = wanted.owner;
    let mut state: State = state::load()?;
    let mut allocations = state.load_allocations()?;
    let (considered, results) = expired(wanted, &mut allocations)?;
    let mut recovered = BigInt::zero();
    for number in successes(&considered, &results) {
        let removed = remove(&mut allocations, client, number)?;
        events::allocation("allocation-removed", number, &removed)?;
        recovered += removed.size.0;
    }
    state.save_allocations(allocations)?;
    state::save(&state)?;
    token::transfer(client, &recovered)?;
    params::reply(&AllocationsReturn { considered, results, recovered })
}

pub fn remove_claims(call: Call) -> Reply {
    let wanted: ExpiryParams = call.params.decode()?;
    let provider = wanted.owner;
    let mut state: State = state::load()?;
    let mut claims = state.load_claims()?;
    let (considered, results) = expired(wanted, &mut claims)?;
    for number in successes(&considered, &results) {
        let removed = remove(&mut claims, provider, number)?;
        events::claim("claim-removed", number, &removed)?;
    }
    state.save_claims(claims)?;
    state::save(&state)?;
    params::reply(&ClaimsReturn { considered, results })
}

/// What is looked at, and whether each has expired: 18 if not yet, 17 if it does not exist.
fn expired<V>(wanted: ExpiryParams, all: &mut NestedMap<V>) -> Result<(Vec<u64>, Batch), ActorError>
where
    V: Expires + Serialize + DeserializeOwned,
{
    let now = fvm_sdk::network::curr_epoch();
    let of_owner = all.under(key::unsigned(wanted.owner))?;
    if wanted.numbers.is_empty() {
        let mut found = Vec::new();
        for entry in &*of_owner {
            let (number, value) = entry?;
            if now >= value.expires() {
                found.push(key::to_unsigned(number));
            }
        }
        let results = Batch::all(found.len());
        return Ok((found, results));
    }
    let mut results = Batch::default();
    for number in &wanted.numbers {
        match of_owner.get(&key::unsigned(*number))? {
            Some(value) if now >= value.expires() => results.succeed(),
            Some(_) => results.fail(ExitCode::USR_FORBIDDEN),
            None => results.fail(ExitCode::USR_NOT_FOUND),
        }
    }
    Ok((wanted.numbers, results))
}

fn successes(considered: &[u64], results: &Batch) -> Vec<u64> {
    let places = considered.iter().enumerate();
    places.filter(|(place, _)| !results.has_failed(*place)).map(|(_, number)| *number).collect()
}

/// A number that was named twice is an assertion failure the second time: the network's rule.
fn remove<V>(all: &mut NestedMap<V>, owner: ActorID, number: u64) -> Result<V, ActorError>
where
    V: Serialize + DeserializeOwned,
{
    let removed = all.under(key::unsigned(owner))?.delete(&key::unsigned(number))?;
    let (_, value) = removed.ok_or_else(|| ActorError::assertion_failed(format!("{number} is named twice")))?;
    Ok(value)
}
