//! Questions about single deals. Parameters: the deal's bare id. A deal that is over answers 32, one that never was 17.

use actor_runtime::{ActorError, Call, Reply, params, state};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::clock::{ChainEpoch, EPOCH_UNDEFINED};
use fvm_shared::deal::DealID;
use fvm_shared::piece::PaddedPieceSize;
use serde::Serialize;

use crate::deal::Proposal;
use crate::state::{DEAL_NOT_ACTIVATED, State};

#[derive(Serialize_tuple)]
pub struct DataCommitment {
    pub data: Cid,
    pub size: PaddedPieceSize,
}

#[derive(Serialize_tuple)]
pub struct Term {
    pub start: ChainEpoch,
    pub duration: ChainEpoch,
}

#[derive(Serialize_tuple)]
struct Activation {
    /// -1 if it has not been activated.
    activated: ChainEpoch,
    /// Always -1: a deal that was cut short is gone.
    terminated: ChainEpoch,
}

/// Answers with something of the deal's proposal.
pub fn of_proposal<T: Serialize>(call: Call, get: fn(Proposal) -> T) -> Reply {
    let deal: DealID = call.params.decode()?;
    params::reply(&get(state::load::<State>()?.proposal(deal)?))
}

pub fn activation(call: Call) -> Reply {
    let deal: DealID = call.params.decode()?;
    let state: State = state::load()?;
    let activated = match state.deal_state(deal)? {
        Some(active) => active.activated,
        None => {
            state.proposal(deal)?;
            EPOCH_UNDEFINED
        }
    };
    params::reply(&Activation { activated, terminated: EPOCH_UNDEFINED })
}

pub fn sector(call: Call) -> Reply {
    let deal: DealID = call.params.decode()?;
    let state: State = state::load()?;
    if let Some(active) = state.deal_state(deal)? {
        return params::reply(&active.sector);
    }
    state.proposal(deal)?;
    Err(ActorError::new(DEAL_NOT_ACTIVATED, format!("deal {deal} is in no sector yet")))
}
