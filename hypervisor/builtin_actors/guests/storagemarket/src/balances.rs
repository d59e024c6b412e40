//! Money that clients and providers have paid in, and the part of it that deals lock.

use actor_runtime::map::{self, Map};
use actor_runtime::{ActorError, key};
use cid::Cid;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

use crate::deal::Proposal;
use crate::state::Totals;

const BIT_WIDTH: u32 = 6;

/// By id address.
pub struct Balances {
    /// All that somebody has paid in.
    escrow: Map<TokenAmount>,
    /// The part of it that is locked.
    locked: Map<TokenAmount>,
}

/// What something is locked for; each has a total of its own.
pub enum Lock {
    ClientCollateral,
    Fee,
    ProviderCollateral,
}

impl Balances {
    pub fn empty() -> Result<Cid, ActorError> {
        Ok(map::empty_of_width::<TokenAmount>(BIT_WIDTH).flush()?)
    }

    pub fn load(escrow: &Cid, locked: &Cid) -> Result<Self, ActorError> {
        Ok(Self { escrow: map::load_of_width(escrow, BIT_WIDTH)?, locked: map::load_of_width(locked, BIT_WIDTH)? })
    }

    /// The roots of both tables.
    pub fn flush(mut self) -> Result<(Cid, Cid), ActorError> {
        Ok((self.escrow.flush()?, self.locked.flush()?))
    }

    pub fn escrow_of(&self, who: &Address) -> Result<TokenAmount, ActorError> {
        balance(&self.escrow, who)
    }

    pub fn locked_of(&self, who: &Address) -> Result<TokenAmount, ActorError> {
        balance(&self.locked, who)
    }

    pub fn deposit(&mut self, who: &Address, amount: &TokenAmount) -> Result<(), ActorError> {
        add(&mut self.escrow, who, amount)
    }

    /// Takes out as much as is asked for and not locked; returns how much that is.
    pub fn withdraw(&mut self, who: &Address, wanted: &TokenAmount) -> Result<TokenAmount, ActorError> {
        let free = (self.escrow_of(who)? - self.locked_of(who)?).max(TokenAmount::zero());
        let amount = free.min(wanted.clone());
        if amount.is_positive() {
            add(&mut self.escrow, who, &-&amount)?;
        }
        Ok(amount)
    }

    /// Whether so much more can be locked.
    pub fn covers(&self, who: &Address, more: &TokenAmount) -> Result<bool, ActorError> {
        Ok(self.locked_of(who)? + more <= self.escrow_of(who)?)
    }

    /// Locks what both parties of a deal put up.
    pub fn lock_for(&mut self, proposal: &Proposal, totals: &mut Totals) -> Result<(), ActorError> {
        self.lock(&proposal.client, &proposal.client_funds())?;
        self.lock(&proposal.provider, &proposal.provider_collateral)?;
        totals.client_collateral += &proposal.client_collateral;
        totals.fees += proposal.price();
        totals.provider_collateral += &proposal.provider_collateral;
        Ok(())
    }

    fn lock(&mut self, who: &Address, amount: &TokenAmount) -> Result<(), ActorError> {
        if !self.covers(who, amount)? {
            return Err(ActorError::insufficient_funds(format!("{who} does not have {amount} FIL to lock")));
        }
        add(&mut self.locked, who, amount)
    }

    pub fn unlock(
        &mut self,
        who: &Address,
        amount: &TokenAmount,
        lock: Lock,
        totals: &mut Totals,
    ) -> Result<(), ActorError> {
        add(&mut self.locked, who, &-amount)?;
        let total = match lock {
            Lock::ClientCollateral => &mut totals.client_collateral,
            Lock::Fee => &mut totals.fees,
            Lock::ProviderCollateral => &mut totals.provider_collateral,
        };
        *total -= amount;
        Ok(())
    }

    /// Pays out of what the client has locked as fee.
    pub fn pay(&mut self, proposal: &Proposal, amount: &TokenAmount, totals: &mut Totals) -> Result<(), ActorError> {
        add(&mut self.escrow, &proposal.client, &-amount)?;
        self.unlock(&proposal.client, amount, Lock::Fee, totals)?;
        add(&mut self.escrow, &proposal.provider, amount)
    }

    /// Takes a provider's collateral away; the caller burns it.
    pub fn slash(&mut self, proposal: &Proposal, totals: &mut Totals) -> Result<TokenAmount, ActorError> {
        let amount = proposal.provider_collateral.clone();
        add(&mut self.escrow, &proposal.provider, &-&amount)?;
        self.unlock(&proposal.provider, &amount, Lock::ProviderCollateral, totals)?;
        Ok(amount)
    }
}

fn balance(table: &Map<TokenAmount>, who: &Address) -> Result<TokenAmount, ActorError> {
    Ok(table.get(&key::address(who))?.cloned().unwrap_or_default())
}

/// A balance that comes down to nothing has no entry; one that was and stays nothing gets one: the network's rule.
fn add(table: &mut Map<TokenAmount>, who: &Address, amount: &TokenAmount) -> Result<(), ActorError> {
    let before = balance(table, who)?;
    let after = &before + amount;
    if after.is_negative() {
        return Err(ActorError::illegal_argument(format!("{who} has {before} FIL only")));
    }
    if after.is_zero() && !before.is_zero() {
        table.delete(&key::address(who))?;
    } else {
        table.set(key::address(who), after)?;
    }
    Ok(())
}
