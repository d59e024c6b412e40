//! The state of a payment channel: the two parties, what is owed so far, and its lanes.

use actor_runtime::array::{self, Array};
use actor_runtime::{ActorError, caller};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;

const LANES_BIT_WIDTH: u32 = 3;
const LAST_LANE: u64 = i64::MAX as u64;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct State {
    /// Who pays, as an id address; what is not owed in the end goes back there.
    pub from: Address,
    /// Who is paid, as an id address.
    pub to: Address,
    /// What `to` gets when the channel is collected.
    pub owed: TokenAmount,
    /// From this epoch on the channel can be collected; 0 while nobody has settled it.
    pub settling_at: ChainEpoch,
    /// Vouchers may ask that it is not settled before this epoch.
    pub min_settle_height: ChainEpoch,
    /// AMT from a lane's number to the lane.
    lanes: Cid,
}

/// A stream of vouchers of which only the newest counts.
#[derive(Clone, Default, PartialEq, Serialize_tuple, Deserialize_tuple)]
pub struct Lane {
    pub redeemed: TokenAmount,
    pub nonce: u64,
}

impl State {
    pub fn new(from: ActorID, to: ActorID) -> Result<Self, ActorError> {
        Ok(Self {
            from: Address::new_id(from),
            to: Address::new_id(to),
            owed: TokenAmount::default(),
            settling_at: 0,
            min_settle_height: 0,
            lanes: array::empty::<Lane>(LANES_BIT_WIDTH).flush()?,
        })
    }

    /// The party that did not call; 18 for anybody else's call.
    pub fn other_party(&self) -> Result<Address, ActorError> {
        let caller = Address::new_id(fvm_sdk::message::caller());
        if caller == self.from {
            return Ok(self.to);
        }
        caller::must_be(self.to.id().expect("the parties are id addresses"))?;
        Ok(self.from)
    }

    pub fn load_lanes(&self) -> Result<Array<Lane>, ActorError> {
        array::load(&self.lanes)
    }

    pub fn save_lanes(&mut self, mut lanes: Array<Lane>) -> Result<(), ActorError> {
        self.lanes = lanes.flush()?;
        Ok(())
    }
}

pub fn find_lane(lanes: &Array<Lane>, number: u64) -> Result<Option<Lane>, ActorError> {
    if number > LAST_LANE {
        return Err(ActorError::illegal_argument(format!("the last lane is {LAST_LANE}")));
    }
    Ok(lanes.get(number)?.cloned())
}
