//! A queue of bitfields: an AMT from epoch, rounded up, to what is due then.

use actor_runtime::ActorError;
use actor_runtime::array::{self, Array};
use cid::Cid;
use fvm_ipld_bitfield::BitField;
use fvm_shared::clock::ChainEpoch;

use crate::schedule::Quantum;
use crate::sector::bits;

/// No rounding.
pub const EXACT: Quantum = Quantum { unit: 1, offset: 0 };

pub struct Queue {
    epochs: Array<BitField>,
    quantum: Quantum,
}

impl Queue {
    pub fn load(root: &Cid, quantum: Quantum) -> Result<Self, ActorError> {
        Ok(Self { epochs: array::load(root)?, quantum })
    }

    pub fn flush(&mut self) -> Result<Cid, ActorError> {
        Ok(self.epochs.flush()?)
    }

    pub fn is_empty(&self) -> bool {
        self.epochs.count() == 0
    }

    pub fn add(&mut self, epoch: ChainEpoch, values: &BitField) -> Result<(), ActorError> {
        if values.is_empty() {
            return Ok(());
        }
        let place = place_of(self.quantum.up(epoch))?;
        let due = self.epochs.get(place)?.map_or_else(|| values.clone(), |due| due | values);
        Ok(self.epochs.set(place, due)?)
    }

    pub fn add_all(&mut self, epoch: ChainEpoch, values: &[u64]) -> Result<(), ActorError> {
        self.add(epoch, &bits(values.iter().copied())?)
    }

    /// What is due up to an epoch, by epoch.
    pub fn due(&self, until: ChainEpoch) -> Result<Vec<(ChainEpoch, BitField)>, ActorError> {
        entries_until(&self.epochs, until)
    }

    pub fn remove(&mut self, epoch: ChainEpoch) -> Result<(), ActorError> {
        self.epochs.delete(place_of(epoch)?)?;
        Ok(())
    }

    pub fn put(&mut self, epoch: ChainEpoch, values: BitField) -> Result<(), ActorError> {
        Ok(self.epochs.set(place_of(epoch)?, values)?)
    }

    /// Takes out what is due up to an epoch, all in one.
    pub fn pop(&mut self, until: ChainEpoch) -> Result<BitField, ActorError> {
        let due = self.due(until)?;
        for (epoch, _) in &due {
            self.remove(*epoch)?;
        }
        Ok(BitField::union(due.iter().map(|(_, values)| values)))
    }
}

/// The entries of an array by epoch, up to one.
pub fn entries_until<V>(epochs: &Array<V>, until: ChainEpoch) -> Result<Vec<(ChainEpoch, V)>, ActorError>
where
    V: Clone + serde::Serialize + serde::de::DeserializeOwned,
{
    let mut entries = Vec::new();
    epochs.for_each_while(|epoch, value| {
        let due = epoch as ChainEpoch <= until;
        if due {
            entries.push((epoch as ChainEpoch, value.clone()));
        }
        Ok(due)
    })?;
    Ok(entries)
}

/// An epoch as the place in an array; 20 for one before the first.
pub fn place_of(epoch: ChainEpoch) -> Result<u64, ActorError> {
    u64::try_from(epoch).map_err(|_| ActorError::illegal_state(format!("nothing can be due at epoch {epoch}")))
}
