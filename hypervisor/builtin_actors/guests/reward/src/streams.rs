//! The streams into which a block's reward is split, and what the block behind `State::streams` holds of them.
//!
//! A stream has a weight, its part of each reward, which may change along a line. The implicit stream is the miners'; an
//! explicit one collects what it gets for its recipients, by shares that its writer sets (`shares`). Which streams there
//! are and what they weigh is decided by the stream-weight authority, a contract, whose writes wait in a queue (`queue`).
//! What must hold of all that is in `validity`. Source: FIP-0118, and the state crate of actors v19.

pub mod award;
mod events;
pub mod methods;
mod queue;
mod shares;
mod table;
mod validity;
mod weight;

use actor_runtime::{ActorError, ids, store};
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::state::State;
use crate::streams::table::Table;
use crate::streams::weight::Weight;

pub type StreamID = u64;

/// One whole, of weights and of shares.
pub const DENOM: u64 = 1_000_000_000_000_000_000;
const MAX_STREAMS: usize = 8;
const MAX_RECIPIENTS: usize = 64;
/// Rows of a stream's recipients: those with a share, and those that are still owed something.
const MAX_ROWS: usize = 128;
const MAX_TOMBSTONE_ROWS: usize = 256;
const MAX_PENDING_WRITES: usize = 26;

/// The stream of a new network, which is all the miners'.
const FIRST_STREAM: StreamID = 1;

/// An actor that gets or writes shares; its stored form is an ID address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wallet(pub ActorID);

impl Wallet {
    const FIRE: Wallet = Wallet(ids::BURNT_FUNDS);
}

impl Serialize for Wallet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Address::new_id(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Wallet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let address = Address::deserialize(deserializer)?;
        address.id().map(Wallet).map_err(serde::de::Error::custom)
    }
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Streams {
    streams: Vec<Stream>,
    tombstones: Vec<Tombstone>,
    pending: Vec<PendingWrite>,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
struct Stream {
    id: StreamID,
    weight: Weight,
    /// None: implicit.
    distribution: Option<Distribution>,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
struct Distribution {
    writer: Wallet,
    shares: Table<u64>,
    /// Owed from earlier periods, and claimed in this one.
    payable: Table<TokenAmount>,
    claimed: Table<TokenAmount>,
}

/// What a removed stream still owes.
#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
struct Tombstone {
    id: StreamID,
    payable: Table<TokenAmount>,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
struct PendingWrite {
    /// None: the write is of the whole schedule.
    id: Option<StreamID>,
    op: u8,
    payload: RawBytes,
    effective_epoch: ChainEpoch,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Accrual {
    id: StreamID,
    amount: TokenAmount,
}

impl Streams {
    /// Those of a new network.
    pub fn first() -> Self {
        let all = Weight { v_start: DENOM, slope: 0, t_start: 0, floor: DENOM, cap: DENOM };
        Self {
            streams: vec![Stream { id: FIRST_STREAM, weight: all, distribution: None }],
            tombstones: Vec::new(),
            pending: Vec::new(),
        }
    }
}

/// The streams with what they have got: what one message works on before it is stored.
#[derive(Clone)]
struct Ledger {
    streams: Vec<Stream>,
    tombstones: Vec<Tombstone>,
    pending: Vec<PendingWrite>,
    accrued: Vec<Accrual>,
}

impl Ledger {
    /// 20 where the block is not there, cannot be decoded or breaks an invariant.
    fn load(state: &State) -> Result<Self, ActorError> {
        let Streams { streams, tombstones, pending } = store::get_object(&state.streams)?;
        let ledger = Self { streams, tombstones, pending, accrued: state.accrued.clone() };
        ledger.check()?;
        Ok(ledger)
    }

    /// Puts the streams' block and names it in the actor's state, which is the caller's to save.
    fn store(self, state: &mut State) -> Result<(), ActorError> {
        let Self { streams, tombstones, pending, accrued } = self;
        state.streams = store::put_object(&Streams { streams, tombstones, pending })?;
        state.accrued = accrued;
        Ok(())
    }

    fn stream(&mut self, id: StreamID) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    /// The distribution of an explicit stream, and what it has got in this period.
    fn period(&mut self, id: StreamID) -> Option<(&mut Distribution, &mut TokenAmount)> {
        let stream = self.streams.iter_mut().find(|stream| stream.id == id)?;
        let accrual = self.accrued.iter_mut().find(|row| row.id == id)?;
        Some((stream.distribution.as_mut()?, &mut accrual.amount))
    }

    fn is_live(&self, id: StreamID) -> bool {
        self.streams.iter().any(|stream| stream.id == id)
    }

    fn is_tombstoned(&self, id: StreamID) -> bool {
        self.tombstones.iter().any(|tombstone| tombstone.id == id)
    }

    fn has_implicit(&self) -> bool {
        self.streams.iter().any(|stream| stream.distribution.is_none())
    }
}
