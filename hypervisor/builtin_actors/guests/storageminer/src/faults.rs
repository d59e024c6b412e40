//! Faults that a miner declares, before the sectors are due for a proof.

use std::collections::BTreeMap;

use actor_runtime::{ActorError, Call, Reply, params};
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;

use crate::network::update_power;
use crate::power::Power;
use crate::schedule::{DEADLINES, LONGEST_FAULT, Window};
use crate::state::State;

/// Of one message.
const MOST_PARTITIONS: usize = 3000;
const MOST_SECTORS: u64 = 25_000;

#[derive(Deserialize_tuple)]
struct DeclareParams {
    faults: Vec<Declaration>,
}

#[derive(Deserialize_tuple)]
struct Declaration {
    deadline: u64,
    partition: u64,
    sectors: BitField,
}

/// By deadline, then by partition.
type Declared = BTreeMap<u64, BTreeMap<u64, BitField>>;

/// The power of faulty sectors is lost at once; what they cost is taken when the deadline closes.
pub fn declare(call: Call) -> Reply {
    let DeclareParams { faults } = call.params.decode()?;
    let declared = sort(faults)?;
    let mut state = State::load()?;
    let info = state.load_info()?;
    info.caller_must_control()?;
    let mut deadlines = state.load_deadlines()?;
    let sectors = state.load_sectors()?;
    let now = Window::open_at(fvm_sdk::network::curr_epoch(), state.period_start);
    let mut lost = Power::default();
    for (index, partitions) in &declared {
        let window = now.not_elapsed(*index);
        if window.is_too_late_for_faults() {
            return Err(ActorError::illegal_argument(format!("it is too late for faults in deadline {index}")));
        }
        let mut deadline = deadlines.load(*index)?;
        let faults = partitions.iter().map(|(place, numbers)| (*place, numbers));
        let early = window.last() + LONGEST_FAULT;
        lost += &deadline.declare_faults(faults, &sectors, info.sector_size, early, window.quantum())?;
        deadlines.save(*index, &deadline)?;
    }
    state.save_deadlines(&deadlines)?;
    state.save()?;
    update_power(&-lost)?;
    params::done()
}

fn sort(faults: Vec<Declaration>) -> Result<Declared, ActorError> {
    let mut declared = Declared::new();
    for Declaration { deadline, partition, sectors } in faults {
        if deadline >= DEADLINES {
            return Err(ActorError::illegal_argument(format!("there is no deadline {deadline}")));
        }
        *declared.entry(deadline).or_default().entry(partition).or_default() |= &sectors;
    }
    let partitions: usize = declared.values().map(BTreeMap::len).sum();
    let counts = declared.values().flat_map(BTreeMap::values).map(BitField::len);
    let sectors = counts.fold(0u64, u64::saturating_add);
    if partitions > MOST_PARTITIONS || sectors > MOST_SECTORS {
        return Err(ActorError::illegal_argument("too many sectors for one message"));
    }
    Ok(declared)
}
