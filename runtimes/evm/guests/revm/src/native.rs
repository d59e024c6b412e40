//! Calls that the kernel runs: of native actors, of Filecoin's precompiles, and of masked IDs. The transaction stops before
//! them. Python gives the state tree what the transaction has changed, runs the call, and gives the journal what the call
//! has changed. A native actor that calls a contract enters the transaction again, above the frames that wait for it.
//!
//! What such calls have changed in the tree belongs to the frames that made them. So the journal counts the times that the
//! kernel was left: where it undoes one, the next stop tells Python, which goes back, too.

use crate::protocol::{self, Exit, KERNEL_BYTE, Position, held_flag, kernel_flag, mode};
use crate::record;
use crate::session::Session;
use crate::wire::{Reader, Write, flag};
use revm::context::JournalEntry;
use revm::context_interface::journaled_state::JournalCheckpoint;
use revm::handler::FrameResult;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{
    CallInput, CallInputs, CallScheme, CallValue, CreateInputs, CreateScheme, FrameInput, InstructionResult,
};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, B256, Bytes, HashSet, Log, U256};
use revm::state::{Account, Bytecode};

/// The account whose first transient word counts what the kernel has done, in its upper half, and has the size of the
/// journal at that time in its lower half. Its logs stand for events of actors.
pub const KERNEL: Address = Address::repeat_byte(KERNEL_BYTE);

/// The code of native actors that contracts see.
const NATIVE_CODE: Bytes = Bytes::from_static(&[0xFE]);

/// How the kernel takes part in calls of an address.
#[derive(Clone, Copy, PartialEq)]
pub enum Native {
    /// It runs calls, but not the account's code in another one's context.
    Actor,
    /// It runs what calls of all kinds by contracts execute.
    Precompile,
}

/// A call that waits for the contract that it has called, the depth of that one, and the number of open borders then.
struct Suspended {
    init: FrameInit,
    depth: usize,
    open: usize,
}

#[derive(Default)]
pub struct Natives {
    suspended: Vec<Suspended>,
    /// The answer is the kernel's.
    pub has_ended: bool,
    /// The creator and the value that the next frame sees, which is a creation by a native actor.
    constructor: Option<(Address, U256)>,
}

impl Natives {
    /// Return the number of borders that were open before a native actor made the call at this depth; None for others.
    pub fn open_around(&self, depth: usize) -> Option<usize> {
        self.suspended.last().filter(|last| last.depth == depth).map(|last| last.open)
    }
}

/// Return a call of a contract with its code, to which the value has been transferred.
pub fn call_inputs(
    caller: Address,
    target: Address,
    value: U256,
    input: CallInput,
    gas_limit: u64,
    known_bytecode: (B256, Bytecode),
) -> CallInputs {
    CallInputs {
        input,
        return_memory_offset: 0..0,
        gas_limit,
        reservoir: 0,
        bytecode_address: target,
        known_bytecode,
        target_address: target,
        caller,
        value: CallValue::Apparent(value),
        scheme: CallScheme::Call,
        is_static: false,
        charged_new_account_state_gas: false,
    }
}

impl Natives {
    /// Number of native actors that wait for a contract.
    pub fn waiting(&self) -> usize {
        self.suspended.len()
    }

    /// True if a native actor has called the contract at this depth.
    pub fn has_called(&self, depth: usize) -> bool {
        self.suspended.last().is_some_and(|last| last.depth == depth)
    }
}

impl Session {
    /// True if the kernel runs a call.
    fn is_native(&self, init: &FrameInit) -> bool {
        let FrameInput::Call(inputs) = &init.frame_input else { return false };
        if self.borders.natives.has_called(init.depth) {
            return false; // the kernel has sent it here
        }
        if self.running.mode & mode::KERNEL_FIRST != 0 && init.depth == 0 && self.borders.natives.suspended.is_empty() {
            return true;
        }
        let is_call = matches!(inputs.scheme, CallScheme::Call | CallScheme::StaticCall);
        if is_call && self.running.mode & mode::INTERCEPTS != 0 {
            return true;
        }
        match self.evm.ctx.journaled_state.database.native(&inputs.bytecode_address) {
            None => false,
            Some(_) if self.is_replaced(&inputs.bytecode_address) => false,
            Some((Native::Actor, _)) => is_call,
            Some((Native::Precompile, _)) => init.depth > 0,
        }
    }

