//! The reward actor, f02: it holds what is yet to be minted, and pays the producers of blocks.

mod minting;
mod state;

use actor_runtime::estimate::EpochReward;
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Reply, address, caller, entrypoint, ids, params};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::bigint::bigint_ser::BigIntDe;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{METHOD_SEND, MethodNum};

use crate::state::State;

const AWARD_BLOCK_REWARD: MethodNum = 2;
const THIS_EPOCH_REWARD: MethodNum = 3;
const UPDATE_NETWORK_KPI: MethodNum = 4;

const MINER_APPLY_REWARDS: MethodNum = 14;

/// Wins that an epoch has on average.
const EXPECTED_WINS: i64 = 5;
/// A miner pays three times what its messages cost others.
const PENALTY_FACTOR: i64 = 3;

entrypoint!(dispatch);

#[derive(Deserialize_tuple)]
struct AwardParams {
    miner: Address,
    penalty: TokenAmount,
    gas_reward: TokenAmount,
    win_count: i64,
}

#[derive(Serialize_tuple)]
struct ApplyRewardsParams {
    reward: TokenAmount,
    penalty: TokenAmount,
}

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        AWARD_BLOCK_REWARD => award_block_reward(call),
        THIS_EPOCH_REWARD => this_epoch_reward(call),
        UPDATE_NETWORK_KPI => update_network_kpi(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

/// Parameters: the network's power in bytes, bare; null is refused.
fn construct(call: Call) -> Reply {
    let power: Option<BigIntDe> = call.params.decode()?;
    caller::must_be(ids::SYSTEM)?;
    let BigIntDe(power) = power.ok_or_else(no_power)?;
    actor_runtime::state::create(&State::new(&power))?;
    params::done()
}

/// Pays a block's producer. Whatever a miner does about it, this method goes on: it is part of every block.
fn award_block_reward(call: Call) -> Reply {
    let award: AwardParams = call.params.decode()?;
    caller::must_be(ids::SYSTEM)?;
    let balance = fvm_sdk::sself::current_balance();
    check(&award, &balance)?;
    let miner = address::resolve(&award.miner)
        .ok_or_else(|| ActorError::not_found(format!("nobody has the address {}", award.miner)))?;

    let mut state: State = actor_runtime::state::load()?;
    let block_reward = (&state.epoch_reward * award.win_count).div_floor(EXPECTED_WINS);
    let total = (&award.gas_reward + block_reward).min(balance);
    state.total_paid += &total - &award.gas_reward;
    actor_runtime::state::save(&state)?;

    let reward = ApplyRewardsParams { reward: total.clone(), penalty: award.penalty * PENALTY_FACTOR };
    if send(&Address::new_id(miner), MINER_APPLY_REWARDS, params::cbor(&reward)?, total.clone()).is_err() {
        // Who cannot take a reward has none: it is burnt.
        let _ = send(&Address::new_id(ids::BURNT_FUNDS), METHOD_SEND, None, total);
    }
    params::done()
}

fn check(award: &AwardParams, balance: &TokenAmount) -> Result<(), ActorError> {
    if award.penalty.is_negative() || award.gas_reward.is_negative() {
        return Err(ActorError::illegal_argument("a penalty or a reward for gas is negative"));
    }
    if balance < &award.gas_reward {
        return Err(ActorError::illegal_state(format!("{balance} FIL do not cover the reward for gas")));
    }
    if award.win_count <= 0 {
        return Err(ActorError::illegal_argument("a block has one win at least"));
    }
    Ok(())
}

/// The estimate of the epoch's reward and the baseline, as the end of the last epoch left them.
fn this_epoch_reward(call: Call) -> Reply {
    call.params.expect_none()?;
    let state: State = actor_runtime::state::load()?;
    params::reply(&EpochReward { reward: state.epoch_reward_smoothed, baseline_power: state.baseline })
}

/// The end of an epoch, told by the power actor. Parameters: the network's power, bare.
fn update_network_kpi(call: Call) -> Reply {
    let power: Option<BigIntDe> = call.params.decode()?;
    caller::must_be(ids::POWER)?;
    let BigIntDe(power) = power.ok_or_else(no_power)?;
    let mut state: State = actor_runtime::state::load()?;
    state.advance(fvm_sdk::network::curr_epoch(), &power);
    actor_runtime::state::save(&state)?;
    params::done()
}

fn no_power() -> ActorError {
    ActorError::illegal_argument("the network's power is null")
}
