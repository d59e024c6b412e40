//! Rows by wallet, ascending: shares, and amounts.

use serde::{Deserialize, Serialize};

use crate::streams::Wallet;

#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Table<V>(Vec<(Wallet, V)>);

impl<V> Table<V> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Sorted; a wallet that has two rows is the caller's to find (`is_ascending`).
    pub fn of(rows: impl IntoIterator<Item = (Wallet, V)>) -> Self {
        let mut rows: Vec<(Wallet, V)> = rows.into_iter().collect();
        rows.sort_by_key(|(wallet, _)| *wallet);
        Self(rows)
    }

    pub fn rows(&self) -> &[(Wallet, V)] {
        &self.0
    }

    pub fn wallets(&self) -> impl Iterator<Item = Wallet> {
        self.0.iter().map(|(wallet, _)| *wallet)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn is_ascending(&self) -> bool {
        self.0.windows(2).all(|pair| pair[0].0 < pair[1].0)
    }

    pub fn has(&self, wallet: Wallet) -> bool {
        self.find(wallet).is_ok()
    }

    pub fn get(&self, wallet: Wallet) -> Option<&V> {
        self.find(wallet).ok().map(|place| &self.0[place].1)
    }

    pub fn take(&mut self, wallet: Wallet) -> Option<V> {
        self.find(wallet).ok().map(|place| self.0.remove(place).1)
    }

    /// The value of a wallet's row, which is made from `first` where there is none.
    pub fn entry(&mut self, wallet: Wallet, first: V) -> &mut V {
        let place = self.find(wallet).unwrap_or_else(|place| {
            self.0.insert(place, (wallet, first));
            place
        });
        &mut self.0[place].1
    }

    /// How many wallets have a row in this table or in another one.
    pub fn count_with<W>(&self, other: &Table<W>) -> usize {
        self.len() + other.wallets().filter(|wallet| !self.has(*wallet)).count()
    }

    fn find(&self, wallet: Wallet) -> Result<usize, usize> {
        self.0.binary_search_by_key(&wallet, |(wallet, _)| *wallet)
    }
}
