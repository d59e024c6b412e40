//! What a frame may ask of the world while it runs: the arguments lie in the mailbox, and the gas counter is in step on
//! both sides around every host call.

use crate::frame::{Exit, Frame, NO_ROOM, RAISED};
pub use crate::tables::EXCHANGE;
use crate::tables::host_call::*;
use crate::words;
use revm_primitives::U256;

pub type Answer<T> = Result<T, Exit>;

/// What both sides read and write. Words are little-endian.
#[repr(C)]
pub struct Mailbox {
    pub gas: u64,
    host_call: u64,
    /// Set by the host where it could not answer.
    failed: u64,
    pub numbers: [u64; 7],
    /// Where the running frame is, for whoever finds the guest trapped: its position, and below its address.
    pub position: u64,
    pub words: [U256; 8],
    pub running: U256,
    /// Longer data on their way in, and rows of words on their way out.
    pub exchange: [u8; EXCHANGE],
    /// How many of the following are there: codes that are hot, at which landing, under which rules.
    pub hot_count: u64,
    pub hot: [[u64; 3]; MOST_HOT],
}

/// How many hot landings wait to be looked at.
pub const MOST_HOT: usize = 8;

pub static mut MAILBOX: Mailbox = Mailbox {
    gas: 0,
    host_call: 0,
    failed: 0,
    numbers: [0; 7],
    position: 0,
    words: [words::ZERO; 8],
    running: words::ZERO,
    exchange: [0; EXCHANGE],
    hot_count: 0,
    hot: [[0; 3]; MOST_HOT],
};

/// The mailbox. There is one thread, and no reference to it is kept across a host call.
#[inline(always)]
pub fn mailbox() -> &'static mut Mailbox {
    // SAFETY: see above
    unsafe { &mut *(&raw mut MAILBOX) }
}

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Have Python execute the host call in the mailbox.
    fn ask();
}

/// Ask Python for something that costs gas.
#[inline(never)]
pub fn host_call(frame: &mut Frame, number: u32) -> Answer<()> {
    let mail = mailbox();
    (mail.gas, mail.host_call) = (frame.gas, number as u64);
    // SAFETY: the host reads and writes the mailbox and what it was given places of
    unsafe { ask() };
    frame.gas = mailbox().gas;
    if core::mem::take(&mut mailbox().failed) == 0 { Ok(()) } else { Err(RAISED) }
}

#[inline(never)]
fn word(frame: &mut Frame, number: u32, argument: &U256) -> Answer<U256> {
    mailbox().words[0] = *argument;
    host_call(frame, number)?;
    Ok(mailbox().words[0])
}

/// See that the frame has `amount` gas, or end it.
pub fn overdraw(frame: &mut Frame, amount: u64) -> Answer<()> {
    mailbox().numbers[0] = amount;
    host_call(frame, OVERDRAW)
}

/// Make memory hold `end` bytes, and pay for them.
pub fn grow(frame: &mut Frame, end: u64) -> Answer<()> {
    if end > frame.granted {
        let size = (end + 31) & !31;
        mailbox().numbers[0] = size;
        host_call(frame, GROW)?;
        frame.granted = mailbox().numbers[0];
        if frame.granted < size {
            return Err(NO_ROOM);
        }
    }
    frame.lengthen(end)
}

pub fn get_storage(frame: &mut Frame, key: &U256) -> Answer<U256> {
    word(frame, GET_STORAGE, key)
}

pub fn set_storage(frame: &mut Frame, key: &U256, value: &U256) -> Answer<()> {
    mailbox().words[1] = *value;
    word(frame, SET_STORAGE, key).map(drop)
}

pub fn get_transient(frame: &mut Frame, key: &U256) -> Answer<U256> {
    word(frame, GET_TRANSIENT, key)
}

pub fn set_transient(frame: &mut Frame, key: &U256, value: &U256) -> Answer<()> {
    mailbox().words[1] = *value;
    word(frame, SET_TRANSIENT, key).map(drop)
}

pub fn balance(frame: &mut Frame, address: &U256) -> Answer<U256> {
    word(frame, BALANCE, address)
}

pub fn self_balance(frame: &mut Frame) -> Answer<U256> {
    word(frame, SELF_BALANCE, &words::ZERO)
}

pub fn code_size(frame: &mut Frame, address: &U256) -> Answer<U256> {
    word(frame, CODE_SIZE, address)
}

pub fn code_hash(frame: &mut Frame, address: &U256) -> Answer<U256> {
    word(frame, CODE_HASH, address)
}

/// Get the code behind an address ready for `copy_code`.
pub fn load_code(frame: &mut Frame, address: &U256) -> Answer<()> {
    word(frame, LOAD_CODE, address).map(drop)
}

/// Write a part of that code into a usable region, with zeros behind its end.
pub fn copy_code(frame: &mut Frame, (start, size): (usize, usize), offset: &U256) -> Answer<()> {
    if size == 0 {
        return Ok(());
    }
    let region = &mut frame.memory[start..start + size];
    region.fill(0);
    mailbox().numbers = [region.as_ptr() as u64, size as u64, 0, 0, 0, 0, 0];
    word(frame, COPY_CODE, offset).map(drop)
}

pub fn context(frame: &mut Frame, field: usize) -> Answer<U256> {
    if frame.context.is_none() {
        host_call(frame, CONTEXT)?;
        frame.context = Some(Box::new(mailbox().words));
    }
    Ok(frame.context.as_ref().map_or(words::ZERO, |context| context[field]))
}

pub fn origin(frame: &mut Frame) -> Answer<U256> {
    word(frame, ORIGIN, &words::ZERO)
}

pub fn prev_randao(frame: &mut Frame) -> Answer<U256> {
    word(frame, PREV_RANDAO, &words::ZERO)
}

pub fn gas_left(frame: &mut Frame) -> Answer<U256> {
    word(frame, GAS_LEFT, &words::ZERO)
}

pub fn block_hash(frame: &mut Frame, number: &U256) -> Answer<U256> {
    word(frame, BLOCK_HASH, number)
}

pub fn keccak256(frame: &mut Frame, region: (usize, usize)) -> Answer<U256> {
    let bytes = frame.region(region);
    mailbox().numbers = [bytes.as_ptr() as u64, bytes.len() as u64, 0, 0, 0, 0, 0];
    host_call(frame, KECCAK256)?;
    Ok(mailbox().words[0])
}

pub fn log(frame: &mut Frame, region: (usize, usize), topics: &[U256]) -> Answer<()> {
    let bytes = frame.region(region);
    mailbox().numbers = [bytes.as_ptr() as u64, bytes.len() as u64, topics.len() as u64, 0, 0, 0, 0];
    mailbox().words[..topics.len()].copy_from_slice(topics);
    host_call(frame, LOG)
}

pub fn selfdestruct(frame: &mut Frame, beneficiary: &U256) -> Answer<()> {
    word(frame, SELFDESTRUCT, beneficiary).map(drop)
}

/// Show an instruction that is about to run.
pub fn step(frame: &mut Frame) -> Answer<()> {
    let stack = frame.stack();
    mailbox().numbers = [
        frame.pc as u64,
        stack.as_ptr() as u64,
        stack.len() as u64,
        frame.memory.as_ptr() as u64,
        frame.memory.len() as u64,
        frame.return_data.as_ptr() as u64,
        frame.return_data.len() as u64,
    ];
    host_call(frame, STEP)?;
    frame.shown_next = frame.steps + 1 + mailbox().numbers[0]; // how many instructions are left out
    Ok(())
}
