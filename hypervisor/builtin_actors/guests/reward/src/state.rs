//! The state of reward: where the network stands on its way along the baseline, and what the epoch is worth.

use actor_runtime::ActorError;
use actor_runtime::estimate::Estimate;
#[cfg(feature = "v19")]
use actor_runtime::{ids, store};
#[cfg(feature = "v19")]
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
#[cfg(feature = "v19")]
use fvm_shared::address::Address;
use fvm_shared::bigint::{BigInt, bigint_ser};
use fvm_shared::clock::{ChainEpoch, EPOCH_UNDEFINED};
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

use crate::minting;
#[cfg(feature = "v19")]
use crate::streams::{Accrual, Streams};

/// Bytes.
const FIRST_BASELINE: u64 = 2_888_888_880_000_000_000;
/// AttoFIL, and attoFIL each epoch.
const FIRST_REWARD: u128 = 36_266_260_308_195_979_333;
const FIRST_CHANGE: i64 = -109_897_758_509;
/// FIL that are minted in the end by time alone, and attoFIL that are minted with the network's growth. v19 has what the
/// main network's state said before.
const SIMPLE_TOTAL: u64 = 330_000_000;
#[cfg(not(feature = "v19"))]
const BASELINE_TOTAL: u128 = 770_000_000 * 10u128.pow(18);
#[cfg(feature = "v19")]
const BASELINE_TOTAL: u128 = 768_335_872_210_768_889_362_796_814;

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
    /// All that was ever minted for blocks, without gas.
    pub total_minted: TokenAmount,
    #[cfg(not(feature = "v19"))]
    simple_total: TokenAmount,
    #[cfg(not(feature = "v19"))]
    baseline_total: TokenAmount,
    /// Of what was minted: what was burnt at once, and what explicit streams got.
    #[cfg(feature = "v19")]
    pub total_burnt: TokenAmount,
    #[cfg(feature = "v19")]
    pub total_explicit: TokenAmount,
    /// Epochs between a write of the stream-weight authority (SWA) and its effect, and the SWA itself.
    #[cfg(feature = "v19")]
    pub timelock: ChainEpoch,
    #[cfg(feature = "v19")]
    pub swa: Address,
    /// What explicit streams have got in their current periods, by rising ids.
    #[cfg(feature = "v19")]
    pub accrued: Vec<Accrual>,
    #[cfg(feature = "v19")]
    pub streams: Cid,
}

impl State {
    pub fn new(power: &BigInt) -> Result<Self, ActorError> {
        let mut state = Self {
            cumulative_baseline: BigInt::zero(),
            cumulative_realized: BigInt::zero(),
            network_epochs: 0,
            network_baseline: BigInt::from(FIRST_BASELINE),
            epoch_reward: TokenAmount::zero(),
            epoch_reward_smoothed: Estimate::starting_at(FIRST_REWARD, FIRST_CHANGE),
            baseline: minting::before_baseline(FIRST_BASELINE),
            epoch: EPOCH_UNDEFINED,
            total_minted: TokenAmount::zero(),
            #[cfg(not(feature = "v19"))]
            simple_total: TokenAmount::from_whole(SIMPLE_TOTAL),
            #[cfg(not(feature = "v19"))]
            baseline_total: TokenAmount::from_atto(BASELINE_TOTAL),
            #[cfg(feature = "v19")]
            total_burnt: TokenAmount::zero(),
            #[cfg(feature = "v19")]
            total_explicit: TokenAmount::zero(),
            #[cfg(feature = "v19")]
            timelock: 0,
            #[cfg(feature = "v19")]
            swa: Address::new_id(ids::SYSTEM),
            #[cfg(feature = "v19")]
            accrued: Vec::new(),
            #[cfg(feature = "v19")]
            streams: store::put_object(&Streams::first())?,
        };
        state.step_with_reward(power);
        Ok(state)
    }

    #[cfg(not(feature = "v19"))]
    fn totals(&self) -> (TokenAmount, TokenAmount) {
        (self.simple_total.clone(), self.baseline_total.clone())
    }

    #[cfg(feature = "v19")]
    fn totals(&self) -> (TokenAmount, TokenAmount) {
        (TokenAmount::from_whole(SIMPLE_TOTAL), TokenAmount::from_atto(BASELINE_TOTAL))
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
        let (simple, baseline) = self.totals();
        self.epoch_reward = minting::reward(self.epoch, &before, &after, &simple, &baseline);
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
