//! The proving period: a day of 48 deadlines. In each the miner proves the sectors that are assigned to it.

use actor_runtime::policy::DAY;
use fvm_shared::clock::ChainEpoch;

pub const PERIOD: ChainEpoch = DAY;
pub const DEADLINES: u64 = 48;
const WINDOW: ChainEpoch = PERIOD / DEADLINES as ChainEpoch;
/// How long before a deadline opens faults must be declared.
const FAULT_CUTOFF: ChainEpoch = 70;
/// How long a sector may be faulty before it is terminated.
pub const LONGEST_FAULT: ChainEpoch = 42 * PERIOD;

/// Epochs are rounded to multiples of a unit from an offset on.
#[derive(Clone, Copy)]
pub struct Quantum {
    pub unit: ChainEpoch,
    pub offset: ChainEpoch,
}

impl Quantum {
    /// Divisions truncate, and what lies before the offset is rounded up by that: the network's rule.
    pub fn up(&self, epoch: ChainEpoch) -> ChainEpoch {
        let offset = self.offset % self.unit;
        let (quotient, rest) = ((epoch - offset) / self.unit, (epoch - offset) % self.unit);
        let next = if rest == 0 || epoch - offset < 0 { quotient } else { quotient + 1 };
        self.unit * next + offset
    }

    fn down(&self, epoch: ChainEpoch) -> ChainEpoch {
        let next = self.up(epoch);
        if epoch == next { next } else { next - self.unit }
    }
}

/// When the period of an epoch has begun, for a miner whose periods begin at an offset in each day.
pub fn first_period(now: ChainEpoch, offset: ChainEpoch) -> ChainEpoch {
    let place = now % PERIOD;
    now - if place >= offset { place - offset } else { PERIOD - (offset - place) }
}

/// The deadline that is open at an epoch of a period.
pub fn index_at(now: ChainEpoch, period_start: ChainEpoch) -> u64 {
    ((now - period_start) / WINDOW) as u64
}

/// One deadline of one period.
#[derive(Clone, Copy)]
pub struct Window {
    now: ChainEpoch,
    pub period_start: ChainEpoch,
    pub index: u64,
}

impl Window {
    /// The one that is open, for a miner whose periods begin a multiple of days before or after an epoch.
    pub fn open_at(now: ChainEpoch, period_start: ChainEpoch) -> Self {
        let start = Quantum { unit: PERIOD, offset: period_start }.down(now);
        Self { now, period_start: start, index: index_at(now, start) }
    }

    /// The next one of that index which has not closed yet.
    pub fn not_elapsed(&self, index: u64) -> Self {
        let window = Self { index, ..*self };
        if self.now < window.close() {
            return window;
        }
        let periods = 1 + (self.now - window.close()) / PERIOD;
        Self { period_start: window.period_start + PERIOD * periods, ..window }
    }

    fn open(&self) -> ChainEpoch {
        self.period_start + self.index as ChainEpoch * WINDOW
    }

    fn close(&self) -> ChainEpoch {
        self.open() + WINDOW
    }

    /// The last epoch in which proofs are taken.
    pub fn last(&self) -> ChainEpoch {
        self.close() - 1
    }

    pub fn has_begun(&self) -> bool {
        self.now >= self.period_start
    }

    pub fn is_too_late_for_faults(&self) -> bool {
        self.now >= self.open() - FAULT_CUTOFF
    }

    /// Sectors of a deadline expire when it closes.
    pub fn quantum(&self) -> Quantum {
        Quantum { unit: PERIOD, offset: self.last() }
    }
}

/// The rounding of expirations in a deadline of any period.
pub fn quantum_of_deadline(period_start: ChainEpoch, index: u64) -> Quantum {
    Window { now: 0, period_start, index }.quantum()
}
