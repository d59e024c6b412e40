//! The reward of a block (method 2): checked, divided, sent. Whatever a miner does about it, this method goes on: it is
//! part of every block.

use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Reply, address, caller, ids, params};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{METHOD_SEND, MethodNum};
#[cfg(not(feature = "v19"))]
use num_traits::Zero;

use crate::state::State;
#[cfg(feature = "v19")]
use crate::streams::award::divide;

const MINER_APPLY_REWARDS: MethodNum = 14;

/// Wins that an epoch has on average.
const EXPECTED_WINS: i64 = 5;
/// A miner pays three times what its messages cost others.
const PENALTY_FACTOR: i64 = 3;
/// Whether a reward of 0 that a miner refuses is sent on to f099, as before v19.
const BURNS_ZERO: bool = cfg!(not(feature = "v19"));

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

/// What leaves f02 for one block: the miner's, gas included, and what is burnt.
pub struct Payout {
    pub miner: TokenAmount,
    pub burnt: TokenAmount,
}

pub fn award_block_reward(call: Call) -> Reply {
    let award: AwardParams = call.params.decode()?;
    caller::must_be(ids::SYSTEM)?;
    let balance = fvm_sdk::sself::current_balance();
    check(&award, &balance)?;
    let miner = address::resolve(&award.miner)
        .ok_or_else(|| ActorError::not_found(format!("no actor has the address {}", award.miner)))?;

    let state: State = actor_runtime::state::load()?;
    let expected = (&state.epoch_reward * award.win_count).div_floor(EXPECTED_WINS);
    let Payout { miner: reward, mut burnt } = divide(state, &award.gas_reward, expected, &balance)?;

    let applied = ApplyRewardsParams { reward: reward.clone(), penalty: award.penalty * PENALTY_FACTOR };
    let taken = send(&Address::new_id(miner), MINER_APPLY_REWARDS, params::cbor(&applied)?, reward.clone()).is_ok();
    if !taken {
        burnt += reward;
    }
    if burnt.is_positive() || (BURNS_ZERO && !taken) {
        let _ = send(&Address::new_id(ids::BURNT_FUNDS), METHOD_SEND, None, burnt);
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

/// Before v19 the miner gets all of it, as far as f02's balance goes.
#[cfg(not(feature = "v19"))]
fn divide(
    mut state: State,
    gas_reward: &TokenAmount,
    expected: TokenAmount,
    balance: &TokenAmount,
) -> Result<Payout, ActorError> {
    let miner = (gas_reward + expected).min(balance.clone());
    state.total_minted += &miner - gas_reward;
    actor_runtime::state::save(&state)?;
    Ok(Payout { miner, burnt: TokenAmount::zero() })
}
