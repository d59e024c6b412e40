//! Hot code that was compiled to WASM: where it is entered, what it shares with the interpreter, how it becomes known.
//!
//! A region is a function of another module in the same store, in this module's table. It runs blocks of one piece of
//! code as the interpreter would, on the same stack and memory, and gives back the place from which the interpreter
//! goes on; it has no way to end a frame and to run out of gas: before what it cannot do it gives back.

use crate::arithmetic;
use crate::entries::Running;
use crate::frame::{Code, Exit, Frame, Rules};
use crate::host::{self, MOST_HOT, mailbox};
use crate::words;
use revm_primitives::U256;
use std::rc::Rc;

/// A region that runs: what it sees, its frame, and how the frame ends where memory could not be had.
#[repr(C)]
struct State {
    running: Running,
    frame: u32,
    end: Option<Exit>,
}

/// How many codes are kept that were reported.
const MOST_CODES: usize = 256;
/// Landings after which a code is reported; 0 is never.
static mut HEAT: u32 = 0;
static mut REPORTED: Vec<Rc<Code>> = Vec::new();

/// What a code counts down from.
pub fn heat() -> u32 {
    // SAFETY: one thread
    match unsafe { HEAT } {
        0 => u32::MAX,
        landings => landings,
    }
}

pub fn set_heat(landings: u32) {
    // SAFETY: one thread
    unsafe { HEAT = landings }
}

pub fn reported() -> &'static mut Vec<Rc<Code>> {
    // SAFETY: one thread, and nobody holds on to it
    unsafe { &mut *(&raw mut REPORTED) }
}

/// Say that a code is hot at a landing, unless too many wait to be looked at. Returns the next count.
#[inline(never)]
pub fn report(code: &Rc<Code>, rules: &Rules, place: usize) -> u32 {
    let mail = mailbox();
    if (mail.hot_count as usize) < MOST_HOT {
        if let Some(number) = number(code) {
            mail.hot[mail.hot_count as usize] = [number as u64, place as u64, rules.number as u64];
            mail.hot_count += 1;
        }
    }
    heat()
}

/// The number under which a code is known from now on; None where there are too many.
pub fn number(code: &Rc<Code>) -> Option<usize> {
    let codes = reported();
    match codes.iter().position(|known| Rc::ptr_eq(known, code)) {
        Some(number) => Some(number),
        None if codes.len() == MOST_CODES => None,
        None => {
            codes.push(code.clone());
            Some(codes.len() - 1)
        }
    }
}

/// Let the region of a table slot run from a place on; where the interpreter goes on, its gas, its stack, and how the frame
/// ends where it does.
#[inline(never)]
pub fn run(
    frame: &mut Frame,
    slot: u16,
    place: usize,
    gas: u64,
    top: usize,
    limit: usize,
) -> (usize, u64, usize, Option<Exit>) {
    let running = Running {
        gas,
        pc: place as u32,
        top: top as u32,
        base: frame.base() as u32,
        limit: limit as u32,
        memory: frame.memory.as_ptr() as u32,
        memory_size: frame.memory.len() as u32,
        calldata: frame.calldata.as_ptr() as u32,
        calldata_size: frame.calldata.len() as u32,
        return_size: frame.return_data.len() as u32,
        address: &raw const frame.address as u32,
        caller: &raw const frame.caller as u32,
        value: &raw const frame.value as u32,
        jump: 0,
        jumps_end: 0,
        contract: 0,
    };
    let mut state = State { running, frame: &raw mut *frame as u32, end: None };
    let code = frame.code.clone();
    let mut slot = slot;
    loop {
        let (pc, gas) = (state.running.pc, state.running.gas);
        state.running.enter(slot);
        code.note_entry(pc as usize, gas.saturating_sub(state.running.gas));
        // another region may go on from here; one that has not moved would leave again
        slot = code.region(state.running.pc as usize, &frame.rules);
        if slot == 0 || state.end.is_some() || (state.running.pc, state.running.gas) == (pc, gas) {
            break;
        }
    }
    let Running { pc, gas, top, .. } = state.running;
    match state.end {
        None => (pc as usize, gas, top as usize, None),
        end => (pc as usize + 1, frame.gas, top as usize, end), // within that instruction
    }
}

/// For regions: make memory hold `end` bytes, at most 2^32 of them, and pay for it; 0 where the frame ends with that.
#[unsafe(no_mangle)]
pub extern "C" fn lengthen(running: u32, end: u64) -> u32 {
    // SAFETY: `run` has given it to the region, and waits, as the only other one who knows of the frame
    let state = unsafe { &mut *(running as usize as *mut State) };
    let frame = unsafe { &mut *(state.frame as usize as *mut Frame) };
    let running = &mut state.running;
    frame.gas = running.gas;
    frame.top = running.top as usize;
    state.end = host::grow(frame, end).err();
    running.gas = frame.gas;
    (running.memory, running.memory_size) = (frame.memory.as_ptr() as u32, frame.memory.len() as u32);
    state.end.is_none() as u32
}

/// For regions: what an opcode makes of the words at and below a place of the stack, put where the lowest of them lies.
#[unsafe(no_mangle)]
pub extern "C" fn operate(opcode: u32, place: u32) {
    let word = |depth: u32| {
        // SAFETY: the region has looked that there are so many words
        unsafe { &mut *((place - 32 * depth) as usize as *mut U256) }
    };
    let (a, b) = (*word(0), *word(1));
    match opcode {
        0x02 => *word(1) = a.wrapping_mul(b),
        0x04 => *word(1) = arithmetic::divide(&a, &b),
        0x05 => *word(1) = arithmetic::divide_signed(&a, &b),
        0x06 => *word(1) = arithmetic::remainder(&a, &b),
        0x07 => *word(1) = arithmetic::remainder_signed(&a, &b),
        0x08 => *word(2) = arithmetic::add_modulo(&a, &b, word(2)),
        0x09 => *word(2) = arithmetic::multiply_modulo(&a, &b, word(2)),
        0x0b => *word(1) = words::sign_extend(&b, &a),
        0x1a => *word(1) = words::byte(&b, &a),
        0x1b => *word(1) = words::shift_left(&b, &a),
        0x1c => *word(1) = words::shift_right(&b, &a),
        0x1d => *word(1) = words::shift_right_signed(&b, &a),
        _ => {}
    }
}

/// For regions of rules with prices by operands: `operate`, and the gas that is left of `gas`; -1, and nothing done, where
/// it does not suffice.
#[unsafe(no_mangle)]
pub extern "C" fn operate_priced(running: u32, opcode: u32, place: u32, gas: u64) -> i64 {
    let mut price = 0;
    if (0x04..=0x09).contains(&opcode) {
        // SAFETY: as in `lengthen` and `operate`
        let (state, words) = unsafe {
            let word = |depth: u32| &*((place - 32 * depth) as usize as *const U256);
            let modulus = if opcode < 0x08 { &words::ZERO } else { word(2) };
            (&*(running as usize as *const State), (word(0), word(1), modulus))
        };
        // SAFETY: as in `lengthen`
        let rules = unsafe { &(*(state.frame as usize as *const Frame)).rules };
        price = rules.division_gas(opcode, words.0, words.1, words.2);
    }
    if price > gas {
        return -1;
    }
    operate(opcode, place);
    (gas - price) as i64
}
