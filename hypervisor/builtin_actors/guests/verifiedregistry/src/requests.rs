//! Datacap that comes in pays for new allocations and for longer terms of claims, as its sender asks. The sum has to be
//! exact; one bad request refuses all.

use actor_runtime::batch::Batch;
use actor_runtime::kind::code_of;
use actor_runtime::policy::{
    MAXIMUM_VERIFIED_EXPIRATION, MAXIMUM_VERIFIED_TERM, MINIMUM_VERIFIED_SIZE, MINIMUM_VERIFIED_TERM,
};
use actor_runtime::receiver::{FUNGIBLE_TOKENS, ReceiveParams, TokensReceived};
use actor_runtime::{ActorError, Call, Kind, Reply, caller, ids, key, params, state};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::bigint::BigInt;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::piece::PaddedPieceSize;
use num_traits::Zero;

use crate::state::{Allocation, Claim, State};
use crate::{events, token};

/// What the operator data of a transfer holds.
#[derive(Deserialize_tuple)]
struct Requests {
    allocations: Vec<AllocationRequest>,
    extensions: Vec<ExtensionRequest>,
}

#[derive(Deserialize_tuple)]
struct AllocationRequest {
    provider: ActorID,
    data: Cid,
    size: PaddedPieceSize,
    term_min: ChainEpoch,
    term_max: ChainEpoch,
    expiration: ChainEpoch,
}

#[derive(Deserialize_tuple)]
struct ExtensionRequest {
    provider: ActorID,
    claim: u64,
    term_max: ChainEpoch,
}

#[derive(Serialize_tuple)]
struct ReceiveReturn {
    allocations: Batch,
    extensions: Batch,
    new_allocations: Vec<u64>,
}

pub fn receive(call: Call) -> Reply {
    let ReceiveParams { kind, payload } = call.params.decode()?;
    caller::must_be(ids::DATACAP)?;
    if kind != FUNGIBLE_TOKENS {
        return Err(ActorError::illegal_argument(format!("{kind} is not the type of fungible tokens")));
    }
    let received: TokensReceived = payload.deserialize()?;
    if received.to != fvm_sdk::message::receiver() {
        return Err(ActorError::illegal_argument("the tokens are for somebody else"));
    }
    let requests: Requests = received.operator_data.deserialize()?;
    let allocations = allocate(received.from, &requests.allocations)?;
    let extended = extend(&requests.extensions)?;
    let allocated: BigInt = allocations.iter().map(|allocation| allocation.size.0).fold(BigInt::zero(), |a, b| a + b);
    let spent: BigInt = extended.iter().map(|(_, claim)| claim.size.0).fold(BigInt::zero(), |a, b| a + b);
    let tokens = token::to_bytes(&received.amount);
    if &allocated + &spent != tokens {
        return Err(ActorError::illegal_argument(format!("{tokens} bytes do not pay for {allocated} and {spent}")));
    }
    token::burn(&spent)?;
    let new_allocations = keep(received.from, &allocations, &extended)?;
    params::reply(&ReceiveReturn {
        allocations: Batch::all(allocations.len()),
        extensions: Batch::all(extended.len()),
        new_allocations,
    })
}

fn allocate(client: ActorID, requests: &[AllocationRequest]) -> Result<Vec<Allocation>, ActorError> {
    let now = fvm_sdk::network::curr_epoch();
    requests.iter().map(|request| allocation(client, request, now)).collect()
}

fn allocation(client: ActorID, request: &AllocationRequest, now: ChainEpoch) -> Result<Allocation, ActorError> {
    let AllocationRequest { provider, data, size, term_min, term_max, expiration } = *request;
    let bad = |words: String| Err(ActorError::illegal_argument(words));
    if size.0 < MINIMUM_VERIFIED_SIZE {
        return bad(format!("a piece of {} bytes is too small", size.0));
    }
    if term_min < MINIMUM_VERIFIED_TERM || term_max > MAXIMUM_VERIFIED_TERM || term_min > term_max {
        return bad(format!("a term of {term_min} to {term_max} epochs is not allowed"));
    }
    if expiration < now || expiration > now + MAXIMUM_VERIFIED_EXPIRATION {
        return bad(format!("an allocation cannot expire in epoch {expiration}"));
    }
    // Any other provider would only lock the datacap up.
    if code_of(provider).as_ref().and_then(Kind::of_code) != Some(Kind::StorageMiner) {
        return bad(format!("f0{provider} is no miner"));
    }
    Ok(Allocation { client, provider, data, size, term_min, term_max, expiration })
}

/// Claims with the terms that are asked for. Anybody may pay for anybody's claim.
fn extend(requests: &[ExtensionRequest]) -> Result<Vec<(u64, Claim)>, ActorError> {
    let now = fvm_sdk::network::curr_epoch();
    let mut extended = Vec::new();
    if requests.is_empty() {
        return Ok(extended);
    }
    let mut claims = state::load::<State>()?.load_claims()?;
    for request in requests {
        let of_provider = claims.under(key::unsigned(request.provider))?;
        let claim = of_provider.get(&key::unsigned(request.claim))?.cloned();
        let mut claim = claim.ok_or_else(|| ActorError::not_found(format!("there is no claim {}", request.claim)))?;
        let longest = now + MAXIMUM_VERIFIED_TERM - claim.term_start;
        if request.term_max > longest || request.term_max <= claim.term_max {
            return Err(ActorError::illegal_argument(format!("a term of {} epochs is not allowed", request.term_max)));
        }
        if now > claim.term_start + claim.term_max {
            return Err(ActorError::forbidden(format!("claim {} has expired", request.claim)));
        }
        claim.term_max = request.term_max;
        extended.push((request.claim, claim));
    }
    Ok(extended)
}

fn keep(client: ActorID, allocations: &[Allocation], extended: &[(u64, Claim)]) -> Result<Vec<u64>, ActorError> {
    let mut state: State = state::load()?;
    let numbers = state.add_allocations(client, allocations)?;
    for (number, allocation) in numbers.iter().zip(allocations) {
        events::allocation("allocation", *number, allocation)?;
    }
    if !extended.is_empty() {
        let mut claims = state.load_claims()?;
        for (number, claim) in extended {
            claims.under(key::unsigned(claim.provider))?.set(key::unsigned(*number), claim.clone())?;
        }
        state.save_claims(claims)?;
    }
    for (number, claim) in extended {
        events::claim("claim-updated", *number, claim)?;
    }
    state::save(&state)?;
    Ok(numbers)
}
