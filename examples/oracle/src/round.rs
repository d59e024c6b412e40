//! Reports of one round after the other, and the median of each that has enough of them.

use actor_runtime::ActorError;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct Rounds {
    quorum: u64,
    /// The last closed round; 0 before the first.
    closed: u64,
    price: i64,
    /// Of the round after that.
    reports: Vec<(ActorID, i64)>,
}

impl Rounds {
    pub fn new(quorum: u64) -> Self {
        Self { quorum, closed: 0, price: 0, reports: Vec::new() }
    }

    /// The last round that was closed, and its price.
    pub fn latest(&self) -> Option<(u64, i64)> {
        (self.closed > 0).then_some((self.closed, self.price))
    }

    /// Takes a report for the open round; the median, if this was the last one that the round needed.
    pub fn report(&mut self, reporter: ActorID, round: u64, price: i64) -> Result<Option<i64>, ActorError> {
        let open = self.closed + 1;
        if round != open {
            return Err(ActorError::illegal_argument(format!("round {round} is not open: round {open} is")));
        }
        if self.reports.iter().any(|(who, _)| *who == reporter) {
            return Err(ActorError::forbidden(format!("f0{reporter} has reported for round {round} already")));
        }
        self.reports.push((reporter, price));
        if (self.reports.len() as u64) < self.quorum {
            return Ok(None);
        }
        self.price = median(self.reports.drain(..).map(|(_, price)| price).collect());
        self.closed = round;
        Ok(Some(self.price))
    }
}

/// The middle price; of two middle ones the lower.
fn median(mut prices: Vec<i64>) -> i64 {
    prices.sort_unstable();
    prices[(prices.len() - 1) / 2]
}
