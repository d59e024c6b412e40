//! What a miner asks and tells the singletons.

use actor_runtime::estimate::{EpochReward, TotalPower};
use actor_runtime::send::send;
use actor_runtime::{ActorError, ids, params};
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{METHOD_SEND, MethodNum};

use crate::economy::Network;
use crate::power::Power;

const REWARD_THIS_EPOCH_REWARD: MethodNum = 3;
const POWER_UPDATE_CLAIMED_POWER: MethodNum = 3;
const POWER_ENROLL_CRON_EVENT: MethodNum = 4;
const POWER_UPDATE_PLEDGE_TOTAL: MethodNum = 6;
pub const POWER_CURRENT_TOTAL_POWER: MethodNum = 9;

/// What an event is for.
pub const DEADLINE_EVENT: i64 = 1;
pub const TERMINATIONS_EVENT: i64 = 2;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct Event {
    pub kind: i64,
}

#[derive(Serialize_tuple)]
struct EnrollParams {
    epoch: ChainEpoch,
    payload: RawBytes,
}

const POWER: Address = Address::new_id(ids::POWER);
const REWARD: Address = Address::new_id(ids::REWARD);

pub fn ask() -> Result<Network, ActorError> {
    let answer = send(&REWARD, REWARD_THIS_EPOCH_REWARD, None, TokenAmount::default())?;
    let reward: EpochReward = params::returned(answer)?;
    let answer = send(&POWER, POWER_CURRENT_TOTAL_POWER, None, TokenAmount::default())?;
    let power: TotalPower = params::returned(answer)?;
    Ok(Network {
        reward: reward.reward,
        baseline: reward.baseline_power,
        power: power.quality_smoothed,
        supply: fvm_sdk::network::total_fil_circ_supply(),
        ramp_age: fvm_sdk::network::curr_epoch() - power.ramp_start,
        ramp_epochs: power.ramp_epochs,
    })
}

pub fn update_power(change: &Power) -> Result<(), ActorError> {
    if !change.is_zero() {
        send(&POWER, POWER_UPDATE_CLAIMED_POWER, params::cbor(change)?, TokenAmount::default())?;
    }
    Ok(())
}

/// The miner has bound more for its sectors, or less.
pub fn update_pledge(change: &TokenAmount) -> Result<(), ActorError> {
    if !change.is_zero() {
        send(&POWER, POWER_UPDATE_PLEDGE_TOTAL, params::cbor(change)?, TokenAmount::default())?;
    }
    Ok(())
}

pub fn enroll(epoch: ChainEpoch, kind: i64) -> Result<(), ActorError> {
    let order = EnrollParams { epoch, payload: RawBytes::serialize(Event { kind })? };
    send(&POWER, POWER_ENROLL_CRON_EVENT, params::cbor(&order)?, TokenAmount::default())?;
    Ok(())
}

pub fn burn(amount: TokenAmount) -> Result<(), ActorError> {
    if amount.is_positive() {
        send(&Address::new_id(ids::BURNT_FUNDS), METHOD_SEND, None, amount)?;
    }
    Ok(())
}
