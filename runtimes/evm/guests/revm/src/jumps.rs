//! The log of executed jump destinations, for coverage-guided fuzzing.

use crate::wire::Write;
use revm::interpreter::interpreter::ExtBytecode;
use revm::primitives::{Bytes, HashSet};

/// Length of the log; further jumps are not recorded.
const MAX_JUMPS: usize = 1 << 17;

#[derive(Default)]
pub struct JumpLog {
    pub is_recording: bool,
    /// The number of the code in execution; None if its jumps are not recorded.
    code: Option<u32>,
    log: Vec<u64>,
    /// Codes whose bytes Python has, and those that it has not.
    known: HashSet<u32>,
    codes: Vec<(u32, Bytes)>,
}

impl JumpLog {
    /// A frame begins or goes on. Init code has no hash, and is not recorded: it differs in each call.
    pub fn enter(&mut self, code: &ExtBytecode) {
        self.code = code.hash().map(|hash| u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]));
        if let Some(number) = self.code
            && self.known.insert(number)
        {
            self.codes.push((number, code.original_bytes()));
        }
    }

    pub fn add(&mut self, position: usize) {
        if let Some(code) = self.code
            && self.log.len() < MAX_JUMPS
        {
            self.log.push((code as u64) << 32 | position as u64);
        }
    }

    /// Write the codes that Python lacks, then the log, which begins anew.
    pub fn take(&mut self, output: &mut Vec<u8>) {
        output.u32(self.codes.len() as u32);
        for (number, code) in self.codes.drain(..) {
            output.u32(number);
            output.data(&code);
        }
        for jump in self.log.drain(..) {
            output.u64(jump);
        }
    }
}
