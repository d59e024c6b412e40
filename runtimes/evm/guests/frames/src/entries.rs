//! What compiled regions share with the guest that runs them, and where they are entered.

use std::cell::Cell;

/// What a region reads and writes; `runtimes/evm/regions/wasm.py` has the same places.
#[derive(Default)]
#[repr(C)]
pub struct Running {
    pub gas: u64,
    pub pc: u32,
    pub top: u32,
    pub base: u32,
    pub limit: u32,
    pub memory: u32,
    pub memory_size: u32,
    pub calldata: u32,
    pub calldata_size: u32,
    pub return_size: u32,
    pub address: u32,
    pub caller: u32,
    pub value: u32,
    /// Address of the next entry in the log of jump destinations, and that of its end; equal if none are recorded.
    pub jump: u32,
    pub jumps_end: u32,
    /// Number of the running code's contract in the log.
    pub contract: u32,
}

impl Running {
    /// Run the region of a table slot from `pc` on.
    #[inline(always)]
    pub fn enter(&mut self, slot: u16) {
        // SAFETY: the slot holds a function of this type: the host has put it there, and wasmtime checks the type
        let region: extern "C" fn(u32) = unsafe { core::mem::transmute(slot as usize) };
        region(&raw mut *self as u32);
    }
}

/// Gas that a region has to use when it is entered: going in and out takes as long as the interpreter takes for so much.
const GAS_OF_AN_ENTRY: i64 = 15;
const LEAST_CREDIT: i32 = -10_000;
const MOST_CREDIT: i64 = 1_000_000;

/// Where compiled regions of a code can be entered: for each place a slot of the table, or 0, and the gas that was used
/// from there beyond `GAS_OF_AN_ENTRY`.
pub struct Entries(Box<[(Cell<u16>, Cell<i32>)]>);

impl Entries {
    pub fn new(code_size: usize) -> Self {
        Self(vec![(Cell::new(0), Cell::new(0)); code_size + 1].into())
    }

    /// The region that is to be entered at a place; 0 for none.
    #[inline(always)]
    pub fn region(&self, place: usize) -> u16 {
        self.0.get(place).map_or(0, |(slot, _)| slot.get())
    }

    /// Note what gas a region has used that was entered at a place; where that is too little for long it is entered no more.
    #[inline(always)]
    pub fn note_entry(&self, place: usize, gas: u64) {
        let Some((slot, credit)) = self.0.get(place) else { return };
        let more = gas.min(MOST_CREDIT as u64) as i64 - GAS_OF_AN_ENTRY;
        credit.set((credit.get() as i64 + more).min(MOST_CREDIT) as i32);
        if credit.get() < LEAST_CREDIT {
            slot.set(0);
        }
    }

    /// Let a region be entered at a place, instead of an earlier one.
    pub fn add(&self, place: usize, slot: u16) {
        if let Some((entry, credit)) = self.0.get(place) {
            entry.set(slot);
            credit.set(0);
        }
    }
}
