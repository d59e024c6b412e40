//! Deadlines: the partitions that are proven in one window of each day.

use actor_runtime::array::{self, Array};
use actor_runtime::{ActorError, store};
use cid::Cid;
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sector::SectorSize;

use crate::expiration::Ending;
use crate::partition::Partition;
use crate::power::Power;
use crate::queue::Queue;
use crate::schedule::{DEADLINES, Quantum};
use crate::sector::{SECTORS_BIT_WIDTH, Sectors, bits};

const PARTITIONS_BIT_WIDTH: u32 = 3;
const EXPIRATIONS_BIT_WIDTH: u32 = 5;
const PROOFS_BIT_WIDTH: u32 = 2;

/// Sectors that have ended early, by the epoch in which they have.
pub type Terminations = Vec<(ChainEpoch, BitField)>;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct Deadlines {
    due: Vec<Cid>,
}

impl Deadlines {
    pub fn empty() -> Result<Self, ActorError> {
        Ok(Self { due: vec![store::put_object(&Deadline::empty()?)?; DEADLINES as usize] })
    }

    /// 16 for an index that there is not.
    pub fn load(&self, index: u64) -> Result<Deadline, ActorError> {
        let root = usize::try_from(index).ok().and_then(|index| self.due.get(index));
        let root = root.ok_or_else(|| ActorError::illegal_argument(format!("there is no deadline {index}")))?;
        store::get_object(root)
    }

    pub fn save(&mut self, index: u64, deadline: &Deadline) -> Result<(), ActorError> {
        deadline.check()?;
        self.due[index as usize] = store::put_object(deadline)?;
        Ok(())
    }