    /// True if an observer has set code where the kernel would run calls: the address is an account like any other.
    fn is_replaced(&self, address: &Address) -> bool {
        let journal = &self.evm.ctx.journaled_state;
        let Some((native, code_hash)) = journal.database.native(address) else { return false };
        let is_actors = |code: &Bytecode| native == Native::Actor && code.original_byte_slice() == NATIVE_CODE.as_ref();
        journal.inner.state.get(address).is_some_and(|account| {
            account.info.code_hash != code_hash
                && !account.info.is_empty_code_hash()
                && !account.info.code.as_ref().is_some_and(is_actors)
        })
    }

    /// Return the exit if the transaction stops before a call for the kernel.
    pub fn native_before(&mut self, init: &FrameInit, output: &mut Vec<u8>) -> Option<Exit> {
        if !self.is_native(init) {
            return None;
        }
        self.borders.is_stopped = true;
        self.borders.has_stopped = true;
        self.borders.is_entering = false;
        self.evm.ctx.journaled_state.database.set_addresses(None); // the kernel may create accounts
        self.write_changes(output);
        self.write_call(init, output);
        Some(Exit::NATIVE)
    }

    /// Write the kernel's count, the sizes of the journal, and the accounts that have changed since then.
    pub fn write_changes(&mut self, output: &mut Vec<u8>) {
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let word = inner.tload(KERNEL, U256::ZERO);
        let [since, _, count, _] = word.into_limbs();
        let mut changed: Vec<Address> = Vec::new();
        let inner = &self.evm.ctx.journaled_state.inner;
        for entry in &inner.journal[since as usize..] {
            match entry {
                JournalEntry::BalanceChange { address, .. }
                | JournalEntry::NonceChange { address, .. }
                | JournalEntry::NonceBump { address }
                | JournalEntry::CodeChange { address, .. }
                | JournalEntry::AccountCreated { address, .. } => changed.push(*address),
                JournalEntry::BalanceTransfer { from, to, .. } => changed.extend([*from, *to]),
                JournalEntry::AccountDestroyed { address, target, .. } => changed.extend([*address, *target]),
                _ => {}
            }
        }
        let mut seen: HashSet<Address> = HashSet::default();
        changed.retain(|address| seen.insert(*address));
        let position = self.position();
        output.put(protocol::Changes { count: count as u32, position, changed: changed.len() as u32 });
        for address in changed {
            let account = &inner.state[&address];
            let flags = flag(!account.info.is_empty_code_hash(), held_flag::CODE)
                | flag(account.is_created_locally(), held_flag::CREATED)
                | flag(self.is_replaced(&address), held_flag::REPLACED);
            let (balance, nonce) = (account.info.balance, account.info.nonce);
            output.put(protocol::ChangedAccount { address, balance, nonce, flags });
        }
    }

    /// Return the position in the journal, for `revert`.
    pub fn position(&self) -> Position {
        let inner = &self.evm.ctx.journaled_state.inner;
        Position {
            journal: inner.journal.len() as u32,
            logs: inner.logs.len() as u32,
            selfdestructs: inner.selfdestructed_addresses.len() as u32,
        }
    }

    /// Count what the kernel has done until now, which is undone with what was done before.
    fn count(&mut self, count: u32) {
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let since = inner.journal.len() as u64 + 1; // with the entry of this word
        inner.tstore(KERNEL, U256::ZERO, U256::from_limbs([since, 0, count as u64, 0]));
    }

    /// Take the kernel's result of a call: the caller goes on with it.
    pub fn end_native(&mut self, read: &mut Reader<'_>) {
        let given: protocol::NativeResult = read.get();
        let data = Bytes::copy_from_slice(read.bytes(given.size));
        self.count(read.get());
        self.borders.natives.has_ended = true;
        self.borders.answer_depth = self.running.held.as_ref().map_or(0, |init| init.depth);
        let mut ended = self.without_held_call();
        if let FrameResult::Call(outcome) = &mut ended {
            outcome.result.result = if given.success { InstructionResult::Return } else { InstructionResult::Revert };
            outcome.result.output = data;
            let _ = outcome.result.gas.record_regular_cost(given.gas_used);
            outcome.result.gas.record_refund(given.refund);
        }
        self.borders.answer = Some(ended);
        self.borders.is_stopped = false;
    }

