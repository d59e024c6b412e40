//! What the vectors are about, a module a subject.

mod actor;
mod crypto;
mod decoder;
mod events;
mod evm;
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
