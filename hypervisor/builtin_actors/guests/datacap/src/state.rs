//! The ledger of the token: balances and allowances by actor id.

use actor_runtime::map::{self, Map};
use actor_runtime::{ActorError, key};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

const BIT_WIDTH: u32 = 3;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct State {
    /// Who mints and destroys, and one side of every transfer: the verified registry.
    pub governor: Address,
    pub ledger: Ledger,
}

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct Ledger {
    pub supply: TokenAmount,
    /// HAMT from owner to balance; no entry is a balance of zero.
    balances: Cid,
    /// HAMT from owner to a HAMT from operator to allowance, both without empty entries.
    allowances: Cid,
    bit_width: u32,
}

impl Ledger {
    pub fn new() -> Result<Self, ActorError> {
        let empty = map::empty_of_width::<TokenAmount>(BIT_WIDTH).flush()?;
        Ok(Self { supply: TokenAmount::zero(), balances: empty, allowances: empty, bit_width: BIT_WIDTH })
    }

    pub fn balance(&self, owner: ActorID) -> Result<TokenAmount, ActorError> {
        Ok(self.load::<TokenAmount>(&self.balances)?.get(&key::unsigned(owner))?.cloned().unwrap_or_default())
    }

    /// Tokens out of nothing.
    pub fn mint(&mut self, owner: ActorID, amount: &TokenAmount) -> Result<(), ActorError> {
        self.change_balance(owner, amount)?;
        self.supply += amount;
        Ok(())
    }

    /// Tokens to nothing; returns the owner's new balance.
    pub fn burn(&mut self, owner: ActorID, amount: &TokenAmount) -> Result<TokenAmount, ActorError> {
        let balance = self.change_balance(owner, &-amount)?;
        self.supply -= amount;
        Ok(balance)
    }

    pub fn transfer(&mut self, from: ActorID, to: ActorID, amount: &TokenAmount) -> Result<(), ActorError> {
        self.change_balance(from, &-amount)?;
        self.change_balance(to, amount)?;
        Ok(())
    }

    fn change_balance(&mut self, owner: ActorID, change: &TokenAmount) -> Result<TokenAmount, ActorError> {
        let mut balances = self.load(&self.balances)?;
        let owner_key = key::unsigned(owner);
        let before: TokenAmount = balances.get(&owner_key)?.cloned().unwrap_or_default();
        let after = &before + change;
        if after.is_negative() {
            return Err(ActorError::insufficient_funds(format!("f0{owner} has {before} tokens only")));
        }
        set_or_delete(&mut balances, owner, after.clone())?;
        self.balances = balances.flush()?;
        Ok(after)
    }

    pub fn allowance(&self, owner: ActorID, operator: ActorID) -> Result<TokenAmount, ActorError> {
        let owners = self.load(&self.allowances)?;
        Ok(self.allowances_of(owner, &owners)?.get(&key::unsigned(operator))?.cloned().unwrap_or_default())
    }

    /// Adds to an allowance, or takes away down to zero; returns the new one.
    pub fn change_allowance(
        &mut self,
        owner: ActorID,
        operator: ActorID,
        change: &TokenAmount,
    ) -> Result<TokenAmount, ActorError> {
        self.update_allowance(owner, operator, |before| Ok((before + change).max(TokenAmount::zero())))
    }

    /// Takes what an operator moves out of its allowance; an operator without any may not even move nothing.
    pub fn use_allowance(
        &mut self,
        owner: ActorID,
        operator: ActorID,
        amount: &TokenAmount,
    ) -> Result<TokenAmount, ActorError> {
        self.update_allowance(owner, operator, |before| {
            if &before < amount || (before.is_zero() && operator != owner) {
                return Err(no_allowance(operator));
            }
            Ok(before - amount)
        })
    }

    /// Sets an allowance to what a function makes of the one before; returns the new one.
    pub fn update_allowance(
        &mut self,
        owner: ActorID,
        operator: ActorID,
        update: impl FnOnce(TokenAmount) -> Result<TokenAmount, ActorError>,
    ) -> Result<TokenAmount, ActorError> {
        let mut owners = self.load(&self.allowances)?;
        let mut of_owner = self.allowances_of(owner, &owners)?;
        let before: TokenAmount = of_owner.get(&key::unsigned(operator))?.cloned().unwrap_or_default();
        let after = update(before.clone())?;
        if before != after {
            set_or_delete(&mut of_owner, operator, after.clone())?;
            if of_owner.is_empty() {
                owners.delete(&key::unsigned(owner))?;
            } else {
                owners.set(key::unsigned(owner), of_owner.flush()?)?;
            }
            self.allowances = owners.flush()?;
        }
        Ok(after)
    }

    fn allowances_of(&self, owner: ActorID, owners: &Map<Cid>) -> Result<Map<TokenAmount>, ActorError> {
        match owners.get(&key::unsigned(owner))? {
            Some(root) => self.load(root),
            None => Ok(map::empty_of_width(self.bit_width)),
        }
    }

    fn load<V>(&self, root: &Cid) -> Result<Map<V>, ActorError>
    where
        V: serde::Serialize + serde::de::DeserializeOwned,
    {
        map::load_of_width(root, self.bit_width)
    }
}

pub fn no_allowance(operator: ActorID) -> ActorError {
    ActorError::insufficient_funds(format!("f0{operator} has no sufficient allowance"))
}

/// Nothing is kept as no entry.
fn set_or_delete(map: &mut Map<TokenAmount>, id: ActorID, amount: TokenAmount) -> Result<(), ActorError> {
    if amount.is_zero() {
        map.delete(&key::unsigned(id))?;
    } else {
        map.set(key::unsigned(id), amount)?;
    }
    Ok(())
}