    /// Begin the call, or the creation, of a contract by the native actor that runs. Fails if a value of the state is missing.
    pub fn enter(&mut self, read: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Exit> {
        let given: protocol::NativeEntry = read.get();
        let (target, caller, value, gas_limit) = (given.target, given.caller, given.value, given.gas);
        let depth = given.depth as usize;
        let data = Bytes::copy_from_slice(read.bytes(given.size));
        let frame_input = if given.creates {
            self.hold(target, output)?;
            self.hold(KERNEL, output)?;
            self.borders.natives.constructor = Some((caller, value));
            let scheme = CreateScheme::Custom { address: target };
            FrameInput::Create(Box::new(CreateInputs::new(KERNEL, scheme, U256::ZERO, data, gas_limit, 0)))
        } else {
            let code = self.code_to_run(target, output)?;
            let mut inputs = call_inputs(caller, target, value, CallInput::Bytes(data), gas_limit, code);
            inputs.is_static = given.is_static;
            FrameInput::Call(Box::new(inputs))
        };
        self.count(read.get());
        let init = self.running.held.take().expect("a call at which it has stopped");
        let memory = init.memory.clone();
        let open = self.borders.open();
        self.borders.natives.suspended.push(Suspended { init, depth, open });
        self.running.held = Some(FrameInit { depth, memory, frame_input });
        self.borders.is_stopped = false;
        Ok(())
    }

    /// Give the frame that begins the creator and the value of a creation by a native actor. The journal's entries since
    /// `entries` have `KERNEL` as the creator, which does not change.
    pub fn construct(&mut self, entries: usize) {
        let Some((creator, value)) = self.borders.natives.constructor.take() else { return };
        let inner = &mut self.evm.ctx.journaled_state.inner;
        for entry in &mut inner.journal[entries..] {
            match entry {
                JournalEntry::NonceBump { address } | JournalEntry::AccountTouched { address }
                    if *address == KERNEL =>
                {
                    *entry = JournalEntry::AccountWarmed { address: KERNEL };
                }
                _ => {}
            }
        }
        if let Some(kernel) = inner.state.get_mut(&KERNEL) {
            kernel.info.nonce = 0;
            kernel.unmark_touch();
        }
        let frames = &mut self.evm.frame_stack;
        if frames.index().is_some() && !frames.get().is_finished() {
            let input = &mut frames.get().interpreter.input;
            input.caller_address = creator;
            input.call_value = value;
        }
    }

    /// Stop if the contract that a native actor has called has ended; the actor's call is held again.
    pub fn native_after(
        &mut self,
        ended: FrameResult,
        depth: usize,
        output: &mut Vec<u8>,
    ) -> Result<FrameResult, Exit> {
        let Some(Suspended { mut init, .. }) = self.borders.natives.suspended.pop_if(|last| last.depth == depth) else {
            return Ok(ended);
        };
        self.leave_finished();
        init.memory.resize(0);
        self.running.held = Some(init);
        self.borders.is_stopped = true;
        self.write_changes(output);
        let (result, gas) = (ended.instruction_result(), ended.gas());
        let excess = record::excess(&self.evm.ctx, &ended);
        let own = ended.output();
        let data = excess.as_deref().unwrap_or(if result.is_ok_or_revert() { own.data() } else { &[] });
        output.put(protocol::NativeEnd {
            result: result as u32,
            gas_used: if result.is_ok_or_revert() { gas.total_gas_spent() } else { gas.limit() },
            refund: if result.is_ok() { gas.refunded() } else { 0 },
            size: data.len() as u32,
        });
        output.raw(data);
        Err(Exit::NATIVE_END)
    }

    // --- operations of the kernel, which warm nothing ---------------------------------------------------------------

    /// Hold an account, cold if it was not held before. Fails if it is missing.
    pub fn hold(&mut self, address: Address, output: &mut Vec<u8>) -> Result<&mut Account, Exit> {
        let journal = &mut self.evm.ctx.journaled_state;
        if !journal.inner.state.contains_key(&address) {
            use revm::database_interface::Database;
            let Ok(info) = journal.database.basic(address) else { return Err(self.request(output)) };
            let id = journal.inner.transaction_id;
            let mut account = info.map_or_else(|| Account::new_not_existing(id), Account::from);
            account.mark_cold();
            journal.inner.state.insert(address, account);
        }
        Ok(self.evm.ctx.journaled_state.inner.state.get_mut(&address).expect("it is held"))
    }

    /// Return the code that a call of a contract runs: its own, or its delegate's. Fails if it is missing.
    pub fn code_to_run(&mut self, address: Address, output: &mut Vec<u8>) -> Result<(B256, Bytecode), Exit> {
        let own = self.known_code(address, output)?;
        own.1.eip7702_address().map_or(Ok(own), |delegate| self.known_code(delegate, output))
    }

    /// Drop the innermost frame if it has ended.
    pub fn leave_finished(&mut self) {
        let frames = &mut self.evm.frame_stack;
        if frames.index().is_some() && frames.get().is_finished() {
            frames.pop();
        }
    }

    fn known_code(&mut self, address: Address, output: &mut Vec<u8>) -> Result<(B256, Bytecode), Exit> {
        let info = &self.hold(address, output)?.info;
        Ok((info.code_hash, info.code.clone().unwrap_or_default()))
    }

    /// Write the code of an account.
    pub fn write_code(&mut self, address: Address, output: &mut Vec<u8>) -> Result<(), Exit> {
        let (_, code) = self.known_code(address, output)?;
        output.raw(code.original_byte_slice());
        Ok(())
    }

    /// Set an account's balance, its nonce unless it is that of a contract, and whether it is a native actor.
    pub fn set_account(&mut self, address: Address, read: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Exit> {
        let protocol::SetAccount { balance, nonce, flags } = read.get();
        let has_nonce = flags & kernel_flag::NONCE != 0;
        self.hold(address, output)?;
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let account = inner.state.get_mut(&address).expect("it is held");
        if inner.cfg.spec.is_enabled_in(SpecId::AMSTERDAM) && account.is_cold_transaction_id(inner.transaction_id) {
            // It is in the block's list of accesses, with what it was before.
            account.set_current_info_as_original();
            account.mark_warm_with_transaction_id(inner.transaction_id);
            inner.journal.push(JournalEntry::AccountWarmed { address });
        }
        let info = &mut account.info;
        let old_balance = std::mem::replace(&mut info.balance, balance);
        let previous_nonce = info.nonce;
        if has_nonce {
            info.nonce = nonce;
        }
        if old_balance != balance {
            inner.journal.push(JournalEntry::BalanceChange { address, old_balance });
        }
        if has_nonce && previous_nonce != nonce {
            inner.journal.push(JournalEntry::NonceChange { address, previous_nonce });
        }
        inner.touch(address);
        if flags & kernel_flag::NATIVE != 0 {
            inner.set_code(address, Bytecode::new_legacy(NATIVE_CODE));
        } else if flags & kernel_flag::NO_CODE != 0 {
            inner.set_code(address, Bytecode::default());
        }
        Ok(())
    }

    /// Emit a log that stands for an actor's event.
    pub fn emit(&mut self, read: &mut Reader<'_>) {
        let number = Bytes::copy_from_slice(&read.get::<u32>().to_le_bytes());
        self.evm.ctx.journaled_state.inner.log(Log::new_unchecked(KERNEL, Vec::new(), number));
    }

    /// Undo what was done since a position.
    pub fn revert(&mut self, read: &mut Reader<'_>) {
        let given: Position = read.get();
        let inner = &mut self.evm.ctx.journaled_state.inner;
        inner.depth += 1; // that of the checkpoint
        inner.checkpoint_revert(JournalCheckpoint {
            log_i: given.logs as usize,
            journal_i: given.journal as usize,
            selfdestructed_i: given.selfdestructs as usize,
        });
    }
}
