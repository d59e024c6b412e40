//! A block's reward among the streams: each gets its weight of it, the implicit one's part is the miner's, the explicit
//! ones' parts stay here until they are claimed, and what is left is burnt.

use actor_runtime::ActorError;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

use crate::award::Payout;
use crate::state::State;
use crate::streams::queue::Changes;
use crate::streams::weight::weights_at;
use crate::streams::{DENOM, Ledger, Streams};

/// A reward that can be divided: what it is, and what becomes of it.
struct Division {
    minted: TokenAmount,
    explicit: TokenAmount,
    burnt: TokenAmount,
    miner: TokenAmount,
    changes: Changes,
}

/// Divides what is expected, as far as f02's balance goes beyond what it owes, and saves the state. Where the streams
/// are broken, weigh too much or nothing is left, the miner gets the reward for gas alone and nothing is saved.
/// 20 if the streams' block is missing.
pub fn divide(
    mut state: State,
    gas_reward: &TokenAmount,
    expected: TokenAmount,
    balance: &TokenAmount,
) -> Result<Payout, ActorError> {
    let gas_only = Ok(Payout { miner: gas_reward.clone(), burnt: TokenAmount::zero() });
    let block = fvm_sdk::ipld::get(&state.streams)
        .map_err(|_| ActorError::illegal_state("the block of the streams cannot be read"))?;
    let Ok(Streams { streams, tombstones, pending }) = fvm_ipld_encoding::from_slice(&block) else { return gas_only };
    let mut ledger = Ledger { streams, tombstones, pending, accrued: state.accrued.clone() };
    if ledger.check().is_err() {
        return gas_only;
    }
    let now = fvm_sdk::network::curr_epoch();
    let Some(division) = ledger.divide(now, gas_reward, expected, balance) else { return gas_only };
    if ledger.check().is_err() {
        return gas_only;
    }

    state.total_minted += division.minted;
    state.total_burnt += &division.burnt;
    state.total_explicit += division.explicit;
    if division.changes.is_empty() {
        state.accrued = ledger.accrued;
    } else {
        ledger.store(&mut state)?;
    }
    actor_runtime::state::save(&state)?;
    let _ = division.changes.emit();
    Ok(Payout { miner: division.miner + gas_reward, burnt: division.burnt + division.changes.dust() })
}

impl Ledger {
    fn divide(
        &mut self,
        now: ChainEpoch,
        gas_reward: &TokenAmount,
        expected: TokenAmount,
        balance: &TokenAmount,
    ) -> Option<Division> {
        let changes = self.apply_due(now).ok()?;
        let reserve = gas_reward + self.liability() + changes.dust();
        if *balance <= reserve {
            return None;
        }
        let minted = expected.min(balance - reserve);
        if minted.is_negative() {
            return None;
        }
        let weights = weights_at(&self.streams, now)?;
        let (mut miner, mut explicit) = (TokenAmount::zero(), TokenAmount::zero());
        let mut accruals = self.accrued.iter_mut();
        for (stream, weight) in self.streams.iter().zip(weights) {
            let portion = part(&minted, weight);
            match &stream.distribution {
                None => miner += portion,
                Some(distribution) => {
                    let kept = part(&portion, distribution.share_total());
                    accruals.next()?.amount += &kept;
                    explicit += kept;
                }
            }
        }
        let burnt = &minted - &miner - &explicit;
        Some(Division { minted, explicit, burnt, miner, changes })
    }
}

fn part(amount: &TokenAmount, of_denom: u64) -> TokenAmount {
    (amount * of_denom).div_floor(DENOM)
}
