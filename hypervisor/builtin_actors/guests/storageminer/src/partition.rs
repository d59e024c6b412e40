//! Partitions: as many sectors as one proof speaks for.

use actor_runtime::{ActorError, array};
use cid::Cid;
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::sector::SectorSize;

use crate::expiration::{Ending, Expirations};
use crate::power::Power;
use crate::queue::{EXACT, Queue};
use crate::schedule::Quantum;
use crate::sector::{Sector, Sectors, bits};

const EXPIRATIONS_BIT_WIDTH: u32 = 4;
const EARLY_BIT_WIDTH: u32 = 3;

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Partition {
    /// All that were ever put here.
    pub sectors: BitField,
    /// Not proven yet; they have no power.
    pub unproven: BitField,
    pub faults: BitField,
    /// Faulty ones that are promised to be proven next.
    pub recoveries: BitField,
    pub terminated: BitField,
    expirations: Cid,
    /// AMT from epoch to the sectors that ended early then and are not paid for yet.
    early: Cid,
    /// Of all that are not terminated, faulty ones included.
    pub live_power: Power,
    unproven_power: Power,
    pub faulty_power: Power,
    pub recovering_power: Power,
}

/// What new faults are: the power that the miner loses, and the power that is faulty now.
pub struct Failed {
    pub lost: Power,
    pub faulty: Power,
}

impl Partition {
    #[cfg(feature = "development-power")]
    pub fn empty() -> Result<Self, ActorError> {
        Ok(Self {
            sectors: BitField::new(),
            unproven: BitField::new(),
            faults: BitField::new(),
            recoveries: BitField::new(),
            terminated: BitField::new(),
            expirations: array::empty::<Ending>(EXPIRATIONS_BIT_WIDTH).flush()?,
            early: array::empty::<BitField>(EARLY_BIT_WIDTH).flush()?,
            live_power: Power::default(),
            unproven_power: Power::default(),
            faulty_power: Power::default(),
            recovering_power: Power::default(),
        })
    }

    /// Adds new sectors as if they were proven already.
    #[cfg(feature = "development-power")]
    pub fn add(&mut self, sectors: &[Sector], size: SectorSize, quantum: Quantum) -> Result<Ending, ActorError> {
        let mut expirations = Expirations::load(&self.expirations, quantum)?;
        let added = expirations.add_active(sectors, size)?;
        self.expirations = expirations.flush()?;
        self.sectors |= &added.on_time;
        self.live_power += &added.active;
        self.check()?;
        Ok(added)
    }

    /// Puts active sectors in the place of what they were; what was taken out, and what was put in. 16 for a sector that
    /// is not here or not active.
    #[cfg(feature = "v19")]
    pub fn replace(
        &mut self,
        old: &[Sector],
        new: &[Sector],
        size: SectorSize,
        quantum: Quantum,
    ) -> Result<(Ending, Ending), ActorError> {
        let numbers = bits(old.iter().map(|sector| sector.number))?;
        let active = &(&(&self.sectors - &self.terminated) - &self.faults) - &self.unproven;
        if !active.contains_all(&numbers) {
            return Err(ActorError::illegal_argument("a sector is not in its partition, or it is not active"));
        }
        let mut expirations = Expirations::load(&self.expirations, quantum)?;
        let removed = expirations.remove_active(old, size)?;
        let added = expirations.add_active(new, size)?;
        self.expirations = expirations.flush()?;
        self.live_power -= &removed.active;
        self.live_power += &added.active;
        self.check()?;
        Ok((removed, added))
    }

    /// Marks sectors as faulty, but for those that are so or terminated; promised recoveries are taken back. Returns the
    /// new faults, and what they are.
    pub fn declare_faults(
        &mut self,
        declared: &BitField,
        sectors: &Sectors,
        size: SectorSize,
        early: ChainEpoch,
        quantum: Quantum,
    ) -> Result<(BitField, Failed), ActorError> {
        if !self.sectors.contains_all(declared) {
            return Err(ActorError::illegal_argument("a sector is not in its partition"));
        }
        let retracted = &self.recoveries & declared;
        let new = &(&(declared - &retracted) - &self.terminated) - &self.faults;
        let failed = self.fail(&new, &sectors.select(&new)?, size, early, quantum)?;
        self.recoveries -= &retracted;
        for sector in sectors.select(&retracted)? {
            self.recovering_power -= &sector.power(size);
        }
        self.check()?;
        Ok((new, failed))
    }

