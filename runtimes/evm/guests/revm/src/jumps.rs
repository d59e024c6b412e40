//! The log of a call's jump destinations, for campaigns that are guided by coverage.

use revm::interpreter::interpreter::ExtBytecode;
use revm::primitives::{B256, HashMap};

/// Length of the log; further jumps are not recorded.
const MAX_JUMPS: usize = 1 << 17;
/// Codes whose contracts are remembered; those of further ones are asked for again.
const MAX_CODES: usize = 1 << 16;

#[derive(Default)]
pub struct JumpLog {
    pub is_recording: bool,
    /// The executed jump destinations: the number of the contract (upper 32 bits), and the program counter.
    pub log: Vec<u64>,
    /// The code in execution, and the number of its contract; None if its jumps are not recorded.
    code: B256,
    contract: Option<u32>,
    /// Numbers of contracts by hash of code, as Python has given them.
    contracts: HashMap<B256, u32>,
}

impl JumpLog {
    /// A call begins, perhaps again.
    pub fn begin(&mut self) {
        if self.is_recording {
            self.log.clear();
        }
    }

    /// A frame begins or goes on. Return false if its contract is not known. Init code has no hash, and is not recorded: it
    /// differs in each call.
    pub fn enter(&mut self, code: &ExtBytecode) -> bool {
        let hash = code.hash();
        self.code = hash.unwrap_or_default();
        self.contract = self.contracts.get(&self.code).copied();
        hash.is_none() || self.contract.is_some()
    }

    /// Set the contract of the code that was last entered.
    pub fn set_contract(&mut self, number: u32) {
        if self.contracts.len() == MAX_CODES {
            self.contracts.clear();
        }
        self.contracts.insert(self.code, number);
    }

    /// True if the running code is recorded.
    pub fn has_contract(&self) -> bool {
        self.contract.is_some()
    }

    /// Return where a region records: the addresses of the next entry and of the log's end, and the contract's number.
    pub fn space(&mut self) -> (u32, u32, u32) {
        let Some(contract) = self.contract.filter(|_| self.is_recording) else { return (0, 0, 0) };
        let left = MAX_JUMPS - self.log.len();
        self.log.reserve_exact(left);
        let space = self.log.spare_capacity_mut()[..left].as_ptr_range();
        (space.start as u32, space.end as u32, contract)
    }

    /// Take the entries that a region has written, up to an address.
    pub fn extend_to(&mut self, end: u32) {
        if end != 0 {
            // SAFETY: the region has written all entries below `end`, which is within the space
            unsafe { self.log.set_len((end - self.log.as_ptr() as u32) as usize / size_of::<u64>()) };
        }
    }

    pub fn add(&mut self, position: usize) {
        if let Some(contract) = self.contract
            && self.log.len() < MAX_JUMPS
        {
            self.log.push((contract as u64) << 32 | position as u64);
        }
    }
}
