//! Which deals lie in which sectors of which provider.

use std::collections::BTreeMap;

use actor_runtime::{ActorError, key};
use fvm_shared::ActorID;
use fvm_shared::deal::DealID;
use fvm_shared::sector::SectorNumber;

use crate::state::State;

pub type DealsBySector = BTreeMap<(ActorID, SectorNumber), Vec<DealID>>;

/// Adds deals to the sectors of one provider, each list in order and without doubles. A sector without any gets an
/// empty list.
pub fn add(state: &mut State, provider: ActorID, new: Vec<(SectorNumber, Vec<DealID>)>) -> Result<(), ActorError> {
    let mut sectors = state.load_sectors()?;
    let of_provider = sectors.under(key::unsigned(provider))?;
    for (sector, mut deals) in new {
        deals.extend(of_provider.get(&key::unsigned(sector))?.into_iter().flatten());
        deals.sort_unstable();
        deals.dedup();
        of_provider.set(key::unsigned(sector), deals)?;
    }
    state.save_sectors(sectors)
}

/// Takes whole sectors out; returns the deals that were in them.
pub fn take(
    state: &mut State,
    provider: ActorID,
    numbers: impl Iterator<Item = SectorNumber>,
) -> Result<Vec<DealID>, ActorError> {
    let mut sectors = state.load_sectors()?;
    let of_provider = sectors.under(key::unsigned(provider))?;
    let mut taken = Vec::new();
    for number in numbers {
        if let Some((_, deals)) = of_provider.delete(&key::unsigned(number))? {
            taken.extend(deals);
        }
    }
    state.save_sectors(sectors)?;
    Ok(taken)
}

/// Takes single deals out. A sector that is left without any has no entry.
pub fn remove(state: &mut State, gone: &DealsBySector) -> Result<(), ActorError> {
    if gone.is_empty() {
        return Ok(());
    }
    let mut sectors = state.load_sectors()?;
    for ((provider, sector), deals) in gone {
        let of_provider = sectors.under(key::unsigned(*provider))?;
        let Some(mut left) = of_provider.get(&key::unsigned(*sector))?.cloned() else { continue };
        left.retain(|deal| !deals.contains(deal));
        if left.is_empty() {
            of_provider.delete(&key::unsigned(*sector))?;
        } else {
            of_provider.set(key::unsigned(*sector), left)?;
        }
    }
    state.save_sectors(sectors)
}
