//! A frame: one piece of code in the name of one contract, with its stack and memory, between two runs of the loop.

use crate::compiled::heat;
use crate::entries::Entries;
pub use crate::tables::exit::*;
use crate::words;
use revm_primitives::U256;
use std::cell::{Cell, OnceCell};
use std::rc::Rc;

/// The bytes before the code that a push may look at, and those behind it that it may read.
const BEFORE: usize = 32;
const BEHIND: usize = 33;
pub const STACK_WORDS: usize = 1024;
const JUMPDEST: u8 = 0x5b;
/// Memory offsets, sizes and ends above this are illegal.
const U32_MAX: u64 = u32::MAX as u64;

/// Why a run of the loop ended: one of `tables::exit`.
pub type Exit = u32;

/// How many frames that have ended are kept for others, and how much memory such a one may have.
pub const MOST_IDLE: usize = 64;
pub const MOST_MEMORY: usize = 1 << 20;

/// A set of rules: the flat price of each opcode, the others, and what else the loop needs to know of them.
pub struct Rules {
    pub number: u32,
    pub prices: [u64; 256],
    /// Of the exponent of EXP: a byte, a bit, a bit that is one.
    pub exponent: [u64; 3],
    /// Of divisions, sums and products modulo a number: for a divisor of at most 32 bits, of at most 64, and for others,
    /// the price beyond the flat one and what 64 bits of the quotient add to it.
    pub divisions: [[[u64; 2]; 3]; 3],
    /// Of the product of MULMOD, unless the modulus is zero.
    pub product: u64,
    /// A creation clears the return data and leaves its own; in the first EVM actors it touches none.
    pub creation_returns: bool,
    /// How many bytes a copy moves for one gas.
    pub copied_bytes_per_gas: u64,
}

pub const NO_OPCODE: u64 = u64::MAX;

impl Rules {
    pub fn copy_gas(&self, size: u64) -> u64 {
        size / self.copied_bytes_per_gas
    }

    pub fn exponent_gas(&self, exponent: &U256) -> u64 {
        let [byte, bit, one] = self.exponent;
        byte * exponent.byte_len() as u64 + bit * exponent.bit_len() as u64 + one * exponent.count_ones() as u64
    }

    pub fn prices_divisions(&self) -> bool {
        self.divisions[0][2][0] != 0
    }

    /// What DIV, SDIV, MOD, SMOD, ADDMOD or MULMOD costs beyond its flat price (`OperandPrices.division` in contracts/gas_table.py).
    pub fn division_gas(&self, opcode: u32, a: &U256, b: &U256, modulus: &U256) -> u64 {
        let (kind, bits, divisor) = match opcode {
            0x04 | 0x06 => (0, a.bit_len(), b.bit_len()),
            0x05 | 0x07 => (0, magnitude(a).bit_len(), magnitude(b).bit_len()),
            0x08 => match a.overflowing_add(*b) {
                (_, true) => (1, 257, modulus.bit_len()),
                (sum, false) => (1, sum.bit_len(), modulus.bit_len()),
            },
            _ if a.is_zero() || b.is_zero() => (2, 0, modulus.bit_len()),
            _ => (2, a.bit_len() + b.bit_len(), modulus.bit_len()),
        };
        if bits <= 64 && kind == 0 || divisor == 0 {
            return 0;
        }
        let product = if kind == 2 { self.product } else { 0 };
        if bits < divisor {
            return product;
        }
        let [once, rate] = self.divisions[kind][if divisor <= 32 { 0 } else { 1 + (divisor > 64) as usize }];
        product + once + rate * (bits - divisor) as u64 / 64
    }
}

fn magnitude(word: &U256) -> U256 {
    if word.bit(255) { word.wrapping_neg() } else { *word }
}

/// Bytecode, with zeros around it, and where a jump may land.
pub struct Code {
    padded: Vec<u8>,
    pub size: usize,
    landings: Vec<u64>,
    /// Landings until it is reported as hot.
    pub heat: Cell<u32>,
    regions: OnceCell<Regions>,
}

/// Where compiled regions of a code can be entered, under one set of rules.
struct Regions {
    rules: u32,
    entries: Entries,
}

impl Code {
    pub fn new(bytes: &[u8]) -> Code {
        let size = bytes.len();
        let mut padded = vec![0; BEFORE + size + BEHIND];
        padded[BEFORE..BEFORE + size].copy_from_slice(bytes);
        let mut landings = vec![0u64; size / 64 + 1];
        let mut place = 0;
        while place < size {
            let opcode = bytes[place];
            if opcode == JUMPDEST {
                landings[place >> 6] |= 1 << (place & 63);
            } else if (0x60..=0x7f).contains(&opcode) {
                place += (opcode - 0x5f) as usize;
            }
            place += 1;
        }
        Code { padded, size, landings, heat: Cell::new(heat()), regions: OnceCell::new() }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.padded[BEFORE..BEFORE + self.size]
    }

    #[inline(always)]
    pub fn start(&self) -> usize {
        self.padded.as_ptr() as usize + BEFORE
    }

    /// The region that is to be entered at a place, under a set of rules; 0 for none.
    #[inline(always)]
    pub fn region(&self, place: usize, rules: &Rules) -> u16 {
        match self.regions.get() {
            Some(regions) if regions.rules == rules.number => regions.entries.region(place),
            _ => 0,
        }
    }

    /// Note what gas a region has used that was entered at a place.
    #[inline(always)]
    pub fn note_entry(&self, place: usize, gas: u64) {
        if let Some(regions) = self.regions.get() {
            regions.entries.note_entry(place, gas);
        }
    }

