//! The reward actor, f02: it holds what is yet to be minted, and pays the producers of blocks.
//!
//! From v19 on (FIP-0118) contracts govern how a block's reward is split into streams (`streams`); before, all of it is
//! the miner's.

mod award;
mod minting;
mod state;
#[cfg(feature = "v19")]
mod streams;

use actor_runtime::estimate::EpochReward;
use actor_runtime::{ActorError, Call, Reply, caller, entrypoint, ids, params};
use fvm_shared::MethodNum;
use fvm_shared::bigint::bigint_ser::BigIntDe;

use crate::state::State;

const AWARD_BLOCK_REWARD: MethodNum = 2;
const THIS_EPOCH_REWARD: MethodNum = 3;
const UPDATE_NETWORK_KPI: MethodNum = 4;

entrypoint!(dispatch);

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        AWARD_BLOCK_REWARD => award::award_block_reward(call),
        THIS_EPOCH_REWARD => this_epoch_reward(call),
        UPDATE_NETWORK_KPI => update_network_kpi(call),
        #[cfg(feature = "v19")]
        _ => streams::methods::dispatch(call),
        #[cfg(not(feature = "v19"))]
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

/// Parameters: the network's power in bytes, bare; null is refused.
fn construct(call: Call) -> Reply {
    let power: Option<BigIntDe> = call.params.decode()?;
    caller::must_be(ids::SYSTEM)?;
    let BigIntDe(power) = power.ok_or_else(no_power)?;
    actor_runtime::state::create(&State::new(&power)?)?;
    params::done()
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