    fn fail(
        &mut self,
        numbers: &BitField,
        sectors: &[Sector],
        size: SectorSize,
        early: ChainEpoch,
        quantum: Quantum,
    ) -> Result<Failed, ActorError> {
        if sectors.is_empty() {
            return Ok(Failed { lost: Power::default(), faulty: Power::default() });
        }
        let mut expirations = Expirations::load(&self.expirations, quantum)?;
        let faulty = expirations.fail(early, sectors, size)?;
        self.expirations = expirations.flush()?;
        self.faults |= numbers;
        self.faulty_power += &faulty;
        let mut lost = faulty.clone();
        for sector in sectors.iter().filter(|sector| self.unproven.get(sector.number)) {
            self.unproven_power -= &sector.power(size);
            lost -= &sector.power(size);
        }
        self.unproven -= numbers;
        self.check()?;
        Ok(Failed { lost, faulty })
    }

    /// There was no proof: all sectors are faulty.
    pub fn miss_proof(&mut self, early: ChainEpoch, quantum: Quantum) -> Result<Failed, ActorError> {
        let mut expirations = Expirations::load(&self.expirations, quantum)?;
        expirations.fail_all(early)?;
        self.expirations = expirations.flush()?;
        let mut faulty = self.live_power.clone();
        faulty -= &self.faulty_power;
        let mut lost = faulty.clone();
        lost -= &std::mem::take(&mut self.unproven_power);
        self.faults = &self.sectors - &self.terminated;
        self.recoveries = BitField::new();
        self.unproven = BitField::new();
        self.faulty_power = self.live_power.clone();
        self.recovering_power = Power::default();
        self.check()?;
        Ok(Failed { lost, faulty })
    }

    /// Terminates the sectors that end up to an epoch.
    pub fn expire(&mut self, until: ChainEpoch, quantum: Quantum) -> Result<Ending, ActorError> {
        if !self.unproven.is_empty() || !self.recoveries.is_empty() || !self.recovering_power.is_zero() {
            return Err(ActorError::illegal_state("sectors can only expire when all are proven or faulty"));
        }
        let mut expirations = Expirations::load(&self.expirations, quantum)?;
        let ended = expirations.pop(until)?;
        self.expirations = expirations.flush()?;
        let all = &ended.on_time | &ended.early;
        if self.terminated.contains_any(&all) {
            return Err(ActorError::illegal_state("a sector ends twice"));
        }
        self.terminated |= &all;
        self.faults -= &all;
        self.live_power -= &ended.active;
        self.live_power -= &ended.faulty;
        self.faulty_power -= &ended.faulty;
        let mut queue = Queue::load(&self.early, EXACT)?;
        queue.add(until, &ended.early)?;
        self.early = queue.flush()?;
        self.check()?;
        Ok(ended)
    }

    /// Takes out sectors that have ended early, by epoch and at most so many; and whether there are more.
    pub fn take_early(&mut self, mut most: u64) -> Result<(Vec<(ChainEpoch, BitField)>, bool), ActorError> {
        let mut queue = Queue::load(&self.early, EXACT)?;
        let mut taken = Vec::new();
        for (epoch, numbers) in queue.due(ChainEpoch::MAX)? {
            if most == 0 {
                break;
            }
            if numbers.len() <= most {
                most -= numbers.len();
                queue.remove(epoch)?;
                taken.push((epoch, numbers));
            } else {
                let first = bits(numbers.iter().take(most as usize))?;
                most = 0;
                queue.put(epoch, &numbers - &first)?;
                taken.push((epoch, first));
            }
        }
        self.early = queue.flush()?;
        Ok((taken, !queue.is_empty()))
    }

    /// The rules that no method may break.
    fn check(&self) -> Result<(), ActorError> {
        for power in [&self.live_power, &self.unproven_power, &self.faulty_power, &self.recovering_power] {
            power.must_not_be_negative()?;
        }
        let failing = &self.unproven | &self.faults;
        let known = &failing | &self.terminated;
        let fits = self.unproven_power.raw <= self.live_power.raw
            && self.faulty_power.raw <= self.live_power.raw
            && self.recovering_power.raw <= self.faulty_power.raw
            && !self.terminated.contains_any(&failing)
            && self.sectors.contains_all(&known)
            && self.faults.contains_all(&self.recoveries);
        if fits { Ok(()) } else { Err(ActorError::illegal_state("a partition contradicts itself")) }
    }
}
