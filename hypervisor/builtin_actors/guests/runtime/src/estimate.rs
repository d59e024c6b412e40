//! Smoothed estimates of quantities that change with time (alpha-beta filters), as reward and power keep them.

use fvm_ipld_encoding::tuple::*;
use fvm_shared::bigint::{BigInt, Integer, bigint_ser};
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;

use crate::fixed::{multiply, whole};

/// How much of what was observed goes into the position, and into the velocity (Q.128).
const ALPHA: u128 = 314_760_000_000_000_000_000_000_000_000_000_000;
const BETA: u128 = 96_640_100_000_000_000_000_000_000_000_000;

/// A quantity and its change each epoch, both Q.128.
#[derive(Clone, Default, Serialize_tuple, Deserialize_tuple)]
pub struct Estimate {
    #[serde(with = "bigint_ser")]
    pub position: BigInt,
    #[serde(with = "bigint_ser")]
    pub velocity: BigInt,
}

impl Estimate {
    pub fn starting_at(position: impl Into<BigInt>, velocity: impl Into<BigInt>) -> Self {
        Self { position: whole(position), velocity: whole(velocity) }
    }

    /// The estimate after some epochs, at whose end the quantity was observed.
    pub fn observe(&mut self, observation: &BigInt, epochs: ChainEpoch) {
        let time = whole(epochs);
        self.position += multiply(&time, &self.velocity);
        let residual = whole(observation.clone()) - &self.position;
        self.position += multiply(&BigInt::from(ALPHA), &residual);
        self.velocity += (residual * BigInt::from(BETA)).div_floor(&time);
    }
}

/// What the reward actor's `ThisEpochReward` answers.
#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct EpochReward {
    pub reward: Estimate,
    #[serde(with = "bigint_ser")]
    pub baseline_power: BigInt,
}

/// What the power actor's `CurrentTotalPower` answers: the totals as the last epoch left them.
#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct TotalPower {
    #[serde(with = "bigint_ser")]
    pub raw: BigInt,
    #[serde(with = "bigint_ser")]
    pub quality: BigInt,
    pub pledge: TokenAmount,
    pub quality_smoothed: Estimate,
    /// The epochs in which the rule for pledges changes from one to the next.
    pub ramp_start: ChainEpoch,
    pub ramp_epochs: u64,
}
