//! What a miner has to bind, as the network's rule is today: each new sector its own pledge, and three quarters of each
//! reward. `supply_share` has the same functions under the other rule.

use actor_runtime::ActorError;
use fvm_shared::bigint::BigInt;
use fvm_shared::econ::TokenAmount;

use crate::economy::{Network, initial_pledge};
use crate::state::State;

/// Quarters of a reward that are locked until they vest.
const LOCKED_QUARTERS: u32 = 3;

/// The pledge of each of some new sectors, by their power, adjusted by quality.
#[cfg(feature = "development-power")]
pub fn of_new_sectors(_: &State, powers: &[BigInt], network: &Network) -> Result<Vec<TokenAmount>, ActorError> {
    Ok(powers.iter().map(|power| initial_pledge(network, power)).collect())
}

/// How much of a reward is locked.
pub fn locked_of_reward(_: &State, reward: &TokenAmount) -> Result<TokenAmount, ActorError> {
    Ok((reward * LOCKED_QUARTERS).div_floor(4u32))
}

/// What may not be withdrawn although it is free.
pub fn kept_back(_: &State) -> Result<TokenAmount, ActorError> {
    Ok(TokenAmount::default())
}
