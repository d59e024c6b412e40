//! The queue of the stream-weight authority's writes: each waits for its epoch, may be cancelled until then, and is
//! applied by the first message from that epoch on.
//!
//! A write may depend on one that is before it in the queue and can lose that by a cancellation: then it is dropped when
//! it is due. So that nothing else is, a new write is admitted only if it applies where it will stand, and if all those
//! that applied before still do.

use std::collections::BTreeSet;

use actor_runtime::ActorError;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{RawBytes, from_slice, to_vec};
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

use crate::streams::shares::Fold;
use crate::streams::table::Table;
use crate::streams::validity::is_stored_map;
use crate::streams::weight::{Weight, is_valid_from};
use crate::streams::{
    Accrual, Distribution, Ledger, MAX_PENDING_WRITES, MAX_STREAMS, PendingWrite, Stream, StreamID, Wallet,
};

pub const SET_WEIGHT_RECORDS: u8 = 0;
pub const STEP_WEIGHT_RECORDS: u8 = 1;
pub const REGISTER_STREAM: u8 = 2;
pub const REMOVE_STREAM: u8 = 3;
pub const SET_DISTRIBUTION: u8 = 4;

/// CBOR of the empty tuple.
const NOTHING: [u8; 1] = [0x80];

/// What a write is filed under; only one is at a time.
pub type Key = (Option<StreamID>, u8);

