//! A session: revm with a state that stays in its journal from one transaction to the next.
//!
//! Python calls `enter` with a command and reads the reply in the mailbox. A transaction that lacks a value of the state
//! stops with a request (`Exit`), and goes on when Python has answered. So the module imports nothing, and no Python code
//! ever runs above a frame of WASM.

mod accesses;
mod amsterdam;
#[path = "../../bn254/src/curve.rs"]
mod bn254;
mod borders;
mod cheats;
mod database;
#[path = "../../frames/src/entries.rs"]
mod entries;
mod exchange;
mod forks;
mod frames;
mod instructions;
mod isolation;
mod jumps;
mod keccak;
mod modexp;
mod native;
mod precompiles;
mod record;
mod regions;
mod session;
mod wire;

use session::Session;
use std::cell::UnsafeCell;

pub use session::Ctx;

/// Commands of Python.
mod command {
    pub const RESERVE: u32 = 1;
    pub const BLOCK: u32 = 2;
    pub const TRANSACT: u32 = 3;
    pub const ANSWER: u32 = 4;
    pub const ABANDON: u32 = 5;
    pub const DRAIN: u32 = 6;
    pub const RESET: u32 = 7;
    pub const READ: u32 = 8;
    pub const UNDO: u32 = 9;
    pub const RULES: u32 = 10;
    pub const KEEP: u32 = 11;
    pub const DRAINED: u32 = 12;
    pub const OPERATE: u32 = 13;
    pub const PEEK: u32 = 14;
    pub const RECORD: u32 = 15;
    pub const JUMPS: u32 = 16;
    pub const RESULTS: u32 = 17;
    pub const ADD_REGION: u32 = 18;
}

/// What Python reads and writes in place: the size of the input or of memory to reserve, then the guest's pages of memory;
/// the input's address; the address and size of the output; and the number of calls of the batch that have ended.
#[repr(C)]
struct Mailbox {
    size: u32,
    input: u32,
    output: u32,
    output_size: u32,
    ended: u32,
}

struct Guest {
    mailbox: Mailbox,
    input: Vec<u8>,
    output: Vec<u8>,
    session: Option<Session>,
}

struct Global(UnsafeCell<Guest>);
unsafe impl Sync for Global {}

static GUEST: Global = Global(UnsafeCell::new(Guest {
    mailbox: Mailbox { size: 0, input: 0, output: 0, output_size: 0, ended: 0 },
    input: Vec::new(),
    output: Vec::new(),
    session: None,
}));

/// Execute a command; return the address of the mailbox for 0, an `Exit` for a transaction, else a number or 0.
#[unsafe(no_mangle)]
pub extern "C" fn enter(number: u32) -> u32 {
    // One thread uses an instance at a time, and `enter` is never entered again.
    let guest = unsafe { &mut *GUEST.0.get() };
    let size = guest.mailbox.size as usize;
    guest.output.clear();
    let session = guest.session.get_or_insert_default();
    let input = &guest.input[..size.min(guest.input.len())];
    let exit = match number {
        0 => return &guest.mailbox as *const Mailbox as u32,
        command::RESERVE => {
            guest.input.resize(size, 0);
            guest.mailbox.input = guest.input.as_ptr() as u32;
            return 0;
        }
        command::KEEP => {
            let is_changed = session.keep();
            guest.output.append(&mut session.accessed);
            is_changed as u32
        }
        command::DRAINED => session.drained(),
        command::RULES => session.set_rules(input),
        command::BLOCK => session.set_block(input),
        command::TRANSACT => session.transact(input, &mut guest.output) as u32,
        command::ANSWER => session.answer(input, &mut guest.output) as u32,
        command::ABANDON => session.abandon(),
        command::DRAIN => session.drain(&mut guest.output),
        command::RESET => session.reset(),
        command::UNDO => session.undo(input),
        command::READ => session.read(input, &mut guest.output),
        command::OPERATE => session.operate(input, &mut guest.output).map_or_else(|exit| exit as u32, |()| 0),
        command::RECORD => session.record(&mut guest.output),
        command::PEEK => session.peek(input, &mut guest.output),
        command::JUMPS => session.take_jumps(&mut guest.output),
        command::RESULTS => session.results(&mut guest.output),
        command::ADD_REGION => session.add_region(input),
        _ => unreachable!("no such command"),
    };
    guest.mailbox.size = core::arch::wasm32::memory_size(0) as u32;
    guest.mailbox.output = guest.output.as_ptr() as u32;
    guest.mailbox.output_size = guest.output.len() as u32;
    guest.mailbox.ended = session.batch.ended;
    exit
}
