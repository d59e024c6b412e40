//! When cron looks at a deal. Each deal has one place in a cycle of thirty days, so that nobody can crowd an epoch.

use actor_runtime::map::{self, Map};
use actor_runtime::policy::DAY;
use actor_runtime::{ActorError, key};
use cid::Cid;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::deal::DealID;

const CYCLE: ChainEpoch = 30 * DAY;

/// The deal's next place in the cycle, no sooner than an epoch.
pub fn place(deal: DealID, earliest: ChainEpoch) -> ChainEpoch {
    let offset = deal as ChainEpoch % CYCLE;
    let since = earliest - offset;
    let cycles = since / CYCLE;
    // Division rounds negative numbers up already.
    if since % CYCLE == 0 || since < 0 { cycles * CYCLE + offset } else { (cycles + 1) * CYCLE + offset }
}

pub fn add(schedule: &mut Map<Cid>, epoch: ChainEpoch, deal: DealID) -> Result<(), ActorError> {
    let mut deals = match schedule.get(&key::signed(epoch))? {
        Some(root) => map::load(root)?,
        None => map::empty::<()>(),
    };
    deals.set(key::unsigned(deal), ())?;
    schedule.set(key::signed(epoch), deals.flush()?)?;
    Ok(())
}

/// Takes an epoch's deals out.
pub fn take(schedule: &mut Map<Cid>, epoch: ChainEpoch) -> Result<Vec<DealID>, ActorError> {
    let Some((_, root)) = schedule.delete(&key::signed(epoch))? else { return Ok(Vec::new()) };
    let mut deals = Vec::new();
    for entry in &map::load::<()>(&root)? {
        deals.push(key::to_unsigned(entry?.0));
    }
    Ok(deals)
}
