//! What new sectors claim in the verified registry for the pieces that they hold.

use actor_runtime::batch::Batch;
use actor_runtime::send::send;
use actor_runtime::{ActorError, ids, params};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::bigint::BigInt;
use fvm_shared::bigint::bigint_ser::BigIntDe;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::piece::PaddedPieceSize;
use fvm_shared::sector::SectorNumber;
use fvm_shared::{ActorID, MethodNum};
use num_traits::Zero;

const REGISTRY_CLAIM_ALLOCATIONS: MethodNum = 9;

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Allocation {
    pub client: ActorID,
    pub id: u64,
    pub data: Cid,
    pub size: PaddedPieceSize,
}

#[derive(Serialize_tuple)]
struct ClaimParams {
    sectors: Vec<SectorClaims>,
    all_or_nothing: bool,
}

#[derive(Serialize_tuple)]
struct SectorClaims {
    sector: SectorNumber,
    expiration: ChainEpoch,
    claims: Vec<Allocation>,
}

#[derive(Deserialize_tuple)]
struct ClaimReturn {
    _results: Batch,
    /// The bytes claimed in each sector.
    claimed: Vec<BigIntDe>,
}

/// Claims what the sectors fulfil: all of it, or nothing is committed. Returns the verified bytes in each sector.
pub fn claim(
    numbers: &[SectorNumber],
    wanted: &[Vec<Allocation>],
    expiration: ChainEpoch,
) -> Result<Vec<BigInt>, ActorError> {
    if wanted.iter().all(Vec::is_empty) {
        return Ok(vec![BigInt::zero(); wanted.len()]);
    }
    let sectors = numbers.iter().zip(wanted);
    let sectors = sectors.map(|(sector, claims)| SectorClaims { sector: *sector, expiration, claims: claims.clone() });
    let order = params::cbor(&ClaimParams { sectors: sectors.collect(), all_or_nothing: true })?;
    let registry = Address::new_id(ids::VERIFIED_REGISTRY);
    let answer = send(&registry, REGISTRY_CLAIM_ALLOCATIONS, order, TokenAmount::default())?;
    let ClaimReturn { claimed, .. } = params::returned(answer)?;
    Ok(claimed.into_iter().map(|BigIntDe(bytes)| bytes).collect())
}
