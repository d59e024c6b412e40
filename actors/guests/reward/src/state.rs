//! The state of reward: where the network stands on its way along the baseline, and what the epoch is worth.

use actor_runtime::estimate::Estimate;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::bigint::{BigInt, bigint_ser};
use fvm_shared::clock::{ChainEpoch, EPOCH_UNDEFINED};
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

use crate::minting;

/// Bytes.
const FIRST_BASELINE: u64 = 2_888_888_880_000_000_000;
/// AttoFIL, and attoFIL each epoch.
const FIRST_REWARD: u128 = 36_266_260_308_195_979_333;
const FIRST_CHANGE: i64 = -109_897_758_509;
/// FIL that are minted in the end: by time alone, and with the network's growth.
const SIMPLE_TOTAL: u64 = 330_000_000;
const BASELINE_TOTAL: u64 = 770_000_000;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct State {
    /// Byte-epochs: the baseline's sum up to `network_epochs`, and the network's sum, capped by the baseline.
    #[serde(with = "bigint_ser")]
    cumulative_baseline: BigInt,
    #[serde(with = "bigint_ser")]
    cumulative_realized: BigInt,
    /// The network's own time, rounded up to whole epochs, and the baseline there.
    network_epochs: ChainEpoch,
    #[serde(with = "bigint_ser")]
    network_baseline: BigInt,
    /// What all winners of an expected epoch get together.
    pub epoch_reward: TokenAmount,
    pub epoch_reward_smoothed: Estimate,
    #[serde(with = "bigint_ser")]
    pub baseline: BigInt,
    pub epoch: ChainEpoch,
    /// All that was ever paid for blocks, without gas.
    pub total_paid: TokenAmount,
    simple_total: TokenAmount,
    baseline_total: TokenAmount,
}

impl State {
    pub fn new(power: &BigInt) -> Self {
        let mut state = Self {
            cumulative_baseline: BigInt::zero(),
            cumulative_realized: BigInt::zero(),
            network_epochs: 0,
            network_baseline: BigInt::from(FIRST_BASELINE),
            epoch_reward: TokenAmount::zero(),
            epoch_reward_smoothed: Estimate::starting_at(FIRST_REWARD, FIRST_CHANGE),
            baseline: minting::before_baseline(FIRST_BASELINE),
            epoch: EPOCH_UNDEFINED,
            total_paid: TokenAmount::zero(),
            simple_total: TokenAmount::from_whole(SIMPLE_TOTAL),
            baseline_total: TokenAmount::from_whole(BASELINE_TOTAL),
        };
        state.step_with_reward(power);
        state
    }

    /// Goes on to the epoch after `now`: null rounds pass without a reward of their own.
    pub fn advance(&mut self, now: ChainEpoch, power: &BigInt) {
        let before = self.epoch;
        while self.epoch < now {
            self.step(power);
        }
        self.step_with_reward(power);
        self.epoch_reward_smoothed.observe(self.epoch_reward.atto(), self.epoch - before);
    }

    fn step_with_reward(&mut self, power: &BigInt) {
        let before = self.network_time();
        self.step(power);
        let after = self.network_time();
        self.epoch_reward = minting::reward(self.epoch, &before, &after, &self.simple_total, &self.baseline_total);
    }

    fn step(&mut self, power: &BigInt) {
        self.epoch += 1;
        self.baseline = minting::next_baseline(&self.baseline);
        self.cumulative_realized += power.min(&self.baseline);
        while self.cumulative_realized > self.cumulative_baseline {
            self.network_epochs += 1;
            self.network_baseline = minting::next_baseline(&self.network_baseline);
            self.cumulative_baseline += &self.network_baseline;
        }
    }

    fn network_time(&self) -> BigInt {
        minting::network_time(
            self.network_epochs,
            &self.network_baseline,
            &self.cumulative_realized,
            &self.cumulative_baseline,
        )
    }
}
