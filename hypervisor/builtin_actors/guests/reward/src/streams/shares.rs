//! Who gets what an explicit stream collects: maps of shares, periods, claims.
//!
//! A period is the time between two maps. While it lasts a wallet has its share of what accrues; at its end the period is
//! folded: what each wallet has earned and not claimed becomes payable, what does not divide is burnt.

use actor_runtime::ActorError;
use fvm_shared::bigint::BigInt;
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

use crate::streams::table::Table;
use crate::streams::{DENOM, Distribution, Ledger, MAX_RECIPIENTS, MAX_ROWS, StreamID, Tombstone, Wallet};

/// The end of a period: what had accrued in it, and what of that is burnt.
pub struct Fold {
    pub id: StreamID,
    pub cause: &'static str,
    pub accrued: TokenAmount,
    pub dust: TokenAmount,
}

/// A map as a caller gives it, in its stored form: the shares are positive and one whole together, no wallet comes
/// twice, and what f099 would get is left out, however often it comes. 16 else.
pub fn stored_map(rows: Vec<(Wallet, u64)>) -> Result<Table<u64>, ActorError> {
    let total: u128 = rows.iter().map(|(_, share)| u128::from(*share)).sum();
    if total != u128::from(DENOM) || rows.iter().any(|(_, share)| *share == 0) {
        return Err(ActorError::illegal_argument(format!(
            "the shares are not positive or not {DENOM} together: {total}"
        )));
    }
    let map = Table::of(rows.into_iter().filter(|(wallet, _)| *wallet != Wallet::FIRE));
    if !map.is_ascending() {
        return Err(ActorError::illegal_argument("a recipient comes twice"));
    }
    Ok(map)
}

/// 16 for more rows than a map has.
pub fn check_count(rows: usize) -> Result<(), ActorError> {
    if rows > MAX_RECIPIENTS {
        return Err(ActorError::illegal_argument(format!("{rows} rows, {MAX_RECIPIENTS} at most")));
    }
    Ok(())
}

impl Distribution {
    pub fn new(writer: Wallet, shares: Table<u64>) -> Self {
        Self { writer, shares, payable: Table::new(), claimed: Table::new() }
    }

    pub fn share_total(&self) -> u64 {
        self.shares.values().sum()
    }

    /// What a share of this map is worth of what has accrued.
    pub fn earned(&self, share: u64, accrued: &TokenAmount) -> TokenAmount {
        match self.share_total() {
            0 => TokenAmount::zero(),
            total => TokenAmount::from_atto(accrued.atto() * share / BigInt::from(total)),
        }
    }

    /// What a removal would leave at most, and what the payable table may come to.
    pub fn reserved_rows(&self) -> usize {
        self.payable.count_with(&self.shares)
    }

    pub fn fold(&mut self, id: StreamID, cause: &'static str, accrued: &mut TokenAmount) -> Fold {
        let accrued = std::mem::take(accrued);
        let mut dust = accrued.clone();
        for (wallet, share) in self.shares.clone().rows() {
            let earned = self.earned(*share, &accrued);
            dust -= &earned;
            let unclaimed = earned - self.claimed.take(*wallet).unwrap_or_default();
            if unclaimed.is_positive() {
                *self.payable.entry(*wallet, TokenAmount::zero()) += unclaimed;
            }
        }
        self.claimed = Table::new();
        Fold { id, cause, accrued, dust }
    }

    fn claim(&mut self, wallet: Wallet, accrued: &TokenAmount) -> TokenAmount {
        let earned = self.shares.get(wallet).map_or_else(TokenAmount::zero, |share| self.earned(*share, accrued));
        let live = earned - self.claimed.get(wallet).cloned().unwrap_or_default();
        if live.is_positive() {
            *self.claimed.entry(wallet, TokenAmount::zero()) += &live;
        }
        live + self.payable.take(wallet).unwrap_or_default()
    }
}

impl Ledger {
    /// The distribution of a stream for one who writes it: 16 for no stream or an implicit one, 18 for another writer.
    pub fn written_by(&mut self, id: StreamID, caller: Wallet) -> Result<&mut Distribution, ActorError> {
        let (distribution, _) = self.period(id).ok_or_else(|| no_explicit(id))?;
        if distribution.writer != caller {
            return Err(ActorError::forbidden(format!("f0{} may not write the shares of stream {id}", caller.0)));
        }
        Ok(distribution)
    }

    /// Ends the period of an explicit stream and begins one with another map.
    pub fn install(&mut self, id: StreamID, shares: Table<u64>, cause: &'static str) -> Result<Fold, ActorError> {
        let (distribution, accrued) = self.period(id).ok_or_else(|| no_explicit(id))?;
        let fold = distribution.fold(id, cause, accrued);
        distribution.shares = shares;
        let rows = distribution.reserved_rows();
        if rows > MAX_ROWS {
            return Err(ActorError::illegal_argument(format!(
                "stream {id} would have {rows} rows, {MAX_ROWS} at most"
            )));
        }
        self.check_reservation()?;
        Ok(fold)
    }

    /// What each wallet is owed by a stream or what is left of it; 0 where nothing is, or nobody has the address.
    pub fn claim(&mut self, id: StreamID, wallets: &[Option<Wallet>]) -> Result<Vec<TokenAmount>, ActorError> {
        let each = |claim: &mut dyn FnMut(Wallet) -> TokenAmount| {
            wallets.iter().map(|wallet| wallet.map_or_else(TokenAmount::zero, &mut *claim)).collect()
        };
        if let Some((distribution, accrued)) = self.period(id) {
            return Ok(each(&mut |wallet| distribution.claim(wallet, accrued)));
        }
        if self.is_live(id) {
            return Err(no_explicit(id));
        }
        let amounts = match self.tombstones.iter_mut().find(|tombstone| tombstone.id == id) {
            Some(tombstone) => each(&mut |wallet| tombstone.payable.take(wallet).unwrap_or_default()),
            None => each(&mut |_| TokenAmount::zero()),
        };
        self.tombstones.retain(|tombstone| !tombstone.payable.is_empty());
        Ok(amounts)
    }

    /// Takes a stream away; what an explicit one still owes goes into a tombstone. None if there is no such stream.
    pub fn remove(&mut self, id: StreamID) -> Option<Option<Fold>> {
        let place = self.streams.iter().position(|stream| stream.id == id)?;
        let Some(mut distribution) = self.streams.remove(place).distribution else { return Some(None) };
        let row = self.accrued.iter().position(|row| row.id == id)?;
        let fold = distribution.fold(id, "RemoveStream", &mut self.accrued.remove(row).amount);
        if !distribution.payable.is_empty() {
            let place = self.tombstones.partition_point(|tombstone| tombstone.id < id);
            self.tombstones.insert(place, Tombstone { id, payable: distribution.payable });
        }
        Some(Some(fold))
    }

    /// What explicit streams, and those that were, still owe.
    pub fn liability(&self) -> TokenAmount {
        let live = self.streams.iter().filter_map(|stream| stream.distribution.as_ref());
        let claimed: TokenAmount = live.clone().flat_map(|distribution| distribution.claimed.values()).sum();
        let payable: TokenAmount = live
            .map(|distribution| &distribution.payable)
            .chain(self.tombstones.iter().map(|tombstone| &tombstone.payable))
            .flat_map(Table::values)
            .sum();
        let accrued: TokenAmount = self.accrued.iter().map(|row| &row.amount).sum();
        accrued - claimed + payable
    }
}

fn no_explicit(id: StreamID) -> ActorError {
    ActorError::illegal_argument(format!("there is no explicit stream {id}"))
}
