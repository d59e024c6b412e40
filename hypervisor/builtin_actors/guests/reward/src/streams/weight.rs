//! A stream's weight: a line over the epochs between a floor and a cap; and whether all weights together stay below one
//! whole from an epoch on.

use std::collections::BTreeSet;

use fvm_ipld_encoding::tuple::*;
use fvm_shared::clock::ChainEpoch;

use crate::streams::{DENOM, Stream};

/// `v_start` at `t_start`, `slope` more each epoch, never below `floor` or above `cap`; all of `DENOM`.
#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Weight {
    pub v_start: u64,
    pub slope: i64,
    pub t_start: ChainEpoch,
    pub floor: u64,
    pub cap: u64,
}

impl Weight {
    pub fn is_in_band(&self) -> bool {
        self.floor <= self.v_start && self.v_start <= self.cap && self.cap <= DENOM
    }

    /// The weight at an epoch, for a record in its band.
    pub fn at(&self, epoch: ChainEpoch) -> u64 {
        let epochs = i128::from(epoch) - i128::from(self.t_start);
        let line = i128::from(self.v_start) + i128::from(self.slope) * epochs;
        line.clamp(i128::from(self.floor), i128::from(self.cap)) as u64
    }

    /// The epochs from one on at which the line may bend: its start, and around where it meets its bounds.
    fn bends(&self, from: ChainEpoch) -> impl Iterator<Item = ChainEpoch> + use<> {
        let start = i128::from(self.t_start);
        let mut epochs = vec![start];
        if self.slope != 0 {
            let (ahead, behind) = if self.slope > 0 { (self.cap, self.floor) } else { (self.floor, self.cap) };
            let bounds = if from < self.t_start { vec![ahead, behind] } else { vec![ahead] };
            for bound in bounds {
                let crossing = start + (i128::from(bound) - i128::from(self.v_start)) / i128::from(self.slope);
                epochs.extend([crossing - 1, crossing, crossing + 1]);
            }
        }
        epochs.into_iter().filter_map(|epoch| ChainEpoch::try_from(epoch).ok()).filter(move |epoch| *epoch >= from)
    }
}

/// The streams' weights at an epoch; none if a record leaves its band or they are more than one whole.
pub fn weights_at(streams: &[Stream], epoch: ChainEpoch) -> Option<Vec<u64>> {
    if !streams.iter().all(|stream| stream.weight.is_in_band()) {
        return None;
    }
    let weights: Vec<u64> = streams.iter().map(|stream| stream.weight.at(epoch)).collect();
    let sum: u128 = weights.iter().copied().map(u128::from).sum();
    (sum <= u128::from(DENOM)).then_some(weights)
}

/// Whether the weights are one whole at most at every epoch from one on. Their sum is a line between any two bends.
pub fn is_valid_from(streams: &[Stream], from: ChainEpoch) -> bool {
    let mut epochs: BTreeSet<ChainEpoch> = streams.iter().flat_map(|stream| stream.weight.bends(from)).collect();
    epochs.insert(from);
    let last = epochs.last().copied().unwrap_or(from);
    epochs.extend([last.saturating_add(1), ChainEpoch::MAX]);
    streams.iter().all(|stream| stream.weight.is_in_band())
        && epochs.into_iter().all(|epoch| weights_at(streams, epoch).is_some())
}
