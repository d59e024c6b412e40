//! Deals that a miner commits with a sector, by methods that v19 no longer has: checked first, then activated.

use std::collections::BTreeSet;

use actor_runtime::batch::Batch;
use actor_runtime::{ActorError, Call, Kind, Reply, caller, params};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::deal::DealID;
use fvm_shared::error::ExitCode;
use fvm_shared::piece::{PaddedPieceSize, PieceInfo};
use fvm_shared::sector::{RegisteredSealProof, SectorNumber};

use crate::activate::{can_start, must_fit, start};
use crate::deal::{self, Proposal};
use crate::sectors;
use crate::state::{self, Deals, State};

#[derive(Deserialize_tuple)]
struct SectorDeals {
    sector: SectorNumber,
    seal: RegisteredSealProof,
    expiry: ChainEpoch,
    deals: Vec<DealID>,
}

#[derive(Deserialize_tuple)]
struct VerifyParams {
    sectors: Vec<SectorDeals>,
}

#[derive(Serialize_tuple)]
struct VerifyReturn {
    /// What each sector holds before it is sealed; none for a sector without deals.
    unsealed: Vec<Option<Cid>>,
}

#[derive(Deserialize_tuple)]
struct ActivateParams {
    sectors: Vec<SectorDeals>,
    compute_unsealed: bool,
}

#[derive(Serialize_tuple)]
struct ActivateReturn {
    results: Batch,
    /// Of the sectors that succeeded.
    activations: Vec<SectorActivation>,
}

#[derive(Serialize_tuple)]
struct SectorActivation {
    activated: Vec<ActivatedDeal>,
    unsealed: Option<Cid>,
}

#[derive(Serialize_tuple)]
struct ActivatedDeal {
    client: ActorID,
    /// 0 for none.
    allocation: u64,
    data: Cid,
    size: PaddedPieceSize,
}

/// Whether the deals may go into their sectors, and what these hold then. One that may not fails the call.
pub fn verify(call: Call) -> Reply {
    let VerifyParams { sectors } = call.params.decode()?;
    caller::must_be_kind(Kind::StorageMiner)?;
    let state: State = actor_runtime::state::load()?;
    let proposals = state.load_proposals()?;
    let find = |deal| state::find(&proposals, deal, state.next_deal);
    let unsealed = sectors.iter().map(|sector| verify_sector(sector, find)).collect::<Result<_, _>>()?;
    params::reply(&VerifyReturn { unsealed })
}

fn verify_sector(
    sector: &SectorDeals,
    find: impl Fn(DealID) -> Result<Proposal, ActorError>,
) -> Result<Option<Cid>, ActorError> {
    let mut seen = BTreeSet::new();
    let mut proposals = Vec::new();
    for deal in &sector.deals {
        if !seen.insert(deal) {
            return Err(ActorError::illegal_argument(format!("deal {deal} is in the sector twice")));
        }
        proposals.push(find(*deal)?);
    }
    let size = sector.seal.sector_size().map_err(ActorError::illegal_argument)? as u64;
    for proposal in &proposals {
        must_fit(proposal, sector.expiry)?;
    }
    let total: u128 = proposals.iter().map(|proposal| u128::from(proposal.size.0)).sum();
    if total > u128::from(size) {
        return Err(ActorError::illegal_argument(format!("deals of {total} bytes are too much for {size}")));
    }
    unsealed(sector.seal, &proposals)
}

/// Activates the deals of each sector together, or none of them.
pub fn activate(call: Call) -> Reply {
    let ActivateParams { sectors, compute_unsealed } = call.params.decode()?;
    caller::must_be_kind(Kind::StorageMiner)?;
    let mut state: State = actor_runtime::state::load()?;
    let mut book = state.load_deals()?;
    let (mut results, mut activations, mut placed) = (Batch::default(), Vec::new(), Vec::new());
    for sector in sectors {
        let proposals = match check_sector(&sector, &book)? {
            Ok(proposals) => proposals,
            Err(code) => {
                results.fail(code);
                continue;
            }
        };
        let unsealed = if compute_unsealed { unsealed(sector.seal, &proposals)? } else { None };
        let mut activated = Vec::new();
        for (deal, proposal) in sector.deals.iter().zip(&proposals) {
            let allocation = start(&mut book, *deal, sector.sector)?;
            let Proposal { piece, size, .. } = proposal;
            activated.push(ActivatedDeal { client: proposal.client_id(), allocation, data: *piece, size: *size });
        }
        for (deal, proposal) in sector.deals.iter().zip(&proposals) {
            deal::emit("deal-activated", *deal, proposal)?;
        }
        placed.push((sector.sector, sector.deals));
        activations.push(SectorActivation { activated, unsealed });
        results.succeed();
    }
    state.save_deals(book)?;
    sectors::add(&mut state, fvm_sdk::message::caller(), placed)?;
    actor_runtime::state::save(&state)?;
    params::reply(&ActivateReturn { results, activations })
}

/// The proposals of a sector's deals, or why one cannot be activated.
fn check_sector(sector: &SectorDeals, book: &Deals) -> Result<Result<Vec<Proposal>, ExitCode>, ActorError> {
    let distinct: BTreeSet<_> = sector.deals.iter().collect();
    if distinct.len() < sector.deals.len() {
        return Ok(Err(ExitCode::USR_ILLEGAL_ARGUMENT));
    }
    let mut proposals = Vec::new();
    for deal in &sector.deals {
        match can_start(*deal, book, sector.expiry)? {
            Ok(proposal) => proposals.push(proposal),
            Err(code) => return Ok(Err(code)),
        }
    }
    Ok(Ok(proposals))
}

/// What a sector holds before it is sealed: none without deals, 16 if they do not fit together.
fn unsealed(seal: RegisteredSealProof, proposals: &[Proposal]) -> Result<Option<Cid>, ActorError> {
    if proposals.is_empty() {
        return Ok(None);
    }
    let pieces: Vec<PieceInfo> =
        proposals.iter().map(|proposal| PieceInfo { size: proposal.size, cid: proposal.piece }).collect();
    let unsealed = fvm_sdk::crypto::compute_unsealed_sector_cid(seal, &pieces)
        .map_err(|error| ActorError::illegal_argument(format!("the pieces make no sector: error {}", error as u32)))?;
    Ok(Some(unsealed))
}
