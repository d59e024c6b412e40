//! What the vectors are about, a module a subject.

mod actor;
mod crypto;
mod decoder;
mod events;
mod evm;
#[cfg(all(feature = "m2-native", feature = "upgrade-actor"))]
mod features;
mod fees;
mod ipld;
mod metering;
mod modules;
mod official;
mod own;
mod proofs;
mod send;
mod surroundings;

use crate::plan::{Plan, Plans};

/// All cases, in order.
pub fn plans() -> Vec<Plan> {
    let mut plans = Plans::new();
    #[cfg(all(feature = "m2-native", feature = "upgrade-actor"))]
    {
        features::plans(&mut plans);
        return plans.all;
    }
    #[allow(unreachable_code)]
    ipld::plans(&mut plans);
    own::plans(&mut plans);
    actor::plans(&mut plans);
    crypto::plans(&mut plans);
    proofs::plans(&mut plans);
    surroundings::plans(&mut plans);
    events::plans(&mut plans);
    send::plans(&mut plans);
    fees::plans(&mut plans);
    modules::plans(&mut plans);
    metering::plans(&mut plans);
    official::plans(&mut plans);
    evm::plans(&mut plans);
    decoder::plans(&mut plans);
    plans.all
}
