//! The state of power: totals, each miner's claim, and the queue of events that miners have asked for.

use actor_runtime::estimate::Estimate;
use actor_runtime::map::{self, Map};
use actor_runtime::policy::MINIMUM_CONSENSUS_POWER;
use actor_runtime::{ActorError, key};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::address::Address;
use fvm_shared::bigint::{BigInt, bigint_ser};
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sector::RegisteredPoStProof;
use num_traits::{Signed, Zero};

use crate::queue;

/// With fewer miners above the minimum every byte counts.
const ENOUGH_MINERS: i64 = 4;

/// Where the estimate of the network's power starts: bytes, and bytes each epoch.
const FIRST_POWER: u64 = 750_000 << 30;
const FIRST_GROWTH: u64 = 3_840 << 30;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct State {
    /// Of the miners above the minimum, raw and adjusted by quality; beside each what all miners together have.
    #[serde(with = "bigint_ser")]
    total_raw: BigInt,
    #[serde(with = "bigint_ser")]
    all_raw: BigInt,
    #[serde(with = "bigint_ser")]
    total_quality: BigInt,
    #[serde(with = "bigint_ser")]
    all_quality: BigInt,
    pub total_pledge: TokenAmount,
    /// The same totals as the last epoch left them.
    #[serde(with = "bigint_ser")]
    pub epoch_raw: BigInt,
    #[serde(with = "bigint_ser")]
    pub epoch_quality: BigInt,
    pub epoch_pledge: TokenAmount,
    pub epoch_quality_smoothed: Estimate,
    pub miners: i64,
    pub miners_above_minimum: i64,
    /// The epochs in which the rule for pledges changes from one to the next.
    pub ramp_start: ChainEpoch,
    pub ramp_epochs: u64,
    /// HAMT from epoch to an AMT of events.
    pub events: Cid,
    /// No event is earlier than this.
    pub first_event: ChainEpoch,
    /// HAMT from a miner's id address to its claim.
    claims: Cid,
    /// Of a time when proofs were verified in batches.
    proof_batch: Option<Cid>,
}

#[derive(Clone, PartialEq, Serialize_tuple, Deserialize_tuple)]
pub struct Claim {
    pub proof: RegisteredPoStProof,
    #[serde(with = "bigint_ser")]
    pub raw: BigInt,
    #[serde(with = "bigint_ser")]
    pub quality: BigInt,
}

impl Claim {
    pub fn empty(proof: RegisteredPoStProof) -> Self {
        Self { proof, raw: BigInt::zero(), quality: BigInt::zero() }
    }

    fn is_above_minimum(&self) -> bool {
        self.raw >= BigInt::from(MINIMUM_CONSENSUS_POWER)
    }
}

impl State {
    pub fn new() -> Result<Self, ActorError> {
        Ok(Self {
            total_raw: BigInt::zero(),
            all_raw: BigInt::zero(),
            total_quality: BigInt::zero(),
            all_quality: BigInt::zero(),
            total_pledge: TokenAmount::zero(),
            epoch_raw: BigInt::zero(),
            epoch_quality: BigInt::zero(),
            epoch_pledge: TokenAmount::zero(),
            epoch_quality_smoothed: Estimate::starting_at(FIRST_POWER, FIRST_GROWTH),
            miners: 0,
            miners_above_minimum: 0,
            ramp_start: 0,
            ramp_epochs: 0,
            events: queue::empty()?,
            first_event: 0,
            claims: map::empty::<Claim>().flush()?,
            proof_batch: None,
        })
    }

    pub fn load_claims(&self) -> Result<Map<Claim>, ActorError> {
        map::load(&self.claims)
    }

    pub fn save_claims(&mut self, mut claims: Map<Claim>) -> Result<(), ActorError> {
        self.claims = claims.flush()?;
        Ok(())
    }

    pub fn claim(&self, miner: ActorID) -> Result<Option<Claim>, ActorError> {
        Ok(self.load_claims()?.get(&key::address(&Address::new_id(miner)))?.cloned())
    }

    /// Whether a miner with this claim may produce blocks.
    pub fn counts(&self, claim: &Claim) -> Result<bool, ActorError> {
        must_be_known(claim.proof)?;
        Ok(claim.is_above_minimum() || (self.miners_above_minimum < ENOUGH_MINERS && claim.raw.is_positive()))
    }

    /// Adds to a miner's claim and to the totals; 17 without a claim, 20 if it becomes negative.
    pub fn add_power(
        &mut self,
        claims: &mut Map<Claim>,
        miner: &Address,
        raw: &BigInt,
        quality: &BigInt,
    ) -> Result<(), ActorError> {
        let before = claims.get(&key::address(miner))?.cloned();
        let before = before.ok_or_else(|| ActorError::not_found(format!("{miner} has no claim")))?;
        let after = Claim { proof: before.proof, raw: &before.raw + raw, quality: &before.quality + quality };
        must_be_known(before.proof)?;
        self.all_raw += raw;
        self.all_quality += quality;
        self.recount(&before, -1);
        self.recount(&after, 1);
        if after.raw.is_negative() || after.quality.is_negative() || self.miners_above_minimum < 0 {
            return Err(ActorError::illegal_state(format!("{miner} claims less than no power")));
        }
        claims.set(key::address(miner), after)?;
        Ok(())
    }

    /// Takes a claim out of the totals of the miners above the minimum, or puts it in.
    fn recount(&mut self, claim: &Claim, sign: i64) {
        if claim.is_above_minimum() {
            self.miners_above_minimum += sign;
            self.total_raw += &claim.raw * sign;
            self.total_quality += &claim.quality * sign;
        }
    }

    /// A miner whose event failed loses its claim. It is counted out for each failure: the network's rule.
    pub fn delete_claim(&mut self, claims: &mut Map<Claim>, miner: &Address) -> Result<(), ActorError> {
        if let Some(claim) = claims.get(&key::address(miner))?.cloned() {
            self.add_power(claims, miner, &-claim.raw, &-claim.quality)?;
            claims.delete(&key::address(miner))?;
        }
        self.miners -= 1;
        Ok(())
    }

    /// Fixes the epoch's totals for all who ask in the next one.
    pub fn end_epoch(&mut self) {
        let enough = self.miners_above_minimum >= ENOUGH_MINERS;
        self.epoch_raw = if enough { &self.total_raw } else { &self.all_raw }.clone();
        self.epoch_quality = if enough { &self.total_quality } else { &self.all_quality }.clone();
        self.epoch_pledge = self.total_pledge.clone();
        self.epoch_quality_smoothed.observe(&self.epoch_quality, 1);
    }
}

/// Only proofs that this version knows have a minimum.
fn must_be_known(proof: RegisteredPoStProof) -> Result<(), ActorError> {
    match proof {
        RegisteredPoStProof::Invalid(number) => {
            Err(ActorError::illegal_state(format!("there is no proof of type {number}")))
        }
        _ => Ok(()),
    }
}
