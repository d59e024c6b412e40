//! Verified deals from v19 on: nothing is asked for and no allocation is made.

use std::collections::BTreeMap;

use actor_runtime::ActorError;
use cid::Cid;

use crate::deal::Proposal;

pub type Numbers = BTreeMap<Cid, u64>;

#[derive(Default)]
pub struct Allocations;

impl Allocations {
    pub fn request(&mut self, _: &Proposal) -> Result<bool, ActorError> {
        Ok(true)
    }

    pub fn transfer(self) -> Result<Numbers, ActorError> {
        Ok(Numbers::new())
    }
}
