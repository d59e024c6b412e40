//! What the vectors are about, a module a subject.

mod ipld;

use crate::plan::{Plan, Plans};

/// All cases, in order.
pub fn plans() -> Vec<Plan> {
    let mut plans = Plans::new();
    ipld::plans(&mut plans);
    plans.all
}
