//! Events: miners ask to be called at the end of an epoch. A miner whose call fails loses its claim.

use actor_runtime::array;
use actor_runtime::estimate::Estimate;
use actor_runtime::map::{self, Map};
use actor_runtime::send::send;
use actor_runtime::{ActorError, key, params, state};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{RawBytes, strict_bytes};
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;

use crate::state::State;

const MAP_BIT_WIDTH: u32 = 6;
const ARRAY_BIT_WIDTH: u32 = 6;

const MINER_ON_DEFERRED_CRON_EVENT: MethodNum = 12;

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Event {
    pub miner: Address,
    /// What the miner wants to be called with.
    pub payload: RawBytes,
}

#[derive(Serialize_tuple)]
struct DeferredEventParams<'a> {
    #[serde(with = "strict_bytes")]
    payload: Vec<u8>,
    reward: &'a Estimate,
    quality: &'a Estimate,
}

pub fn empty() -> Result<Cid, ActorError> {
    Ok(map::empty_of_width::<Cid>(MAP_BIT_WIDTH).flush()?)
}

pub fn add(state: &mut State, epoch: ChainEpoch, event: Event) -> Result<(), ActorError> {
    let mut epochs = load(state)?;
    let mut events = match epochs.get(&key::signed(epoch))? {
        Some(root) => array::load(root)?,
        None => array::empty(ARRAY_BIT_WIDTH),
    };
    events.set(events.count(), event)?;
    epochs.set(key::signed(epoch), events.flush()?)?;
    state.events = epochs.flush()?;
    state.first_event = state.first_event.min(epoch);
    Ok(())
}

/// Calls every miner whose event is due, oldest first. The queue is emptied before the first call.
pub fn run_due(now: ChainEpoch, reward: &Estimate) -> Result<(), ActorError> {
    let mut state: State = state::load()?;
    let quality = state.epoch_quality_smoothed.clone();
    let due = take_due(&mut state, now)?;
    state::save(&state)?;

    let mut failed = Vec::new();
    for event in due {
        let order = DeferredEventParams { payload: event.payload.to_vec(), reward, quality: &quality };
        let block = params::cbor(&order)?;
        if send(&event.miner, MINER_ON_DEFERRED_CRON_EVENT, block, TokenAmount::default()).is_err() {
            failed.push(event.miner);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let mut state: State = state::load()?;
    let mut claims = state.load_claims()?;
    for miner in failed {
        state.delete_claim(&mut claims, &miner)?;
    }
    state.save_claims(claims)?;
    state::save(&state)
}

/// The events up to an epoch, but for those of miners without a claim, which are dropped.
fn take_due(state: &mut State, now: ChainEpoch) -> Result<Vec<Event>, ActorError> {
    let claims = state.load_claims()?;
    let mut epochs = load(state)?;
    let mut due: Vec<Event> = Vec::new();
    for epoch in state.first_event..=now {
        let Some((_, root)) = epochs.delete(&key::signed(epoch))? else { continue };
        let mut events = Vec::new();
        array::load::<Event>(&root)?.for_each(|_, event| {
            events.push(event.clone());
            Ok(())
        })?;
        for event in events {
            if claims.contains_key(&key::address(&event.miner))? {
                due.push(event);
            }
        }
    }
    state.first_event = now + 1;
    state.events = epochs.flush()?;
    Ok(due)
}

fn load(state: &State) -> Result<Map<Cid>, ActorError> {
    map::load_of_width(&state.events, MAP_BIT_WIDTH)
}
