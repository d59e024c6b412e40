//! What the session knows of the state, supplied by Python; what is missing stops the transaction.

use crate::native::Native;
use revm::context_interface::DBErrorMarker;
use revm::database_interface::Database;
use revm::primitives::{Address, B256, HashMap, HashSet, U256};
use revm::state::{AccountInfo, Bytecode};
use std::fmt;
use std::hash::Hash;

/// A value that Python has to supply before the transaction can go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    Account(Address),
    Slot(Address, U256),
    Code(Address, B256),
    BlockHash(u64),
    /// A random word of a slot, which is about to be read, or written.
    Random(Address, U256, bool),
    /// Nothing: the transaction stops after an access.
    Nothing,
}

/// The error of a read whose value is missing.
#[derive(Debug)]
pub struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value is missing")
    }
}

impl core::error::Error for Stop {}
impl DBErrorMarker for Stop {}

/// Slots that are zero in the state: those that equal `slot` above its lowest `bits` bits.
#[derive(Clone, Copy)]
struct ZeroRange {
    slot: U256,
    bits: usize,
}

/// Accounts and slots that the journal has not taken yet, and code by its hash.
#[derive(Default)]
pub struct State {
    accounts: HashMap<Address, Option<AccountInfo>>,
    slots: HashMap<(Address, U256), U256>,
    zero_ranges: HashMap<Address, Vec<ZeroRange>>,
    with_slots: HashSet<Address>,
    /// Accounts of these that transactions have cleared.
    cleared: HashSet<Address>,
    natives: HashMap<Address, (Native, B256)>,
    /// Addresses that may have accounts; None if all may have one.
    addresses: Option<HashSet<Address>>,
    codes: HashMap<B256, Bytecode>,
    code_bytes: usize,
    hashes: HashMap<u64, B256>,
    pub missing: Option<Missing>,
    /// Values stay known when the journal takes them: a snapshot may be restored that lacks them.
    pub is_kept: bool,
    /// Number of the state tree: it has another one after an exchange.
    pub number: u32,
}

/// Number of ranges that are kept for an account.
const RANGES: usize = 64;
/// Bytes of code above which all code is dropped between transactions.
const CODE_BYTES: usize = 32 << 20;

impl State {
    /// Forget everything but code, which depends on nothing.
    pub fn reset(&mut self) {
        self.accounts.clear();
        self.slots.clear();
        self.zero_ranges.clear();
        self.with_slots.clear();
        self.cleared.clear();
        self.natives.clear();
        self.addresses = None;
        self.hashes.clear();
        self.missing = None;
        self.is_kept = false;
        if self.code_bytes > CODE_BYTES {
            self.forget_code();
        }
    }

    /// Know something else, with the same code; return what was known.
    pub fn exchange(&mut self, other: Self) -> Self {
        let mut before = std::mem::replace(self, other);
        std::mem::swap(&mut self.codes, &mut before.codes);
        std::mem::swap(&mut self.code_bytes, &mut before.code_bytes);
        before
    }

    pub fn forget_code(&mut self) {
        self.codes.clear();
        self.code_bytes = 0;
    }

    /// Check that an account can be read which the journal has not taken yet.
    pub fn check(&mut self, address: Address) -> Result<(), Stop> {
        match self.accounts.get(&address) {
            Some(Some(info)) if info.code.is_none() && !self.codes.contains_key(&info.code_hash) => {
                let hash = info.code_hash;
                self.miss(Missing::Code(address, hash))
            }
            Some(_) => Ok(()),
            None if self.is_absent(&address) => Ok(()),
            None => self.miss(Missing::Account(address)),
        }
    }

    /// True if the state is known to have no account at an address.
    fn is_absent(&self, address: &Address) -> bool {
        // A byte, zeros and a number: precompiles and Filecoin's actors, which may be no accounts.
        let is_number = address[1..12].iter().all(|byte| *byte == 0);
        !is_number && self.addresses.as_ref().is_some_and(|all| !all.contains(address))
    }

