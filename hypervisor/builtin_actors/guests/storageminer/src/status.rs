//! Where a sector is and how it is (FIP-0112): a search for outside the chain, and a cheap check of what it found.

use actor_runtime::{ActorError, Call, Reply, params};
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{from_slice, strict_bytes, to_vec};
use fvm_shared::sector::SectorNumber;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::partition::Partition;
use crate::sector::not_found;
use crate::state::State;

/// Deadline and partition of a sector that is nowhere.
const NOWHERE: i64 = -1;

const LARGEST_SECTOR_NUMBER: SectorNumber = i64::MAX as SectorNumber;

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum Status {
    /// Terminated, or never there.
    Dead = 0,
    Active = 1,
    Faulty = 2,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Self::Dead),
            1 => Ok(Self::Active),
            2 => Ok(Self::Faulty),
            other => Err(de::Error::custom(format!("there is no status {other}"))),
        }
    }
}

#[derive(Serialize_tuple, Deserialize_tuple)]
struct Location {
    deadline: i64,
    partition: i64,
}

#[derive(Deserialize_tuple)]
struct SectorParams {
    sector: SectorNumber,
}

#[derive(Serialize_tuple)]
struct LocationReturn {
    status: Status,
    /// A location in CBOR.
    #[serde(with = "strict_bytes")]
    location: Vec<u8>,
}

#[derive(Deserialize_tuple)]
struct ValidateParams {
    sector: SectorNumber,
    status: Status,
    #[serde(with = "strict_bytes")]
    location: Vec<u8>,
}

/// Searches all deadlines: not meant for the chain.
pub fn generate_location(call: Call) -> Reply {
    let SectorParams { sector } = call.params.decode()?;
    let state = State::load()?;
    if state.load_sectors()?.get(sector)?.is_none() {
        return located(Status::Dead, NOWHERE, NOWHERE);
    }
    let deadlines = state.load_deadlines()?;
    let found = deadlines.find(sector)?;
    let (index, place) = found.ok_or_else(|| ActorError::illegal_state(format!("sector {sector} is nowhere")))?;
    let partition = deadlines.load(index)?.load_partition(place)?;
    located(status_in(&partition, sector), index as i64, place as i64)
}

fn located(status: Status, deadline: i64, partition: i64) -> Reply {
    params::reply(&LocationReturn { status, location: to_vec(&Location { deadline, partition })? })
}

fn status_in(partition: &Partition, sector: SectorNumber) -> Status {
    if partition.terminated.get(sector) {
        Status::Dead
    } else if partition.faults.get(sector) {
        Status::Faulty
    } else {
        Status::Active
    }
}

/// Whether a sector has a status, given where it is; 17 if it is not there.
pub fn validate(call: Call) -> Reply {
    let ValidateParams { sector, status, location } = call.params.decode()?;
    let state = State::load()?;
    let location = from_slice::<Location>(&location);
    let Location { deadline, partition } =
        location.map_err(|error| ActorError::illegal_argument(format!("no location of a sector: {error}")))?;
    if (deadline == NOWHERE) != (partition == NOWHERE) {
        return Err(ActorError::illegal_argument("a sector is in a deadline and a partition, or nowhere"));
    }
    if deadline == NOWHERE {
        return match state.load_sectors()?.get(sector)? {
            None => params::reply(&(status == Status::Dead)),
            Some(_) => Err(ActorError::not_found(format!("sector {sector} is somewhere"))),
        };
    }
    let partition = state.load_deadlines()?.load(deadline as u64)?.load_partition(partition as u64)?;
    if !partition.sectors.get(sector) {
        return Err(not_found(sector));
    }
    params::reply(&(status_in(&partition, sector) == status))
}

/// The epoch that a sector is committed to. Parameters: its number, bare.
pub fn nominal_expiration(call: Call) -> Reply {
    let sector: SectorNumber = call.params.decode()?;
    let sectors = State::load()?.load_sectors()?;
    let found = sectors.get(sector)?.ok_or_else(|| not_found(sector))?;
    params::reply(&found.expiration)
}

/// Succeeds for a sector that was proven, and not compacted away since.
pub fn check_proven(call: Call) -> Reply {
    let SectorParams { sector } = call.params.decode()?;
    if sector > LARGEST_SECTOR_NUMBER {
        return Err(ActorError::illegal_argument("there are no sectors with such numbers"));
    }
    match State::load()?.load_sectors()?.get(sector)? {
        Some(_) => params::done(),
        None => Err(not_found(sector)),
    }
}
