//! A miner's money: rewards that vest, penalties that become debt, and withdrawals.

use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Reply, caller, ids, params};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::METHOD_SEND;
use fvm_shared::econ::TokenAmount;

use crate::collateral::{kept_back, locked_of_reward};
use crate::info::Info;
use crate::network::{burn, update_pledge};
use crate::state::State;

#[derive(Deserialize_tuple)]
struct ApplyRewardsParams {
    reward: TokenAmount,
    penalty: TokenAmount,
}

#[derive(Deserialize_tuple)]
struct WithdrawParams {
    amount: TokenAmount,
}

/// The reward actor has sent a block's reward along.
pub fn apply_rewards(call: Call) -> Reply {
    let ApplyRewardsParams { reward, penalty } = call.params.decode()?;
    if reward.is_negative() || penalty.is_negative() {
        return Err(ActorError::illegal_argument("a reward or penalty is negative"));
    }
    caller::must_be(ids::REWARD)?;
    let mut state = State::load()?;
    let (now, balance) = (fvm_sdk::network::curr_epoch(), fvm_sdk::sself::current_balance());
    let to_lock = locked_of_reward(&state, &reward)?;
    let unlocked = state.unlocked(&balance)?;
    if unlocked < to_lock {
        return Err(ActorError::insufficient_funds(format!("{to_lock} FIL cannot be locked: {unlocked} are free")));
    }
    let vested = state.lock(&to_lock, now)?;
    state.owe(&penalty)?;
    let (burnt, taken) = state.repay_what_can_be(now, &balance)?;
    state.save()?;
    update_pledge(&(to_lock - vested - taken))?;
    burn(burnt)?;
    State::load()?.check_balance()?;
    params::done()
}

/// Pays to the beneficiary as much of an amount as is free and allowed; returns how much.
pub fn withdraw(call: Call) -> Reply {
    let WithdrawParams { amount } = call.params.decode()?;
    if amount.is_negative() {
        return Err(ActorError::illegal_argument("the amount is negative"));
    }
    let mut state = State::load()?;
    let mut info = state.load_info()?;
    caller::must_be_one_of(&[info.owner, info.beneficiary])?;
    if !state.early_terminations.is_empty() {
        return Err(ActorError::forbidden("there are sectors whose early end is not paid for"));
    }
    let (now, balance) = (fvm_sdk::network::curr_epoch(), fvm_sdk::sself::current_balance());
    let vested = state.vest(now)?;
    let available = state.available(&balance)?;
    let burnt = state.repay_all(&balance)?;
    if available.is_negative() {
        return Err(ActorError::illegal_state(format!("{available} FIL are available")));
    }
    let mut paid = (available - kept_back(&state)?).max(TokenAmount::default()).min(amount);
    if info.beneficiary != info.owner {
        paid = use_quota(&mut info, paid)?;
        state.save_info(&info)?;
    }
    state.save()?;
    if paid.is_positive() {
        send(&info.beneficiary, METHOD_SEND, None, paid.clone())?;
    }
    burn(burnt)?;
    update_pledge(&-vested)?;
    state.check_balance()?;
    params::reply(&paid)
}

/// As much of an amount as the beneficiary may have; 18 if that is nothing.
fn use_quota(info: &mut Info, amount: TokenAmount) -> Result<TokenAmount, ActorError> {
    let left = info.term.left(fvm_sdk::network::curr_epoch());
    if left.is_zero() {
        return Err(ActorError::forbidden("the beneficiary's quota is used up, or its time is over"));
    }
    let paid = amount.min(left);
    info.term.used += &paid;
    Ok(paid)
}

/// Pays as much debt as there is money for.
pub fn repay_debt(call: Call) -> Reply {
    call.params.expect_none()?;
    let mut state = State::load()?;
    state.load_info()?.caller_must_control()?;
    let (now, balance) = (fvm_sdk::network::curr_epoch(), fvm_sdk::sself::current_balance());
    let (burnt, taken) = state.repay_what_can_be(now, &balance)?;
    state.save()?;
    update_pledge(&-taken)?;
    burn(burnt)?;
    state.check_balance()?;
    params::done()
}
