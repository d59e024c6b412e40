//! The host functions of pallet-revive by name, and the data in memory that each one takes.

/// A half of an argument register: pallet-revive packs two u32 into one register.
#[derive(Clone, Copy)]
pub enum Half {
    Low(usize),
    High(usize),
}

/// Number of bytes of an input: fixed; an argument; of a key, 32 if the argument is the sentinel; words; or a word
/// that is missing if the pointer is the sentinel.
#[derive(Clone, Copy)]
pub enum Size {
    Fixed(u32),
    Of(Half),
    Key(usize),
    Words(usize),
    Optional,
}

pub use Half::{High, Low};
use Size::{Fixed, Key, Of, Optional, Words};

pub type Input = (Half, Size);

/// An argument without a value.
pub const SENTINEL: u32 = u32::MAX;

/// Host functions with their inputs. The guest answers the first `LOCAL` ones itself.
pub const FUNCTIONS: &[(&str, &[Input])] = &[
    ("seal_return", &[(Low(1), Of(Low(2)))]),
    ("call_data_size", &[]),
    ("call_data_copy", &[]),
    ("call_data_load", &[]),
    ("return_data_size", &[]),
    ("return_data_copy", &[]),
    ("caller", &[]),
    ("address", &[]),
    ("value_transferred", &[]),
    ("set_storage", &[(Low(1), Key(2)), (Low(3), Of(Low(4)))]),
    ("set_storage_or_clear", &[(Low(1), Fixed(32)), (Low(2), Fixed(32))]),
    ("get_storage", &[(Low(1), Key(2))]),
    ("get_storage_or_zero", &[(Low(1), Fixed(32))]),
    ("call", &[(Low(0), Fixed(20)), (Low(3), Fixed(32)), (Low(4), Of(High(4)))]),
    ("delegate_call", &[(Low(0), Fixed(20)), (Low(4), Of(High(4)))]),
    ("instantiate", &[(Low(2), Fixed(32)), (Low(5), Optional), (Low(3), Of(High(3)))]),
    ("deposit_event", &[(Low(0), Words(1)), (Low(2), Of(Low(3)))]),
    ("get_immutable_data", &[]),
    ("set_immutable_data", &[(Low(0), Of(Low(1)))]),
    ("balance", &[]),
    ("balance_of", &[(Low(0), Fixed(20))]),
    ("origin", &[]),
    ("code_hash", &[(Low(0), Fixed(20))]),
    ("code_size", &[(Low(0), Fixed(20))]),
    ("chain_id", &[]),
    ("now", &[]),
    ("block_number", &[]),
    ("block_hash", &[(Low(0), Fixed(32))]),
    ("block_author", &[]),
    ("base_fee", &[]),
    ("gas_limit", &[]),
    ("gas_price", &[]),
    ("ref_time_left", &[]),
    ("hash_keccak_256", &[(Low(0), Of(Low(1)))]),
    ("terminate", &[(Low(0), Fixed(20))]),
    ("consume_all_gas", &[]),
];

/// Number of functions that the guest answers.
pub const LOCAL: usize = 9;

/// Gas of a host function, in instructions: one that the guest answers, and one that leaves it.
pub const LOCAL_GAS: i64 = 20;
pub const HOST_GAS: i64 = 1_000;
/// Bytes that are copied at the price of an instruction.
pub const COPIED: i64 = 32;

impl Half {
    pub fn of(self, registers: &[u64; 6]) -> u32 {
        match self {
            Low(at) => registers[at] as u32,
            High(at) => (registers[at] >> 32) as u32,
        }
    }
}

impl Size {
    /// Return the size of an input at a pointer.
    pub fn of(self, registers: &[u64; 6], pointer: u32) -> u32 {
        match self {
            Fixed(size) => size,
            Key(at) if registers[at] as u32 == SENTINEL => 32,
            Key(at) => registers[at] as u32,
            Of(half) => half.of(registers),
            Words(at) => (registers[at] as u32).saturating_mul(32),
            Optional => u32::from(pointer != SENTINEL) * 32,
        }
    }
}
