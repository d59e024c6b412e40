//! Sectors from before v19 that are upgraded to count tenfold, and extended where that is wanted (FIP-0118).
//!
//! A sector keeps its data's weights, which no longer decide its power. It binds what a tenfold one would bind now, if
//! that is more than it has bound, and its daily fee grows with its power.

use actor_runtime::policy::{DAY, YEAR};
use actor_runtime::{ActorError, Call, Reply, params};
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sector::SectorSize;

use crate::economy::{Network, daily_fee, initial_pledge};
use crate::network::{ask, burn, update_pledge, update_power};
use crate::power::Power;
use crate::schedule::{DEADLINES, quantum_of_deadline};
use crate::sector::{NEW_FLAGS, Sector, full_quality_power};
use crate::state::State;

/// How far from now a sector can be extended, and how old it can become.
const LONGEST_EXTENSION: ChainEpoch = 1278 * DAY;
const LONGEST_LIFE: ChainEpoch = 5 * YEAR;

#[derive(Deserialize_tuple)]
struct UpgradeParams {
    upgrades: Vec<Upgrade>,
}

#[derive(Deserialize_tuple)]
struct Upgrade {
    deadline: u64,
    partition: u64,
    sectors: BitField,
    /// None: the sectors end when they do.
    expiration: Option<ChainEpoch>,
}

/// Upgrades the declared sectors in order: all of them, or none.
pub fn upgrade(call: Call) -> Reply {
    let UpgradeParams { upgrades } = call.params.decode()?;
    if upgrades.is_empty() {
        return Err(ActorError::illegal_argument("there is nothing to upgrade"));
    }
    if let Some(wrong) = upgrades.iter().find(|upgrade| upgrade.deadline >= DEADLINES) {
        return Err(ActorError::illegal_argument(format!("there is no deadline {}", wrong.deadline)));
    }
    let network = ask()?;
    let mut state = State::load()?;
    let info = state.load_info()?;
    info.caller_must_control()?;
    let balance = fvm_sdk::sself::current_balance();
    let debt = state.repay_all(&balance)?;

    let (mut power, mut pledge) = (Power::default(), TokenAmount::default());
    let mut deadlines = state.load_deadlines()?;
    for Upgrade { deadline: index, partition, sectors, expiration } in upgrades {
        let mut all = state.load_sectors()?;
        let old = all.select(&sectors).map_err(|error| ActorError::illegal_argument(error.message))?;
        let upgraded = old.iter().map(|sector| improved(sector, expiration, info.sector_size, &network));
        let new = upgraded.collect::<Result<Vec<_>, _>>()?;
        let mut deadline = deadlines.load(index)?;
        let quantum = quantum_of_deadline(state.period_start, index);
        let (removed, added) = deadline.replace(partition, &old, &new, info.sector_size, quantum)?;
        deadlines.save(index, &deadline)?;
        state.sectors = all.add(&new)?;
        power += &added.active;
        power -= &removed.active;
        pledge += added.pledge - removed.pledge;
    }
    state.save_deadlines(&deadlines)?;
    let unlocked = state.unlocked(&(balance - &debt))?;
    if unlocked < pledge {
        return Err(ActorError::insufficient_funds(format!("the upgrade takes {pledge} FIL, {unlocked} are free")));
    }
    state.add_pledge(&pledge)?;
    state.save()?;
    burn(debt)?;
    update_power(&power)?;
    update_pledge(&pledge)?;
    State::load()?.check_balance()?;
    params::done()
}

/// The sector as it is afterwards; the same to the byte if it counts tenfold already and is not extended.
fn improved(
    sector: &Sector,
    expiration: Option<ChainEpoch>,
    size: SectorSize,
    network: &Network,
) -> Result<Sector, ActorError> {
    let mut new = sector.clone();
    if !sector.is_of_full_quality() {
        let before = sector.power(size).quality;
        let full = full_quality_power(size);
        new.flags |= NEW_FLAGS;
        new.pledge = initial_pledge(network, &full).max(sector.pledge.clone());
        new.daily_fee = if sector.daily_fee.is_positive() {
            TokenAmount::from_atto(sector.daily_fee.atto() * &full / before)
        } else {
            daily_fee(&network.supply, &full)
        };
        (new.day_reward, new.storage_pledge, new.replaced_day_reward) = (None, None, None);
    }
    if let Some(expiration) = expiration {
        extend(&mut new, expiration)?;
    }
    Ok(new)
}

/// As method 32 of the network's miners extends: the weights keep their ratio to the sector's time.
fn extend(sector: &mut Sector, expiration: ChainEpoch) -> Result<(), ActorError> {
    let now = fvm_sdk::network::curr_epoch();
    if sector.expiration < now {
        return Err(ActorError::forbidden(format!(
            "sector {} has ended in epoch {}",
            sector.number, sector.expiration
        )));
    }
    let allowed = expiration > sector.expiration
        && expiration > now
        && expiration - now <= LONGEST_EXTENSION
        && expiration - sector.activation <= LONGEST_LIFE;
    if !allowed {
        return Err(ActorError::illegal_argument(format!(
            "sector {} ends in epoch {} and cannot be extended to {expiration}",
            sector.number, sector.expiration
        )));
    }
    let (was, is) = (sector.expiration - sector.power_epoch, expiration - now);
    sector.deal_weight = &sector.deal_weight / was * is;
    sector.verified_weight = &sector.verified_weight / was * is;
    (sector.power_epoch, sector.expiration) = (now, expiration);
    Ok(())
}
