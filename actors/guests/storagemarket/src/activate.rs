//! Deals in sectors: checked before a sector is committed, activated with it, and cut short when it is given up.

use std::collections::BTreeSet;

use actor_runtime::batch::Batch;
use actor_runtime::{ActorError, Call, Kind, Reply, caller, key, params};
use cid::Cid;
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::deal::DealID;
use fvm_shared::error::ExitCode;
use fvm_shared::piece::{PaddedPieceSize, PieceInfo};
use fvm_shared::sector::{RegisteredSealProof, SectorNumber};

use crate::deal::{self, DealState, Proposal};
use crate::sectors;
use crate::state::{self, DEAL_EXPIRED, Deals, State};

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

#[derive(Deserialize_tuple)]
struct SectorChange {
    sector: SectorNumber,
    minimum_commitment: ChainEpoch,
    added: Vec<PieceChange>,
}

#[derive(Deserialize_tuple)]
struct PieceChange {
    data: Cid,
    size: PaddedPieceSize,
    /// A deal's id in CBOR.
    payload: RawBytes,
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

/// A miner's news of what its sectors hold (bare list): each piece's deal is activated, or refused with false.
pub fn content_changed(call: Call) -> Reply {
    let changes: Vec<SectorChange> = call.params.decode()?;
    caller::must_be_kind(Kind::StorageMiner)?;
    let mut state: State = actor_runtime::state::load()?;
    let mut book = state.load_deals()?;
    let (mut accepted, mut placed) = (Vec::new(), Vec::new());
    for change in &changes {
        let mut deals = Vec::new();
        let mut answers = Vec::new();
        for piece in &change.added {
            let deal = accept(piece, change, &mut book)?;
            deals.extend(deal);
            answers.push(deal.is_some());
        }
        placed.push((change.sector, deals));
        accepted.push(answers);
    }
    state.save_deals(book)?;
    sectors::add(&mut state, fvm_sdk::message::caller(), placed)?;
    actor_runtime::state::save(&state)?;
    params::reply(&accepted)
}

/// The deal that the piece activates, if it is its piece.
fn accept(piece: &PieceChange, change: &SectorChange, book: &mut Deals) -> Result<Option<DealID>, ActorError> {
    let Ok(deal) = piece.payload.deserialize::<DealID>() else { return Ok(None) };
    let Ok(proposal) = can_start(deal, book, change.minimum_commitment)? else { return Ok(None) };
    if piece.data != proposal.piece || piece.size != proposal.size {
        return Ok(None);
    }
    deal::emit("deal-activated", deal, &proposal)?;
    start(book, deal, change.sector)?;
    Ok(Some(deal))
}

/// The proposal of a deal that can be activated now, or why it cannot.
fn can_start(deal: DealID, book: &Deals, expiry: ChainEpoch) -> Result<Result<Proposal, ExitCode>, ActorError> {
    let proposal = match book.proposal(deal) {
        Ok(proposal) => proposal,
        Err(error) if [ExitCode::USR_NOT_FOUND, DEAL_EXPIRED].contains(&error.code) => return Ok(Err(error.code)),
        Err(error) => return Err(error),
    };
    if let Err(error) = must_fit(&proposal, expiry) {
        return Ok(Err(error.code));
    }
    if book.states.get(deal)?.is_some() {
        return Ok(Err(ExitCode::USR_ILLEGAL_ARGUMENT));
    }
    if !book.is_pending(&proposal)? {
        return Ok(Err(ExitCode::USR_ILLEGAL_STATE));
    }
    Ok(Ok(proposal))
}

/// The deal is the caller's, has not begun, and ends before the sector.
fn must_fit(proposal: &Proposal, expiry: ChainEpoch) -> Result<(), ActorError> {
    if proposal.provider != Address::new_id(fvm_sdk::message::caller()) {
        return Err(ActorError::forbidden(format!("the deal's provider is {}", proposal.provider)));
    }
    if fvm_sdk::network::curr_epoch() > proposal.start {
        return Err(ActorError::new(DEAL_EXPIRED, format!("the deal should have begun in epoch {}", proposal.start)));
    }
    if proposal.end > expiry {
        return Err(ActorError::illegal_argument(format!("the deal outlives its sector, which ends in {expiry}")));
    }
    Ok(())
}

/// Returns the number of the deal's allocation, 0 for none.
fn start(book: &mut Deals, deal: DealID, sector: SectorNumber) -> Result<u64, ActorError> {
    book.states.set(deal, DealState::activated_in(sector))?;
    Ok(book.allocations.delete(&key::unsigned(deal))?.map_or(0, |(_, allocation)| allocation))
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