/// What a pending write says, addresses resolved and rows sorted.
pub enum Write {
    Weights(Vec<WeightUpdate>),
    Register(Registration),
    Remove,
    SetDistribution(Assignment),
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct WeightUpdate {
    pub id: StreamID,
    pub weight: Weight,
}

/// As parameters of two methods and as their payload.
#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct WeightUpdates {
    pub updates: Vec<WeightUpdate>,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Registration {
    pub weight: Weight,
    pub distribution: Option<FirstDistribution>,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct FirstDistribution {
    pub writer: Wallet,
    pub shares: Table<u64>,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Assignment {
    pub writer: Wallet,
}

/// What due writes have done to a ledger.
#[derive(Default)]
pub struct Changes {
    pub applied: Vec<PendingWrite>,
    pub dropped: Vec<PendingWrite>,
    pub folds: Vec<Fold>,
    pub maps: Vec<(StreamID, Table<u64>)>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.dropped.is_empty()
    }

    pub fn dust(&self) -> TokenAmount {
        self.folds.iter().fold(TokenAmount::zero(), |sum, fold| sum + &fold.dust)
    }
}

pub fn key(write: &PendingWrite) -> Key {
    (write.id, write.op)
}

/// Whether an operation is one of the whole schedule, which no stream's id belongs to.
fn is_schedule_wide(op: u8) -> bool {
    op == SET_WEIGHT_RECORDS || op == STEP_WEIGHT_RECORDS
}

/// 16 for a key that nothing can be filed under.
pub fn check_key((id, op): Key) -> Result<(), ActorError> {
    if op > SET_DISTRIBUTION || id.is_none() != is_schedule_wide(op) {
        return Err(ActorError::illegal_argument(format!("operation {op} of stream {id:?} is not a write")));
    }
    Ok(())
}

impl Write {
    /// The write that is filed; any error says that the state is broken.
    pub fn of(pending: &PendingWrite) -> Result<Self, ActorError> {
        check_key(key(pending))?;
        let payload = pending.payload.bytes();
        let write = match pending.op {
            REGISTER_STREAM => Self::Register(from_slice(payload)?),
            REMOVE_STREAM if payload == NOTHING => Self::Remove,
            REMOVE_STREAM => return Err(ActorError::illegal_state("a removal says more than nothing")),
            SET_DISTRIBUTION => Self::SetDistribution(from_slice(payload)?),
            _ => Self::Weights(from_slice::<WeightUpdates>(payload)?.updates),
        };
        write.check()?;
        Ok(write)
    }

    fn payload(&self) -> Result<RawBytes, ActorError> {
        let bytes = match self {
            Self::Weights(updates) => to_vec(&WeightUpdates { updates: updates.clone() })?,
            Self::Register(registration) => to_vec(registration)?,
            Self::Remove => NOTHING.to_vec(),
            Self::SetDistribution(assignment) => to_vec(assignment)?,
        };
        Ok(RawBytes::new(bytes))
    }

    /// 16 if a write could never apply: weights out of their band, none, or two of a stream; a map in another form.
    fn check(&self) -> Result<(), ActorError> {
        let holds = match self {
            Self::Weights(updates) => {
                !updates.is_empty()
                    && updates.windows(2).all(|pair| pair[0].id < pair[1].id)
                    && updates.iter().all(|update| update.weight.is_in_band())
            }
            Self::Register(Registration { weight, distribution }) => {
                weight.is_in_band() && distribution.as_ref().is_none_or(|first| is_stored_map(&first.shares))
            }
            Self::Remove | Self::SetDistribution(_) => true,
        };
        if holds { Ok(()) } else { Err(ActorError::illegal_argument("the write's weights or shares are not in order")) }
    }

    /// Does it to a ledger, from its epoch on. None if it cannot be done: the ledger is not to be used then.
    fn apply(&self, id: Option<StreamID>, from: ChainEpoch, ledger: &mut Ledger) -> Option<Effect> {
        let effect = match (self, id) {
            (Self::Weights(updates), _) => {
                for update in updates {
                    ledger.stream(update.id)?.weight = update.weight.clone();
                }
                Effect::default()
            }
            (Self::Register(registration), Some(id)) => ledger.register(id, registration.clone())?,
            (Self::Remove, Some(id)) => Effect { fold: ledger.remove(id)?, map: None },
            (Self::SetDistribution(assignment), Some(id)) => {
                let (distribution, accrued) = ledger.period(id)?;
                distribution.writer = assignment.writer;
                Effect { fold: Some(distribution.fold(id, "SetDistribution", accrued)), map: None }
            }
            (_, None) => return None,
        };
        is_valid_from(&ledger.streams, from).then_some(effect)
    }
}

#[derive(Default)]
struct Effect {
    fold: Option<Fold>,
    map: Option<(StreamID, Table<u64>)>,
}

impl Ledger {
    fn register(&mut self, id: StreamID, registration: Registration) -> Option<Effect> {
        let Registration { weight, distribution } = registration;
        let taken = id == 0 || self.is_live(id) || self.is_tombstoned(id);
        let second = distribution.is_none() && self.has_implicit();
        if taken || second || self.streams.len() >= MAX_STREAMS {
            return None;
        }
        let map = distribution.as_ref().map(|first| (id, first.shares.clone()));
        if distribution.is_some() {
            let place = self.accrued.partition_point(|row| row.id < id);
            self.accrued.insert(place, Accrual { id, amount: TokenAmount::zero() });
        }
        let distribution = distribution.map(|first| Distribution::new(first.writer, first.shares));
        let place = self.streams.partition_point(|stream| stream.id < id);
        self.streams.insert(place, Stream { id, weight, distribution });
        Some(Effect { fold: None, map })
    }

    /// Applies what is due, each write from its own epoch on; what cannot be applied is dropped.
    pub fn apply_due(&mut self, now: ChainEpoch) -> Result<Changes, ActorError> {
        let due = self.pending.partition_point(|write| write.effective_epoch <= now);
        let mut changes = Changes::default();
        for pending in self.pending.drain(..due).collect::<Vec<_>>() {
            let mut next = self.clone();
            match Write::of(&pending)?.apply(pending.id, pending.effective_epoch, &mut next) {
                Some(effect) => {
                    *self = next;
                    changes.folds.extend(effect.fold);
                    changes.maps.extend(effect.map);
                    changes.applied.push(pending);
                }
                None => changes.dropped.push(pending),
            }
        }
        Ok(changes)
    }

    /// Files a write for an epoch; 16 unless it will apply there and leaves those that would apply as they are.
    pub fn admit(
        &mut self,
        (id, op): Key,
        write: Write,
        now: ChainEpoch,
        due: ChainEpoch,
    ) -> Result<PendingWrite, ActorError> {
        write.check()?;
        // Even if it will be gone by then.
        if let (REGISTER_STREAM, Some(id)) = (op, id)
            && (self.is_live(id) || self.is_tombstoned(id))
        {
            return Err(ActorError::illegal_argument(format!("there is a stream {id} already")));
        }
        if self.pending.iter().any(|pending| key(pending) == (id, op)) {
            return Err(ActorError::illegal_argument(format!("a write {op} of stream {id:?} is pending already")));
        }
        if self.pending.len() >= MAX_PENDING_WRITES {
            return Err(ActorError::illegal_argument(format!("{MAX_PENDING_WRITES} writes are pending already")));
        }
        // Weights that are wrong can only be set right.
        if !is_valid_from(&self.streams, now) && op != SET_WEIGHT_RECORDS {
            return Err(ActorError::illegal_argument("the weights are more than one whole: set them right first"));
        }
        let before = self.that_will_apply()?;
        let pending = PendingWrite { id, op, payload: write.payload()?, effective_epoch: due };
        let place = self.pending.partition_point(|other| other.effective_epoch <= due);
        self.pending.insert(place, pending.clone());
        let after = self.that_will_apply()?;
        if !after.contains(&(id, op)) {
            return Err(ActorError::illegal_argument(format!(
                "the write {op} of stream {id:?} cannot be applied at {due}"
            )));
        }
        if !before.is_subset(&after) {
            return Err(ActorError::illegal_argument("a pending write could not be applied after this one"));
        }
        if op == REMOVE_STREAM {
            self.check_reservation()?;
        }
        Ok(pending)
    }

    /// Takes a write out of the queue; none if there is none.
    pub fn cancel(&mut self, wanted: Key) -> Option<PendingWrite> {
        let place = self.pending.iter().position(|pending| key(pending) == wanted)?;
        Some(self.pending.remove(place))
    }

    fn that_will_apply(&self) -> Result<BTreeSet<Key>, ActorError> {
        let mut ahead = self.clone();
        let last = self.pending.last().map_or(0, |write| write.effective_epoch);
        Ok(ahead.apply_due(last)?.applied.iter().map(key).collect())
    }
}
