//! Pledge as a share of the network's money: the rule of the VM Interpreter document, in the place of today's where the
//! feature `supply-share` is on. All miners together are to hold 20 % of the available FIL for their power, by their
//! shares of it, and 5 % in equal parts. Each of the two parts of a miner's requirement is rounded down.
//!
//! Available is what was mined and has vested, less what was burnt. The VM's circulating supply is that, less what is
//! locked, which the power actor's total of pledges gives back. As long as nobody has power, nothing is required.

use actor_runtime::estimate::TotalPower;
use actor_runtime::send::send;
use actor_runtime::{ActorError, ids, params};
use frc42_dispatch::method_hash;
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::bigint::{BigInt, Integer};
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use num_traits::Zero;

use crate::economy::Network;
use crate::network::POWER_CURRENT_TOTAL_POWER;
use crate::power::Power;
use crate::state::State;

const POWER_MINER_POWER: MethodNum = method_hash!("MinerPower");
const POWER_MINER_COUNT: MethodNum = method_hash!("MinerCount");
const POWER_ACTOR: Address = Address::new_id(ids::POWER);

/// Percent of the available FIL.
const FOR_POWER: u32 = 20;
const PER_CAPITA: u32 = 5;

/// New sectors bind what the miner is short of with their power, in equal parts; the first one what is left over.
#[cfg(feature = "development-power")]
pub fn of_new_sectors(state: &State, powers: &[BigInt], _: &Network) -> Result<Vec<TokenAmount>, ActorError> {
    let short = shortfall(state, &powers.iter().sum())?;
    let each = short.div_floor(powers.len() as u64);
    let mut pledges = vec![each.clone(); powers.len()];
    pledges[0] += short - each * powers.len() as u64;
    Ok(pledges)
}

/// A reward is garnished while its miner is undercollateralised, as far as it is; the rest is free.
pub fn locked_of_reward(state: &State, reward: &TokenAmount) -> Result<TokenAmount, ActorError> {
    Ok(shortfall(state, &BigInt::zero())?.min(reward.clone()))
}

/// Only what exceeds the requirement can be withdrawn.
pub fn kept_back(state: &State) -> Result<TokenAmount, ActorError> {
    shortfall(state, &BigInt::zero())
}

/// What the miner would lack with so much more power. A miner that the power actor does not know owes nothing.
fn shortfall(state: &State, more: &BigInt) -> Result<TokenAmount, ActorError> {
    let receiver = fvm_sdk::message::receiver();
    let own = match send(&POWER_ACTOR, POWER_MINER_POWER, params::cbor(&receiver)?, TokenAmount::default()) {
        Err(error) if error.code == ExitCode::USR_NOT_FOUND => return Ok(TokenAmount::default()),
        answer => params::returned::<Power>(answer?)?.quality,
    };
    let answer = send(&POWER_ACTOR, POWER_CURRENT_TOTAL_POWER, None, TokenAmount::default())?;
    let network: TotalPower = params::returned(answer)?;
    let answer = send(&POWER_ACTOR, POWER_MINER_COUNT, None, TokenAmount::default())?;
    let miners: i64 = params::returned(answer)?;
    if network.quality.is_zero() {
        return Ok(TokenAmount::default());
    }
    // The network's power is that of the last epoch; the miner's own may be newer.
    let total = network.quality.max(own.clone()) + more;
    let available = fvm_sdk::network::total_fil_circ_supply() + network.pledge;
    let required = requirement(&available, &(own + more), &total, miners);
    Ok((required - &state.pledge - &state.locked).max(TokenAmount::default()))
}

fn requirement(available: &TokenAmount, power: &BigInt, total: &BigInt, miners: i64) -> TokenAmount {
    let for_power = (available.atto() * FOR_POWER * power).div_floor(&(total * 100));
    let per_capita = (available.atto() * PER_CAPITA).div_floor(&(BigInt::from(miners) * 100));
    TokenAmount::from_atto(for_power + per_capita)
}
