//! When sectors end: at the end of their life ("on time"), or early because they were faulty for too long. A queue from
//! epoch, rounded up to the end of the deadline, to the sectors of one partition.

use std::collections::{BTreeMap, BTreeSet};

use actor_runtime::ActorError;
use actor_runtime::array::{self, Array};
use cid::Cid;
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sector::{SectorNumber, SectorSize};

use crate::power::Power;
use crate::queue::{entries_until, place_of};
use crate::schedule::Quantum;
use crate::sector::{Sector, bits};

/// The sectors of an epoch. A sector can be faulty and still end on time, if it failed shortly before.
#[derive(Clone, Default, Serialize_tuple, Deserialize_tuple)]
pub struct Ending {
    pub on_time: BitField,
    pub early: BitField,
    /// Of the sectors that end on time.
    pub pledge: TokenAmount,
    pub active: Power,
    pub faulty: Power,
    /// What the deadline's daily fee is less by then. Earlier versions have none in their encoding.
    #[serde(default)]
    pub fee: TokenAmount,
}

impl Ending {
    fn is_empty(&self) -> bool {
        self.on_time.is_empty() && self.early.is_empty()
    }

    pub fn add(&mut self, other: &Ending) {
        self.on_time |= &other.on_time;
        self.early |= &other.early;
        self.pledge += &other.pledge;
        self.active += &other.active;
        self.faulty += &other.faulty;
        self.fee += &other.fee;
    }

    fn check(&self) -> Result<(), ActorError> {
        self.active.must_not_be_negative()?;
        self.faulty.must_not_be_negative()?;
        if self.pledge.is_negative() || self.fee.is_negative() {
            return Err(ActorError::illegal_state("the pledge or fee of ending sectors is negative"));
        }
        Ok(())
    }
}

/// Active sectors that stand at one epoch of the queue, and what all of that epoch are.
struct Group {
    epoch: ChainEpoch,
    all: Ending,
    selected: Ending,
}

pub struct Expirations {
    epochs: Array<Ending>,
    quantum: Quantum,
}

impl Expirations {
    pub fn load(root: &Cid, quantum: Quantum) -> Result<Self, ActorError> {
        Ok(Self { epochs: array::load(root)?, quantum })
    }

    pub fn flush(&mut self) -> Result<Cid, ActorError> {
        Ok(self.epochs.flush()?)
    }

    /// Adds active sectors, each at its expiration; the sum of them.
    #[cfg(any(feature = "development-power", feature = "v19"))]
    pub fn add_active(&mut self, sectors: &[Sector], size: SectorSize) -> Result<Ending, ActorError> {
        let mut total = Ending::default();
        for sector in sectors {
            let ending = active(&[sector], size)?;
            self.add(sector.expiration, &ending)?;
            total.add(&ending);
        }
        Ok(total)
    }

    /// Takes active sectors out, wherever they stand; the sum of them.
    #[cfg(feature = "v19")]
    pub fn remove_active(&mut self, sectors: &[Sector], size: SectorSize) -> Result<Ending, ActorError> {
        let mut total = Ending::default();
        for Group { epoch, mut all, selected } in self.find(sectors, size)? {
            all.on_time -= &selected.on_time;
            all.pledge -= &selected.pledge;
            all.active -= &selected.active;
            all.fee -= &selected.fee;
            all.check()?;
            self.put(epoch, all)?;
            total.add(&selected);
        }
        Ok(total)
    }

    /// Active sectors have become faulty: they end early at an epoch, unless they end on time before. Returns their
    /// power.
    pub fn fail(&mut self, early: ChainEpoch, sectors: &[Sector], size: SectorSize) -> Result<Power, ActorError> {
        let limit = self.quantum.up(early);
        let (mut power, mut moved) = (Power::default(), Ending::default());
        for Group { epoch, mut all, selected } in self.find(sectors, size)? {
            all.active -= &selected.active;
            if epoch <= limit {
                all.faulty += &selected.active;
            } else {
                all.on_time -= &selected.on_time;
                all.pledge -= &selected.pledge;
                all.fee -= &selected.fee;
                moved.early |= &selected.on_time;
                moved.faulty += &selected.active;
                moved.fee += &selected.fee;
            }
            power += &selected.active;
            all.check()?;
            self.put(epoch, all)?;
        }
        if !moved.is_empty() {
            self.add(early, &moved)?;
        }
        Ok(power)
    }