    /// Let a region be entered at a place under a set of rules; another set's regions stay alone.
    pub fn add_region(&self, place: usize, rules: u32, slot: u16) {
        let regions = self.regions.get_or_init(|| Regions { rules, entries: Entries::new(self.size) });
        if regions.rules == rules {
            regions.entries.add(place, slot);
        }
    }

    /// Where the code lets a jump land that names this destination.
    #[inline(always)]
    pub fn landing(&self, destination: &U256) -> Option<usize> {
        let place = words::small(destination)?;
        if place >= self.size as u64 {
            return None;
        }
        let place = place as usize;
        // SAFETY: there is a bit for every place below `size`
        let bits = unsafe { *self.landings.get_unchecked(place >> 6) };
        if bits >> (place & 63) & 1 == 1 { Some(place) } else { None }
    }
}

/// Inputs of a call opcode or a creation. `input` is a region of the frame's memory.
#[derive(Clone, Copy)]
pub struct SubcallInputs {
    pub opcode: u8,
    pub gas: U256,
    pub to: U256,
    pub value: U256,
    pub salt: U256,
    pub input: (usize, usize),
    /// Where the output goes, as the operands stand.
    pub output: (U256, U256),
}

impl SubcallInputs {
    const NONE: SubcallInputs = SubcallInputs {
        opcode: 0,
        gas: words::ZERO,
        to: words::ZERO,
        value: words::ZERO,
        salt: words::ZERO,
        input: (0, 0),
        output: (words::ZERO, words::ZERO),
    };
}

pub struct Frame {
    pub rules: Rc<Rules>,
    pub code: Rc<Code>,
    pub pc: usize,
    pub gas: u64,
    stack: Box<[U256; STACK_WORDS]>,
    /// Address of the first free stack slot.
    pub top: usize,
    pub memory: Vec<u8>,
    /// How many bytes of memory are paid for.
    pub granted: u64,
    pub calldata: Vec<u8>,
    pub return_data: Vec<u8>,
    pub address: U256,
    pub caller: U256,
    pub value: U256,
    pub is_static: bool,
    pub ask: SubcallInputs,
    /// The region of memory that RETURN or REVERT named.
    pub output: (usize, usize),
    /// Block and message, once they were asked for.
    pub context: Option<Box<[U256; 8]>>,
    /// Traced: how many instructions have begun, and the number of the one that is shown next.
    pub steps: u64,
    pub shown_next: u64,
}

impl Frame {
    pub fn new(rules: Rc<Rules>, code: Rc<Code>) -> Frame {
        // SAFETY: any bytes are words
        let stack: Box<[U256; STACK_WORDS]> = unsafe { Box::new_uninit().assume_init() };
        let top = stack.as_ptr() as usize;
        Frame {
            rules,
            code,
            pc: 0,
            gas: 0,
            stack,
            top,
            memory: Vec::new(),
            granted: 0,
            calldata: Vec::new(),
            return_data: Vec::new(),
            address: words::ZERO,
            caller: words::ZERO,
            value: words::ZERO,
            is_static: false,
            ask: SubcallInputs::NONE,
            output: (0, 0),
            context: None,
            steps: 0,
            shown_next: 0,
        }
    }

    /// Make a used frame as if it were new, its room kept.
    pub fn renew(&mut self, rules: Rc<Rules>, code: Rc<Code>) {
        self.rules = rules;
        self.code = code;
        self.calldata.clear();
        self.pc = 0;
        self.top = self.base();
        self.memory.clear();
        self.granted = 0;
        self.return_data.clear();
        self.output = (0, 0);
        self.context = None;
        self.steps = 0;
    }

    #[inline(always)]
    pub fn base(&self) -> usize {
        self.stack.as_ptr() as usize
    }

    pub fn stack(&self) -> &[U256] {
        &self.stack[..(self.top - self.base()) / 32]
    }

    /// Push an answer onto the stack, which has room: the operands of what was asked lay there.
    pub fn push(&mut self, word: U256) {
        // SAFETY: an ask took at least three words off
        unsafe { *(self.top as *mut U256) = word };
        self.top += 32;
    }

    pub fn region(&self, (start, size): (usize, usize)) -> &[u8] {
        &self.memory[start..start + size]
    }

    /// Where a region ends that memory does not hold yet; None where nothing is to be done.
    #[inline(always)]
    pub fn missing(&self, start: &U256, size: &U256) -> Result<Option<u64>, Exit> {
        match (words::small(start), words::small(size)) {
            (_, Some(0)) => Ok(None),
            (Some(start), Some(size)) if start <= U32_MAX && size <= U32_MAX => {
                let end = start + size;
                if end <= self.memory.len() as u64 {
                    Ok(None)
                } else if end > U32_MAX {
                    Err(ILLEGAL_MEMORY_ACCESS)
                } else {
                    Ok(Some(end))
                }
            }
            _ => Err(ILLEGAL_MEMORY_ACCESS),
        }
    }

    /// Make memory so long that it holds `end` bytes, which were granted.
    pub fn lengthen(&mut self, end: u64) -> Result<(), Exit> {
        let length = ((end + 31) & !31) as usize;
        let more = length.saturating_sub(self.memory.len());
        if self.memory.capacity() < length {
            self.memory.try_reserve(more.max(self.memory.len().min(1 << 20))).map_err(|_| NO_ROOM)?;
        }
        self.memory.resize(length, 0);
        Ok(())
    }

    /// Write `source` from `offset` on into a usable region, with zeros where there is no more.
    pub fn fill(memory: &mut [u8], (start, size): (usize, usize), source: &[u8], offset: &U256) {
        if size == 0 {
            return;
        }
        let from = words::small(offset).map_or(source.len(), |offset| offset.min(source.len() as u64) as usize);
        let length = size.min(source.len() - from);
        memory[start..start + length].copy_from_slice(&source[from..from + length]);
        memory[start + length..start + size].fill(0);
    }
}
