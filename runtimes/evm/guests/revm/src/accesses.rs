//! What cheatcodes record of instructions: accesses to slots and accounts, and hashes. Python reads it where the
//! transaction stops. Before an access to a slot that has a random word the transaction stops, so that Python draws it, and
//! after an access to a slot that has a hook, so that Python calls it.

use crate::Ctx;
use crate::database::Missing;
use crate::instructions::{Frame, In, remember, revert_entries};
use crate::protocol::{self, DEPTH_BITS, EXISTS_BIT, OPCODE_BITS, access_kind, mode};
use crate::wire::Write;
use revm::bytecode::opcode;
use revm::interpreter::interpreter_types::InputsTr;
use revm::interpreter::{InstructionContext, InstructionExecResult, InstructionResult};
use revm::primitives::{Address, HashSet, U256};

/// Sizes of hashed data that may be the slot of a mapping: a key and a slot.
const MAPPING: usize = 64;
/// Set in an account's address if it exists.
const EXISTS: U256 = U256::ONE.wrapping_shl(EXISTS_BIT);

#[derive(Default)]
pub struct Accesses {
    /// Accesses to slots are recorded.
    pub has_slots: bool,
    /// Accesses to accounts and hashes are recorded, too.
    pub has_all: bool,
    items: Vec<protocol::RecordedAccess>,
    /// Accounts with random words.
    pub random: HashSet<Address>,
    /// Accounts after accesses to whose slots the transaction stops.
    pub hooked: HashSet<Address>,
    /// The access for which the transaction has stopped, so that its word is there.
    drawn: Option<(Address, U256)>,
}

impl Accesses {
    /// Record what these modes say from now on.
    pub fn watch(&mut self, mode: u32) {
        self.has_slots = mode & mode::SLOT_ACCESSES != 0;
        self.has_all = mode & mode::ALL_ACCESSES != 0;
    }

    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// Write the accesses since the last time.
    pub fn take(&mut self, output: &mut Vec<u8>) {
        for access in self.items.drain(..) {
            output.put(access);
        }
    }

    /// Record the hash of a key and a mapping's slot.
    pub fn hash(&mut self, frame: &Frame, offset: usize, size: usize, hash: U256) {
        if self.has_all && size == MAPPING {
            let data = frame.memory.slice_len(offset, size);
            let (key, slot) = data.split_at(MAPPING / 2);
            self.items.push(protocol::RecordedAccess {
                kind: access_kind::HASH,
                account: frame.input.target_address(),
                first: U256::from_be_slice(key),
                second: U256::from_be_slice(slot),
                third: hash,
                fourth: U256::ZERO,
            });
        }
    }
}

fn stop(frame: &Frame, context: &mut Ctx) -> InstructionExecResult {
    context.chain.stopped = Some(remember(frame, context));
    Err(InstructionResult::FatalExternalError)
}

/// Run an instruction that accesses a slot.
pub fn slot(input: In<'_>, is_write: bool, instruction: fn(In<'_>) -> InstructionExecResult) -> InstructionExecResult {
    let (frame, context) = (input.interpreter, input.host);
    let accesses = &mut context.chain.accesses;
    let address = frame.input.target_address();
    let has_random = !accesses.random.is_empty() && accesses.random.contains(&address);
    if !accesses.has_slots && !has_random {
        return instruction(InstructionContext { interpreter: frame, host: context });
    }
    let Ok(slot) = frame.stack.peek(0) else {
        return instruction(InstructionContext { interpreter: frame, host: context });
    };
    if has_random && accesses.drawn.take() != Some((address, slot)) {
        accesses.drawn = Some((address, slot));
        context.journaled_state.database.missing = Some(Missing::Random(address, slot, is_write));
        return stop(frame, context);
    }
    let mut word = U256::ZERO;
    if accesses.has_all {
        let before = remember(frame, context);
        let journal = &mut context.journaled_state;
        let Ok(found) = journal.inner.sload(&mut journal.database, address, slot, false) else {
            context.chain.accesses.drawn = has_random.then_some((address, slot));
            context.chain.stopped = Some(before);
            return Err(InstructionResult::FatalExternalError);
        };
        word = found.data;
        revert_entries(context, before.entries); // what was cold stays cold
    }
    let written = frame.stack.peek(1).unwrap_or_default();
    if let Err(result) = instruction(InstructionContext { interpreter: &mut *frame, host: &mut *context }) {
        if result == InstructionResult::FatalExternalError {
            context.chain.accesses.drawn = has_random.then_some((address, slot));
        }
        return Err(result);
    }
    if context.chain.accesses.has_slots {
        context.chain.accesses.items.push(protocol::RecordedAccess {
            kind: if is_write { access_kind::WRITE } else { access_kind::READ },
            account: address,
            first: slot,
            second: word,
            third: if is_write { written } else { word },
            fourth: U256::ZERO,
        });
    }
    if context.chain.accesses.hooked.contains(&address) {
        context.journaled_state.database.missing = Some(Missing::Nothing);
        return Err(InstructionResult::FatalExternalError); // the instruction has run
    }
    Ok(())
}

/// Run an instruction that accesses the account at the top of the stack.
pub fn account(input: In<'_>, opcode: u8, instruction: fn(In<'_>) -> InstructionExecResult) -> InstructionExecResult {
    let (frame, context) = (input.interpreter, input.host);
    let peeked = frame.stack.peek(0).ok().filter(|_| context.chain.accesses.has_all);
    let Some(top) = peeked else {
        return instruction(InstructionContext { interpreter: frame, host: context });
    };
    let (account, address) = (frame.input.target_address(), Address::from_word(top.into()));
    let before = remember(frame, context);
    let journal = &mut context.journaled_state;
    if journal.inner.load_account_mut_optional_code(&mut journal.database, address, true, false).is_err() {
        context.chain.stopped = Some(before);
        return Err(InstructionResult::FatalExternalError);
    }
    let state = &journal.inner.state;
    let (found, own) = (&state[&address], &state[&account]);
    let exists = !(found.is_empty() && found.is_loaded_as_not_existing_not_touched());
    let destroys = opcode == opcode::SELFDESTRUCT;
    let value = if destroys { own.info.balance } else { U256::ZERO };
    let access = protocol::RecordedAccess {
        kind: access_kind::ACCOUNT | (opcode as u32) << OPCODE_BITS | (frame.input.depth as u32) << DEPTH_BITS,
        account,
        first: U256::from_be_slice(address.as_slice()) | if exists { EXISTS } else { U256::ZERO },
        second: found.info.balance,
        third: U256::from(found.info.nonce),
        fourth: value,
    };
    revert_entries(context, before.entries);
    let result = instruction(InstructionContext { interpreter: &mut *frame, host: &mut *context });
    if result != Err(InstructionResult::FatalExternalError) {
        context.chain.accesses.items.push(access);
    }
    result
}
