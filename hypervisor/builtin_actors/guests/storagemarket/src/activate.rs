//! Deals that begin, because a miner says that their pieces are in its sectors.

use actor_runtime::{ActorError, Call, Kind, Reply, caller, params};
use cid::Cid;
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::deal::DealID;
use fvm_shared::error::ExitCode;
use fvm_shared::piece::PaddedPieceSize;
use fvm_shared::sector::SectorNumber;

use crate::deal::{self, DealState, Proposal};
use crate::sectors;
use crate::state::{DEAL_EXPIRED, Deals, State};

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
pub fn can_start(deal: DealID, book: &Deals, expiry: ChainEpoch) -> Result<Result<Proposal, ExitCode>, ActorError> {
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
pub fn must_fit(proposal: &Proposal, expiry: ChainEpoch) -> Result<(), ActorError> {
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
pub fn start(book: &mut Deals, deal: DealID, sector: SectorNumber) -> Result<u64, ActorError> {
    book.states.set(deal, DealState::activated_in(sector))?;
    book.take_allocation(deal)
}
