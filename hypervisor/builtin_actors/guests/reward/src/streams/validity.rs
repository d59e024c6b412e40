//! What holds of a ledger whenever it is stored: the structure of its tables, and that they account for what the streams
//! have got. The weights are not part of it: claims go on while they are wrong (`weight`).

use actor_runtime::ActorError;
use fvm_shared::econ::TokenAmount;

use crate::streams::queue::{self, Write};
use crate::streams::table::Table;
use crate::streams::{
    DENOM, Distribution, Ledger, MAX_PENDING_WRITES, MAX_RECIPIENTS, MAX_ROWS, MAX_STREAMS, MAX_TOMBSTONE_ROWS, Wallet,
};

impl Ledger {
    /// 20 if something does not hold.
    pub fn check(&self) -> Result<(), ActorError> {
        let checks: [(&str, fn(&Self) -> bool); 5] = [
            ("the queue", Self::queue_is_sound),
            ("the streams", Self::streams_are_sound),
            ("the tombstones", Self::tombstones_are_sound),
            ("the reservation of tombstones' rows", |ledger| ledger.reserved_rows() <= MAX_TOMBSTONE_ROWS),
            ("the accruals", Self::accruals_are_sound),
        ];
        match checks.iter().find(|(_, holds)| !holds(self)) {
            Some((what, _)) => Err(ActorError::illegal_state(format!("{what} of the state break an invariant"))),
            None => Ok(()),
        }
    }

    /// 16 if a tombstone's rows, and those that pending removals may leave, are too many.
    pub fn check_reservation(&self) -> Result<(), ActorError> {
        let rows = self.reserved_rows();
        if rows > MAX_TOMBSTONE_ROWS {
            let text = format!("tombstones would have {rows} rows, {MAX_TOMBSTONE_ROWS} at most");
            return Err(ActorError::illegal_argument(text));
        }
        Ok(())
    }

    fn reserved_rows(&self) -> usize {
        let held: usize = self.tombstones.iter().map(|tombstone| tombstone.payable.len()).sum();
        let removals = self.pending.iter().filter(|write| write.op == queue::REMOVE_STREAM);
        let to_come = removals.map(|write| {
            let stream = self.streams.iter().find(|stream| Some(stream.id) == write.id);
            let rows = stream.and_then(|stream| stream.distribution.as_ref()).map_or(0, Distribution::reserved_rows);
            rows.max(MAX_RECIPIENTS)
        });
        held + to_come.sum::<usize>()
    }

    fn queue_is_sound(&self) -> bool {
        let pending = &self.pending;
        pending.len() <= MAX_PENDING_WRITES
            && pending.windows(2).all(|pair| pair[0].effective_epoch <= pair[1].effective_epoch)
            && pending.iter().all(|write| Write::of(write).is_ok())
            && (1..pending.len())
                .all(|last| pending[..last].iter().all(|write| queue::key(write) != queue::key(&pending[last])))
            && pending
                .iter()
                .filter(|write| write.op == queue::REGISTER_STREAM)
                .filter_map(|write| write.id)
                .all(|id| !self.is_live(id) && !self.is_tombstoned(id))
    }

    fn streams_are_sound(&self) -> bool {
        let streams = &self.streams;
        streams.len() <= MAX_STREAMS
            && streams.windows(2).all(|pair| pair[0].id < pair[1].id)
            && streams.iter().all(|stream| stream.id != 0 && !self.is_tombstoned(stream.id))
            && streams.iter().filter(|stream| stream.distribution.is_none()).count() <= 1
            && streams.iter().filter_map(|stream| stream.distribution.as_ref()).all(Distribution::is_sound)
    }

    fn tombstones_are_sound(&self) -> bool {
        let tombstones = &self.tombstones;
        tombstones.windows(2).all(|pair| pair[0].id < pair[1].id)
            && tombstones
                .iter()
                .all(|tombstone| tombstone.id != 0 && !tombstone.payable.is_empty() && are_amounts(&tombstone.payable))
    }

    /// One row for each explicit stream, which its recipients have not claimed more of than they have earned.
    fn accruals_are_sound(&self) -> bool {
        let mut rows = self.accrued.iter();
        let explicit = self.streams.iter().filter_map(|stream| Some((stream.id, stream.distribution.as_ref()?)));
        for (id, distribution) in explicit {
            let Some(row) = rows.next() else { return false };
            if row.id != id || row.amount.is_negative() || !distribution.covers(&row.amount) {
                return false;
            }
        }
        rows.next().is_none()
    }
}

impl Distribution {
    fn is_sound(&self) -> bool {
        is_stored_map(&self.shares)
            && are_amounts(&self.payable)
            && are_amounts(&self.claimed)
            && self.reserved_rows() <= MAX_ROWS
            && self.claimed.len() <= MAX_RECIPIENTS
    }

    fn covers(&self, accrued: &TokenAmount) -> bool {
        if self.shares.is_empty() && !accrued.is_zero() {
            return false;
        }
        self.claimed.rows().iter().all(|(wallet, claimed)| match self.shares.get(*wallet) {
            Some(share) => *claimed <= self.earned(*share, accrued),
            None => false,
        })
    }
}

/// Ascending, positive, one whole at most together, and nothing for f099.
pub fn is_stored_map(shares: &Table<u64>) -> bool {
    shares.len() <= MAX_RECIPIENTS
        && shares.is_ascending()
        && shares.values().all(|share| *share != 0)
        && shares.values().copied().map(u128::from).sum::<u128>() <= u128::from(DENOM)
        && !shares.has(Wallet::FIRE)
}

fn are_amounts(table: &Table<TokenAmount>) -> bool {
    table.is_ascending() && table.values().all(TokenAmount::is_positive)
}
