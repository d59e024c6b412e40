//! The state of a multisig: signers, threshold, what is locked, and the transactions that wait for approvals.

use actor_runtime::map::{self, Map};
use actor_runtime::{ActorError, key};
use cid::Cid;
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::bigint::{BigInt, Integer};
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct State {
    /// Id addresses.
    pub signers: Vec<Address>,
    pub threshold: u64,
    pub next_transaction: i64,
    /// What was locked at `start_epoch`; it unlocks linearly over `unlock_duration` epochs, 0 if nothing ever was.
    pub initial_balance: TokenAmount,
    pub start_epoch: ChainEpoch,
    pub unlock_duration: ChainEpoch,
    /// HAMT from a transaction's number to the transaction.
    pub pending: Cid,
}

#[derive(Clone, PartialEq, Serialize_tuple, Deserialize_tuple)]
pub struct Transaction {
    pub to: Address,
    pub value: TokenAmount,
    pub method: MethodNum,
    pub params: RawBytes,
    /// The proposer first.
    pub approved: Vec<Address>,
}

impl State {
    pub fn is_signer(&self, address: &Address) -> bool {
        self.signers.contains(address)
    }

    pub fn must_be_signer(&self, address: &Address) -> Result<(), ActorError> {
        if self.is_signer(address) {
            return Ok(());
        }
        Err(ActorError::forbidden(format!("{address} is no signer")))
    }

    pub fn transactions(&self) -> Result<Map<Transaction>, ActorError> {
        map::load(&self.pending)
    }

    pub fn lock(&mut self, start_epoch: ChainEpoch, unlock_duration: ChainEpoch, amount: TokenAmount) {
        self.start_epoch = start_epoch;
        self.unlock_duration = unlock_duration;
        self.initial_balance = amount;
    }

    /// Whether `value` may be spent out of `balance` at an epoch: nothing always may, else the locked part has to stay.
    pub fn must_afford(&self, value: &TokenAmount, balance: &TokenAmount, epoch: ChainEpoch) -> Result<(), ActorError> {
        if balance < value {
            return Err(ActorError::insufficient_funds(format!("{value} FIL are more than the balance {balance}")));
        }
        if value.is_zero() {
            return Ok(());
        }
        let locked = self.locked(epoch - self.start_epoch);
        if balance - value < locked {
            return Err(ActorError::insufficient_funds(format!("{locked} FIL of {balance} are locked")));
        }
        Ok(())
    }

    /// What is still locked after some epochs, rounded up to the attoFIL.
    fn locked(&self, elapsed: ChainEpoch) -> TokenAmount {
        if elapsed >= self.unlock_duration {
            return TokenAmount::zero();
        }
        if elapsed <= 0 {
            return self.initial_balance.clone();
        }
        let share = self.initial_balance.atto() * (self.unlock_duration - elapsed);
        TokenAmount::from_atto(share.div_ceil(&BigInt::from(self.unlock_duration)))
    }

    /// Takes back every approval of somebody who is no signer any more. A transaction that is left without any is gone.
    pub fn forget_approvals(&mut self, signer: &Address) -> Result<(), ActorError> {
        let mut transactions = self.transactions()?;
        let mut touched = Vec::new();
        for entry in &transactions {
            let (number, transaction) = entry?;
            if transaction.approved.contains(signer) {
                touched.push((key::to_signed(number), transaction.clone()));
            }
        }
        for (number, mut transaction) in touched {
            transaction.approved.retain(|approver| approver != signer);
            if transaction.approved.is_empty() {
                transactions.delete(&key::signed(number))?;
            } else {
                transactions.set(key::signed(number), transaction)?;
            }
        }
        self.pending = transactions.flush()?;
        Ok(())
    }
}
