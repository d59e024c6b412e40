//! Funds that become free bit by bit over 180 days, in steps of a day that end at two times of the proving period.

use actor_runtime::policy::{DAY, HOUR};
use actor_runtime::{ActorError, store};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use serde::{Deserialize, Serialize};

use crate::schedule::Quantum;

const PERIOD: ChainEpoch = 180 * DAY;
const STEP: ChainEpoch = DAY;
const QUANTUM: ChainEpoch = 12 * HOUR;

/// An amount that is free from the epoch after this one on.
#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Fund {
    pub epoch: ChainEpoch,
    pub amount: TokenAmount,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
struct Table {
    /// The soonest; it may be used up.
    head: Fund,
    /// A block with the others.
    tail: Cid,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VestingFunds(Option<Table>);

impl VestingFunds {
    /// By epoch, soonest first.
    pub fn load(&self) -> Result<Vec<Fund>, ActorError> {
        let Some(Table { head, tail }) = &self.0 else { return Ok(Vec::new()) };
        let mut funds: Vec<Fund> = store::get_object(tail)?;
        if head.amount.is_positive() {
            funds.insert(0, head.clone());
        }
        Ok(funds)
    }

    fn save(&mut self, mut funds: Vec<Fund>) -> Result<(), ActorError> {
        self.0 = if funds.is_empty() {
            None
        } else {
            let head = funds.remove(0);
            Some(Table { head, tail: store::put_object(&funds)? })
        };
        Ok(())
    }

    /// Takes out what has vested before an epoch.
    pub fn take_vested(&mut self, now: ChainEpoch) -> Result<TokenAmount, ActorError> {
        if self.0.as_ref().is_none_or(|table| table.head.epoch >= now) {
            return Ok(TokenAmount::default());
        }
        let funds = self.load()?;
        self.save_unvested(funds, now)
    }

    /// Adds a new amount to the schedule, and takes out what has vested.
    pub fn add(
        &mut self,
        amount: &TokenAmount,
        now: ChainEpoch,
        period_start: ChainEpoch,
    ) -> Result<TokenAmount, ActorError> {
        let mut funds = self.load()?;
        for new in schedule(amount, now, period_start) {
            match funds.binary_search_by_key(&new.epoch, |fund| fund.epoch) {
                Ok(place) => funds[place].amount += new.amount,
                Err(place) => funds.insert(place, new),
            }
        }
        self.save_unvested(funds, now)
    }

    fn save_unvested(&mut self, mut funds: Vec<Fund>, now: ChainEpoch) -> Result<TokenAmount, ActorError> {
        let count = funds.iter().take_while(|fund| fund.epoch < now).count();
        let vested = funds.drain(..count).map(|fund| fund.amount).sum();
        self.save(funds)?;
        Ok(vested)
    }

    /// Takes out what has vested, and what vests next up to an amount: both sums. Where the first entry is enough for
    /// all, what has vested stays: the network's rule.
    pub fn take(&mut self, wanted: &TokenAmount, now: ChainEpoch) -> Result<(TokenAmount, TokenAmount), ActorError> {
        let Some(Table { head, .. }) = &mut self.0 else { return Ok(Default::default()) };
        if head.epoch >= now && &head.amount >= wanted {
            head.amount -= wanted;
            return Ok((TokenAmount::default(), wanted.clone()));
        }
        let (mut vested, mut left) = (TokenAmount::default(), wanted.clone());
        let mut kept = Vec::new();
        for mut fund in self.load()? {
            if !kept.is_empty() {
                kept.push(fund);
            } else if fund.epoch < now {
                vested += fund.amount;
            } else if fund.amount < left {
                left -= fund.amount;
            } else {
                fund.amount -= std::mem::take(&mut left);
                kept.push(fund);
            }
        }
        self.save(kept)?;
        Ok((vested, wanted - left))
    }
}

/// When which part of an amount vests.
fn schedule(amount: &TokenAmount, now: ChainEpoch, period_start: ChainEpoch) -> Vec<Fund> {
    let quantum = Quantum { unit: QUANTUM, offset: period_start };
    let (mut funds, mut vested, mut epoch) = (Vec::new(), TokenAmount::default(), now);
    while &vested < amount {
        epoch += STEP;
        let at = quantum.up(epoch);
        let elapsed = at - now;
        let target = if elapsed < PERIOD { (amount * elapsed).div_floor(PERIOD) } else { amount.clone() };
        funds.push(Fund { epoch: at, amount: &target - &vested });
        vested = target;
    }
    funds
}
