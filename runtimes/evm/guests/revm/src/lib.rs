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
mod campaign;
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
mod protocol;
mod record;
mod regions;
mod session;
mod snapshots;
mod wire;

use protocol::{Mailbox, command};
use session::Session;
use std::cell::UnsafeCell;

pub use session::Ctx;

/// The mailbox is what Python reads and writes in place: `size` is that of the input, or of memory to reserve, then the
/// guest's pages of memory; `ended` is the number of calls of the batch that have ended, `times`
/// that of changes of the block's number and time, `snapshots` that of the last copy of a snapshot, and `copied`
/// the bytes of all copies.
struct Guest {
    mailbox: Mailbox,
    input: Vec<u8>,
    output: Vec<u8>,
    session: Option<Session>,
}

struct Global(UnsafeCell<Guest>);
unsafe impl Sync for Global {}

static GUEST: Global = Global(UnsafeCell::new(Guest {
    mailbox: Mailbox { size: 0, input: 0, output: 0, output_size: 0, ended: 0, times: 0, snapshots: 0, copied: 0 },
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
        command::MAILBOX => return &guest.mailbox as *const Mailbox as u32,
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
        command::FORGET_CODE => session.forget_code(),
        command::UNDO => session.undo(input),
        command::READ => session.read(input, &mut guest.output),
        command::OPERATE => session.operate(input, &mut guest.output).map_or_else(|exit| exit as u32, |()| 0),
        command::TAKE_RECORD => session.record(&mut guest.output),
        command::PEEK => session.peek(input, &mut guest.output),
        command::TAKE_ENDS => session.results(&mut guest.output),
        command::ADD_REGION => session.add_region(input),
        command::CHEATS => session.ask_cheats(input, &mut guest.output),
        command::CAMPAIGN => {
            session.ask_campaign(input, &mut guest.output);
            0
        }
        command::TIME => session.write_time(&mut guest.output),
        command::READ_SNAPSHOT => session.read_snapshot(input, &mut guest.output),
        _ => unreachable!("no such command"),
    };
    guest.mailbox.size = core::arch::wasm32::memory_size(0) as u32;
    guest.mailbox.output = guest.output.as_ptr() as u32;
    guest.mailbox.output_size = guest.output.len() as u32;
    guest.mailbox.ended = session.batch.ended;
    guest.mailbox.times = session.times;
    guest.mailbox.snapshots = session.last_snapshot;
    guest.mailbox.copied = session.copied as u32;
    exit
}