    /// The same for all sectors of the queue, faulty ones included.
    pub fn fail_all(&mut self, early: ChainEpoch) -> Result<(), ActorError> {
        let limit = self.quantum.up(early);
        let (mut moved, mut emptied) = (Ending::default(), Vec::new());
        for (epoch, mut ending) in entries_until(&self.epochs, ChainEpoch::MAX)? {
            if epoch <= limit {
                ending.faulty += &std::mem::take(&mut ending.active);
                self.put(epoch, ending)?;
            } else if ending.early.is_empty() {
                moved.early |= &ending.on_time;
                moved.faulty += &ending.active;
                moved.faulty += &ending.faulty;
                moved.fee += &ending.fee;
                emptied.push(epoch);
            } else {
                return Err(ActorError::illegal_state("a faulty sector ends later than faults are suffered"));
            }
        }
        if !emptied.is_empty() {
            self.add(early, &moved)?;
        }
        for epoch in emptied {
            self.epochs.delete(place_of(epoch)?)?;
        }
        Ok(())
    }

    /// Takes out all that ends up to an epoch.
    pub fn pop(&mut self, until: ChainEpoch) -> Result<Ending, ActorError> {
        let mut total = Ending::default();
        for (epoch, ending) in entries_until(&self.epochs, until)? {
            self.epochs.delete(place_of(epoch)?)?;
            total.add(&ending);
        }
        Ok(total)
    }

    fn at(&self, epoch: ChainEpoch) -> Result<Ending, ActorError> {
        Ok(self.epochs.get(place_of(epoch)?)?.cloned().unwrap_or_default())
    }

    fn add(&mut self, epoch: ChainEpoch, more: &Ending) -> Result<(), ActorError> {
        let epoch = self.quantum.up(epoch);
        let mut ending = self.at(epoch)?;
        ending.add(more);
        ending.check()?;
        Ok(self.epochs.set(place_of(epoch)?, ending)?)
    }

    fn put(&mut self, epoch: ChainEpoch, ending: Ending) -> Result<(), ActorError> {
        if ending.is_empty() {
            self.epochs.delete(place_of(epoch)?)?;
        } else {
            self.epochs.set(place_of(epoch)?, ending)?;
        }
        Ok(())
    }

    /// Where active sectors stand: at their own expirations, or where they were moved to. By epoch.
    fn find(&self, sectors: &[Sector], size: SectorSize) -> Result<Vec<Group>, ActorError> {
        let mut left: BTreeMap<SectorNumber, &Sector> = sectors.iter().map(|sector| (sector.number, sector)).collect();
        let own: BTreeSet<ChainEpoch> = sectors.iter().map(|sector| self.quantum.up(sector.expiration)).collect();
        let mut groups = Vec::new();
        for epoch in &own {
            groups.extend(take_group(*epoch, self.at(*epoch)?, &mut left, size)?);
        }
        if !left.is_empty() {
            for (epoch, ending) in entries_until(&self.epochs, ChainEpoch::MAX)? {
                if left.is_empty() {
                    break;
                }
                if own.contains(&epoch) {
                    continue;
                }
                if ending.early.iter().any(|number| left.contains_key(&number)) {
                    return Err(ActorError::illegal_state("an active sector ends early"));
                }
                groups.extend(take_group(epoch, ending, &mut left, size)?);
            }
        }
        if !left.is_empty() {
            return Err(ActorError::illegal_state("a sector has no end"));
        }
        groups.sort_by_key(|group| group.epoch);
        Ok(groups)
    }
}

/// Takes the sectors that end on time at an epoch out of those that are looked for; none if there is none of them.
fn take_group(
    epoch: ChainEpoch,
    all: Ending,
    left: &mut BTreeMap<SectorNumber, &Sector>,
    size: SectorSize,
) -> Result<Option<Group>, ActorError> {
    let found: Vec<&Sector> = all.on_time.iter().filter_map(|number| left.remove(&number)).collect();
    if found.is_empty() {
        return Ok(None);
    }
    Ok(Some(Group { epoch, all, selected: active(&found, size)? }))
}

/// Active sectors that end on time.
fn active(sectors: &[&Sector], size: SectorSize) -> Result<Ending, ActorError> {
    let mut sum = Ending { on_time: bits(sectors.iter().map(|sector| sector.number))?, ..Ending::default() };
    for sector in sectors {
        sum.pledge += &sector.pledge;
        sum.active += &sector.power(size);
        sum.fee += &sector.daily_fee;
    }
    Ok(sum)
}