    /// Take the addresses of all accounts; without them, each account is asked for.
    pub fn set_addresses(&mut self, addresses: Option<Vec<Address>>) {
        self.addresses = addresses.map(|all| all.into_iter().collect());
    }

    /// True if the state has slots of this account.
    pub fn has_slots(&self, address: &Address) -> bool {
        self.with_slots.contains(address) && !self.cleared.contains(address)
    }

    /// Note that a transaction has cleared an account's slots; return true if there are any.
    pub fn clear_slots(&mut self, address: &Address) -> bool {
        self.with_slots.contains(address) && self.cleared.insert(*address)
    }

    /// The accounts of `clear_slots`.
    pub fn cleared(&mut self) -> &mut HashSet<Address> {
        &mut self.cleared
    }

    /// Undo `clear_slots`.
    pub fn restore_slots(&mut self, address: Address) {
        self.cleared.remove(&address);
    }

    /// How the kernel takes part in calls of an address, and the hash of the code that contracts see there.
    pub fn native(&self, address: &Address) -> Option<(Native, B256)> {
        if self.natives.is_empty() { None } else { self.natives.get(address).copied() }
    }

    pub fn supply_native(&mut self, address: Address, native: Native, code_hash: B256) {
        self.natives.insert(address, (native, code_hash));
    }

    pub fn supply_account(&mut self, address: Address, info: Option<AccountInfo>, has_slots: bool) {
        if has_slots {
            self.with_slots.insert(address);
        }
        self.accounts.insert(address, info);
    }

    pub fn supply_slot(&mut self, address: Address, slot: U256, value: U256, zero_bits: usize) {
        if zero_bits > 0 {
            let ranges = self.zero_ranges.entry(address).or_default();
            if ranges.len() >= RANGES {
                ranges.remove(0);
            }
            ranges.push(ZeroRange { slot, bits: zero_bits });
        }
        self.slots.insert((address, slot), value);
    }

    pub fn supply_code(&mut self, hash: B256, code: Bytecode) {
        self.code_bytes += code.len();
        self.codes.insert(hash, code);
    }

    pub fn supply_hash(&mut self, number: u64, hash: B256) {
        self.hashes.insert(number, hash);
    }

    /// Block hashes are those of one block.
    pub fn forget_hashes(&mut self) {
        self.hashes.clear();
    }

    fn miss<T>(&mut self, missing: Missing) -> Result<T, Stop> {
        self.missing = Some(missing);
        Err(Stop)
    }
}

fn take<K: Eq + Hash, V: Clone>(known: &mut HashMap<K, V>, key: &K, is_kept: bool) -> Option<V> {
    if is_kept { known.get(key).cloned() } else { known.remove(key) }
}

impl Database for State {
    type Error = Stop;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Stop> {
        match take(&mut self.accounts, &address, self.is_kept) {
            Some(Some(mut info)) => {
                if info.code.is_none() {
                    match self.codes.get(&info.code_hash) {
                        Some(code) => info.code = Some(code.clone()),
                        None => {
                            let hash = info.code_hash;
                            self.accounts.insert(address, Some(info));
                            return self.miss(Missing::Code(address, hash));
                        }
                    }
                }
                Ok(Some(info))
            }
            Some(None) => Ok(None),
            None if self.is_absent(&address) => Ok(None),
            None => self.miss(Missing::Account(address)),
        }
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Stop> {
        unreachable!("an account comes with its code: {hash}")
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Stop> {
        if !self.has_slots(&address) {
            return Ok(U256::ZERO);
        }
        if let Some(value) = take(&mut self.slots, &(address, slot), self.is_kept) {
            return Ok(value);
        }
        let ranges = self.zero_ranges.get(&address);
        if ranges.is_some_and(|all| all.iter().any(|range| (range.slot ^ slot) >> range.bits == U256::ZERO)) {
            return Ok(U256::ZERO);
        }
        self.miss(Missing::Slot(address, slot))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Stop> {
        match self.hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.miss(Missing::BlockHash(number)),
        }
    }
}
