//! The answer of methods that do many things of a kind: how many succeeded, and which failed with what code.

use fvm_ipld_encoding::tuple::*;
use fvm_shared::error::ExitCode;

#[derive(Clone, Default, Serialize_tuple, Deserialize_tuple)]
pub struct Batch {
    pub successes: u32,
    pub failures: Vec<Failure>,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Failure {
    /// The place in the list of what was to be done.
    pub place: u32,
    pub code: ExitCode,
}

impl Batch {
    pub fn all(successes: usize) -> Self {
        Self { successes: successes as u32, failures: Vec::new() }
    }

    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// The next of the list has succeeded.
    pub fn succeed(&mut self) {
        self.successes += 1;
    }

    /// The next of the list has failed.
    pub fn fail(&mut self, code: ExitCode) {
        let place = self.successes + self.failures.len() as u32;
        self.failures.push(Failure { place, code });
    }

    /// Whether what stands at a place has failed.
    pub fn has_failed(&self, place: usize) -> bool {
        self.failures.iter().any(|failure| failure.place as usize == place)
    }
}
