//! Claims: a miner says that it has stored what allocations ask for; the datacap is burnt then.

use actor_runtime::batch::Batch;
use actor_runtime::nested::NestedMap;
use actor_runtime::policy::MAXIMUM_VERIFIED_TERM;
use actor_runtime::{ActorError, Call, Kind, Reply, caller, key, params, state};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::bigint::BigInt;
use fvm_shared::bigint::bigint_ser::BigIntDe;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::error::ExitCode;
use fvm_shared::piece::PaddedPieceSize;
use fvm_shared::sector::SectorNumber;
use num_traits::Zero;

use crate::state::{Allocation, Claim, State};
use crate::{events, token};

#[derive(Deserialize_tuple)]
pub struct ClaimParams {
    sectors: Vec<SectorClaims>,
    all_or_nothing: bool,
}

/// What a sector holds: claimed together, or not at all.
#[derive(Deserialize_tuple)]
struct SectorClaims {
    sector: SectorNumber,
    expiry: ChainEpoch,
    claims: Vec<StoredPiece>,
}

#[derive(Deserialize_tuple)]
struct StoredPiece {
    client: ActorID,
    allocation: u64,
    data: Cid,
    size: PaddedPieceSize,
}

#[derive(Serialize_tuple)]
struct ClaimReturn {
    results: Batch,
    /// The bytes claimed in each sector that succeeded.
    claimed: Vec<BigIntDe>,
}

#[derive(Deserialize_tuple)]
struct GetParams {
    provider: ActorID,
    claims: Vec<u64>,
}

#[derive(Serialize_tuple)]
struct GetReturn {
    results: Batch,
    /// Those that there are.
    claims: Vec<Claim>,
}

#[derive(Deserialize_tuple)]
pub struct ExtendParams {
    terms: Vec<NewTerm>,
}

#[derive(Deserialize_tuple)]
struct NewTerm {
    provider: ActorID,
    claim: u64,
    term_max: ChainEpoch,
}

pub fn claim(call: Call) -> Reply {
    let ClaimParams { sectors, all_or_nothing } = call.params.decode()?;
    caller::must_be_kind(Kind::StorageMiner)?;
    if sectors.is_empty() {
        return Err(ActorError::illegal_argument("there is nothing to claim"));
    }
    let mut state: State = state::load()?;
    let mut claims = state.load_claims()?;
    let mut allocations = state.load_allocations()?;
    let (mut results, mut claimed, mut total) = (Batch::default(), Vec::new(), BigInt::zero());
    for sector in &sectors {
        match check_sector(sector, &mut allocations)? {
            Ok(new) => {
                let bytes = keep(new, &mut claims, &mut allocations)?;
                total += &bytes;
                claimed.push(BigIntDe(bytes));
                results.succeed();
            }
            Err(code) => results.fail(code),
        }
    }
    state.save_allocations(allocations)?;
    state.save_claims(claims)?;
    state::save(&state)?;
    if all_or_nothing && !results.is_complete() {
        return Err(ActorError::illegal_argument("not everything can be claimed"));
    }
    token::burn(&total)?;
    params::reply(&ClaimReturn { results, claimed })
}

/// The claims that a sector makes, or why it cannot.
fn check_sector(
    sector: &SectorClaims,
    allocations: &mut NestedMap<Allocation>,
) -> Result<Result<Vec<(u64, Claim)>, ExitCode>, ActorError> {
    let provider = fvm_sdk::message::caller();
    let now = fvm_sdk::network::curr_epoch();
    let mut new = Vec::new();
    for piece in &sector.claims {
        let of_client = allocations.under(key::unsigned(piece.client))?;
        let Some(allocation) = of_client.get(&key::unsigned(piece.allocation))? else {
            return Ok(Err(ExitCode::USR_NOT_FOUND));
        };
        let lifetime = sector.expiry - now;
        let fits = allocation.provider == provider
            && allocation.client == piece.client
            && allocation.data == piece.data
            && allocation.size == piece.size
            && now <= allocation.expiration
            && (allocation.term_min..=allocation.term_max).contains(&lifetime);
        if !fits {
            return Ok(Err(ExitCode::USR_FORBIDDEN));
        }
        let claim = Claim {
            provider,
            client: allocation.client,
            data: allocation.data,
            size: allocation.size,
            term_min: allocation.term_min,
            term_max: allocation.term_max,
            term_start: now,
            sector: sector.sector,
        };
        new.push((piece.allocation, claim));
    }
    Ok(Ok(new))
}

/// Turns a sector's allocations into claims; returns their bytes.
fn keep(
    new: Vec<(u64, Claim)>,
    claims: &mut NestedMap<Claim>,
    allocations: &mut NestedMap<Allocation>,
) -> Result<BigInt, ActorError> {
    let mut bytes = BigInt::zero();
    for (number, claim) in new {
        if !claims.under(key::unsigned(claim.provider))?.set_if_absent(key::unsigned(number), claim.clone())? {
            return Err(ActorError::illegal_argument(format!("allocation {number} is claimed twice")));
        }
        events::claim("claim", number, &claim)?;
        allocations.under(key::unsigned(claim.client))?.delete(&key::unsigned(number))?;
        bytes += claim.size.0;
    }
    Ok(bytes)
}

pub fn get(call: Call) -> Reply {
    let wanted: GetParams = call.params.decode()?;
    let mut all = actor_runtime::state::load::<State>()?.load_claims()?;
    let of_provider = all.under(key::unsigned(wanted.provider))?;
    let (mut results, mut claims) = (Batch::default(), Vec::new());
    for number in wanted.claims {
        match of_provider.get(&key::unsigned(number))? {
            Some(claim) => {
                claims.push(claim.clone());
                results.succeed();
            }
            None => results.fail(ExitCode::USR_NOT_FOUND),
        }
    }
    params::reply(&GetReturn { results, claims })
}

/// A client lets its claims run longer, up to what an allocation may ask for, expired ones as well.
pub fn extend(call: Call) -> Reply {
    let ExtendParams { terms } = call.params.decode()?;
    let mut state: State = state::load()?;
    let mut claims = state.load_claims()?;
    let mut results = Batch::default();
    for term in terms {
        match extend_one(&term, &mut claims)? {
            ExitCode::OK => results.succeed(),
            code => results.fail(code),
        }
    }
    state.save_claims(claims)?;
    state::save(&state)?;
    params::reply(&results)
}

fn extend_one(term: &NewTerm, claims: &mut NestedMap<Claim>) -> Result<ExitCode, ActorError> {
    if term.term_max > MAXIMUM_VERIFIED_TERM {
        return Ok(ExitCode::USR_ILLEGAL_ARGUMENT);
    }
    let of_provider = claims.under(key::unsigned(term.provider))?;
    let Some(mut claim) = of_provider.get(&key::unsigned(term.claim))?.cloned() else {
        return Ok(ExitCode::USR_NOT_FOUND);
    };
    if claim.client != fvm_sdk::message::caller() {
        return Ok(ExitCode::USR_FORBIDDEN);
    }
    if term.term_max < claim.term_max {
        return Ok(ExitCode::USR_ILLEGAL_ARGUMENT);
    }
    claim.term_max = term.term_max;
    of_provider.set(key::unsigned(term.claim), claim.clone())?;
    events::claim("claim-updated", term.claim, &claim)?;
    Ok(ExitCode::OK)
}