    /// Where a sector is: deadline and partition.
    pub fn find(&self, sector: u64) -> Result<Option<(u64, u64)>, ActorError> {
        for index in 0..self.due.len() as u64 {
            let partitions = self.load(index)?.load_partitions()?;
            let mut found = None;
            partitions.for_each_while(|place, partition| {
                found = partition.sectors.get(sector).then_some((index, place));
                Ok(found.is_none())
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct Deadline {
    partitions: Cid,
    /// AMT from epoch to partitions that may have sectors which end then.
    expirations: Cid,
    /// Partitions that are proven in the open window.
    pub posted: BitField,
    /// Partitions with sectors that have ended early and are not paid for yet.
    early: BitField,
    live_sectors: u64,
    total_sectors: u64,
    pub faulty_power: Power,
    /// Proofs that were taken unseen and can be disputed, and what they spoke of.
    proofs: Cid,
    sectors_snapshot: Cid,
    partitions_snapshot: Cid,
    proofs_snapshot: Cid,
    /// Of all that are not terminated.
    pub live_power: Power,
    /// AttoFIL that all its sectors cost.
    pub daily_fee: TokenAmount,
}

impl Deadline {
    fn empty() -> Result<Self, ActorError> {
        let partitions = array::empty::<Partition>(PARTITIONS_BIT_WIDTH).flush()?;
        let proofs = no_proofs()?;
        Ok(Self {
            partitions,
            expirations: array::empty::<BitField>(EXPIRATIONS_BIT_WIDTH).flush()?,
            posted: BitField::new(),
            early: BitField::new(),
            live_sectors: 0,
            total_sectors: 0,
            faulty_power: Power::default(),
            proofs,
            sectors_snapshot: no_sectors()?,
            partitions_snapshot: partitions,
            proofs_snapshot: proofs,
            live_power: Power::default(),
            daily_fee: TokenAmount::default(),
        })
    }

    pub fn load_partitions(&self) -> Result<Array<Partition>, ActorError> {
        array::load(&self.partitions)
    }

    /// 17 for a partition that there is not.
    pub fn load_partition(&self, index: u64) -> Result<Partition, ActorError> {
        get(&self.load_partitions()?, index)
    }

    /// Whether the end of the window changes anything.
    pub fn is_live(&self) -> bool {
        self.live_sectors > 0
            || !self.posted.is_empty()
            || self.partitions != self.partitions_snapshot
            || self.proofs != self.proofs_snapshot
    }

    /// Adds new sectors as if they were proven already, to partitions of so many sectors.
    #[cfg(feature = "development-power")]
    pub fn add(
        &mut self,
        mut sectors: &[crate::sector::Sector],
        partition_sectors: u64,
        size: SectorSize,
        quantum: Quantum,
    ) -> Result<(), ActorError> {
        let mut partitions = self.load_partitions()?;
        let mut expirations = Queue::load(&self.expirations, quantum)?;
        let mut index = partitions.count().saturating_sub(1);
        while !sectors.is_empty() {
            let mut partition = match partitions.get(index)? {
                Some(partition) => partition.clone(),
                None => Partition::empty()?,
            };
            let room = partition_sectors.saturating_sub(partition.sectors.len()) as usize;
            let (now, later) = sectors.split_at(room.min(sectors.len()));
            if !now.is_empty() {
                let added = partition.add(now, size, quantum)?;
                self.live_sectors += now.len() as u64;
                self.total_sectors += now.len() as u64;
                self.live_power += &added.active;
                self.daily_fee += &added.fee;
                for sector in now {
                    expirations.add_all(sector.expiration, &[index])?;
                }
                partitions.set(index, partition)?;
            }
            (sectors, index) = (later, index + 1);
        }
        self.partitions = partitions.flush()?;
        self.expirations = expirations.flush()?;
        Ok(())
    }

    /// Puts active sectors of a partition in the place of what they were, as `Partition::replace` does.
    #[cfg(feature = "v19")]
    pub fn replace(
        &mut self,
        index: u64,
        old: &[crate::sector::Sector],
        new: &[crate::sector::Sector],
        size: SectorSize,
        quantum: Quantum,
    ) -> Result<(Ending, Ending), ActorError> {
        let mut partitions = self.load_partitions()?;
        let found = partitions.get(index)?.cloned();
        let mut partition =
            found.ok_or_else(|| ActorError::illegal_argument(format!("there is no partition {index}")))?;
        let (removed, added) = partition.replace(old, new, size, quantum)?;
        partitions.set(index, partition)?;
        self.partitions = partitions.flush()?;
        let mut expirations = Queue::load(&self.expirations, quantum)?;
        for sector in new {
            expirations.add_all(sector.expiration, &[index])?;
        }
        self.expirations = expirations.flush()?;
        self.live_power -= &removed.active;
        self.live_power += &added.active;
        self.daily_fee -= &removed.fee;
        self.daily_fee += &added.fee;
        Ok((removed, added))
    }

    /// Marks sectors of some partitions as faulty until they end early; returns the power that the miner loses.
    pub fn declare_faults<'a>(
        &mut self,
        declared: impl Iterator<Item = (u64, &'a BitField)>,
        sectors: &Sectors,
        size: SectorSize,
        early: ChainEpoch,
        quantum: Quantum,
    ) -> Result<Power, ActorError> {
        let mut partitions = self.load_partitions()?;
        let (mut lost, mut changed) = (Power::default(), Vec::new());
        for (index, numbers) in declared {
            let mut partition = get(&partitions, index)?;
            let (new, failed) = partition.declare_faults(numbers, sectors, size, early, quantum)?;
            self.faulty_power += &failed.faulty;
            lost += &failed.lost;
            if !new.is_empty() {
                changed.push(index);
            }
            partitions.set(index, partition)?;
        }
        self.partitions = partitions.flush()?;
        self.expect_end_of(&changed, early, quantum)?;
        Ok(lost)
    }

    fn expect_end_of(&mut self, partitions: &[u64], epoch: ChainEpoch, quantum: Quantum) -> Result<(), ActorError> {
        if partitions.is_empty() {
            return Ok(());
        }
        let mut expirations = Queue::load(&self.expirations, quantum)?;
        expirations.add_all(epoch, partitions)?;
        self.expirations = expirations.flush()?;
        Ok(())
    }

    /// The window has closed: partitions without a proof are faulty. Returns the power that the miner loses.
    pub fn close(&mut self, sectors: Cid, early: ChainEpoch, quantum: Quantum) -> Result<Power, ActorError> {
        let mut partitions = self.load_partitions()?;
        let (mut lost, mut failing) = (Power::default(), Vec::new());
        for index in 0..partitions.count() {
            if self.posted.get(index) {
                continue;
            }
            let found = partitions.get(index)?.cloned();
            let mut partition = found.ok_or_else(|| ActorError::illegal_state(format!("no partition {index}")))?;
            if partition.recovering_power.is_zero() && partition.faulty_power == partition.live_power {
                continue;
            }
            let failed = partition.miss_proof(early, quantum)?;
            partitions.set(index, partition)?;
            if !failed.faulty.is_zero() {
                failing.push(index);
            }
            self.faulty_power += &failed.faulty;
            lost += &failed.lost;
        }
        self.partitions = partitions.flush()?;
        self.expect_end_of(&failing, early, quantum)?;
        self.keep_for_disputes(sectors)?;
        Ok(lost)
    }

    fn keep_for_disputes(&mut self, sectors: Cid) -> Result<(), ActorError> {
        self.posted = BitField::new();
        self.partitions_snapshot = self.partitions;
        self.proofs_snapshot = std::mem::replace(&mut self.proofs, no_proofs()?);
        self.sectors_snapshot = if self.proofs == self.proofs_snapshot { no_sectors()? } else { sectors };
        Ok(())
    }

    /// Terminates the sectors that end up to an epoch.
    pub fn expire(&mut self, until: ChainEpoch, quantum: Quantum) -> Result<Ending, ActorError> {
        let mut queue = Queue::load(&self.expirations, quantum)?;
        let due = queue.pop(until)?;
        let mut total = Ending::default();
        if due.is_empty() {
            return Ok(total);
        }
        self.expirations = queue.flush()?;
        let mut partitions = self.load_partitions()?;
        for index in due.iter() {
            let found = partitions.get(index)?.cloned();
            let mut partition = found.ok_or_else(|| ActorError::illegal_state(format!("no partition {index}")))?;
            let ended = partition.expire(until, quantum)?;
            partitions.set(index, partition)?;
            if !ended.early.is_empty() {
                self.early |= &bits([index])?;
            }
            total.add(&ended);
        }
        self.partitions = partitions.flush()?;
        self.live_sectors -= total.on_time.len() + total.early.len();
        self.faulty_power -= &total.faulty;
        self.live_power -= &total.faulty;
        self.live_power -= &total.active;
        self.daily_fee -= &total.fee;
        Ok(total)
    }

    /// Takes out sectors that have ended early, of at most so many partitions and sectors; what is left of both numbers
    /// stays in them. Returns the sectors, and whether there are more.
    pub fn take_early(
        &mut self,
        partitions_left: &mut u64,
        sectors_left: &mut u64,
    ) -> Result<(Terminations, bool), ActorError> {
        let mut partitions = self.load_partitions()?;
        let (mut taken, mut done) = (Vec::new(), Vec::new());
        for index in self.early.iter() {
            let Some(mut partition) = partitions.get(index)?.cloned() else {
                done.push(index);
                continue;
            };
            let (ended, more) = partition.take_early(*sectors_left)?;
            *partitions_left -= 1;
            *sectors_left -= ended.iter().map(|(_, numbers)| numbers.len()).sum::<u64>();
            taken.extend(ended);
            if !more {
                done.push(index);
            }
            partitions.set(index, partition)?;
            if *partitions_left == 0 || *sectors_left == 0 {
                break;
            }
        }
        self.early -= &bits(done)?;
        self.partitions = partitions.flush()?;
        Ok((taken, !self.early.is_empty()))
    }

    fn check(&self) -> Result<(), ActorError> {
        self.faulty_power.must_not_be_negative()?;
        if self.live_sectors > self.total_sectors {
            return Err(ActorError::illegal_state("a deadline has more live sectors than sectors"));
        }
        Ok(())
    }
}

fn get(partitions: &Array<Partition>, index: u64) -> Result<Partition, ActorError> {
    partitions.get(index)?.cloned().ok_or_else(|| ActorError::not_found(format!("there is no partition {index}")))
}

fn no_proofs() -> Result<Cid, ActorError> {
    Ok(array::empty::<()>(PROOFS_BIT_WIDTH).flush()?)
}

fn no_sectors() -> Result<Cid, ActorError> {
    Ok(array::empty::<()>(SECTORS_BIT_WIDTH).flush()?)
}
