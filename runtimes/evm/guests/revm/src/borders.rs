//! Borders: where a transaction stops for its observer in Python. These are calls of watched addresses, calls by frames at
//! the depths that the observer asks for, and the ends of the calls that it has entered. While the transaction is stopped,
//! the observer reads and writes accounts; its writes belong to the frame that made the call.

use crate::amsterdam::spent;
use crate::cheats::Cheats;
use crate::frames::Frames;
use crate::isolation::Isolation;
use crate::native::{Natives, call_inputs};
use crate::record;
use crate::session::{Exit, Failure, Session, bytecode, mode};
use crate::wire::{Reader, Write};
use revm::context::JournalEntry;
use revm::context_interface::CreateScheme;
use revm::handler::FrameResult;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{
    CallInput, CallOutcome, CallScheme, CreateInputs, CreateOutcome, FrameInput, Gas, InstructionResult, InterpreterResult,
};
use revm::primitives::{Address, Bytes, HashSet, U256};

/// What the observer wants to see, and where the transaction in execution has stopped.
#[derive(Default)]
pub struct Borders {
    watched: HashSet<Address>,
    /// Calls by frames down to this depth stop; the first frame's depth is 1.
    call_depth: usize,
    /// Ends of calls by frames down to this depth stop, also if the observer has not entered them; 0 for none.
    end_depth: usize,
    /// The transaction is kept or discarded at its end, if it does not stop before.
    pub at_once: bool,
    /// The held call has stopped already, and is made now.
    pub is_entering: bool,
    /// Depths of the calls that were entered, whose ends stop.
    entered: Vec<usize>,
    /// The innermost call that was entered, if its end stops only after another stop.
    unseen: Option<Unseen>,
    /// The end at which the transaction has stopped.
    pub ended: Option<FrameResult>,
    /// An answer whose operations lack a value of the state; it is taken again once the value is there.
    pub unfinished: Vec<u8>,
    /// Calls of cheatcodes that create a contract meanwhile.
    interrupted: Vec<FrameInit>,
    pub isolation: Isolation,
    pub natives: Natives,
    pub frames: Frames,
    pub cheats: Cheats,
    /// The observer's result, with which the caller goes on.
    pub answer: Option<FrameResult>,
    /// The depth of the call of `answer`.
    pub answer_depth: usize,
    /// The observer has the word: it reads and writes accounts.
    pub is_stopped: bool,
    /// The transaction has stopped at a border, so it cannot begin again.
    pub has_stopped: bool,
}

/// A call whose end need not stop, and what the observer wants to see after it.
struct Unseen {
    depth: usize,
    interest: Interest,
}

/// What the observer wants to see: calls and ends of calls by frames down to a depth, and the transaction's end.
struct Interest(u32, u32, bool);

impl Interest {
    fn read(read: &mut Reader<'_>) -> Self {
        Self(read.u32(), read.u32(), read.u32() != 0)
    }
}

impl Borders {
    /// Begin a call with an observer: the depths and the addresses that it wants to see.
    pub fn read(read: &mut Reader<'_>) -> Self {
        let mut begun = Self::default();
        begun.see(Interest::read(read));
        begun.watched = read.list(|read| read.address()).into_iter().collect();
        begun
    }

    /// Begin another call, which meets nothing but the watched addresses, and is kept or discarded at its end.
    pub fn begin_again(&mut self, cheats: Cheats) {
        *self = Self { watched: std::mem::take(&mut self.watched), at_once: true, cheats, ..Self::default() };
    }

    fn see(&mut self, Interest(call_depth, end_depth, at_once): Interest) {
        self.call_depth = call_depth as usize;
        self.end_depth = end_depth as usize;
        self.at_once = at_once;
    }

    pub fn is_watched(&self, address: &Address) -> bool {
        self.watched.contains(address)
    }

    /// True while nothing is set that a cheatcode could meet, and the observer has not executed any.
    pub fn executes_cheatcodes(&self) -> bool {
        self.at_once && !self.has_stopped && !self.cheats.are_off
    }

    fn stops_at(&self, init: &FrameInit) -> bool {
        if self.is_entering {
            return false;
        }
        let is_watched = match &init.frame_input {
            FrameInput::Call(inputs) => self.is_watched(&inputs.bytecode_address),
            _ => false,
        };
        is_watched || (init.depth > 0 && init.depth <= self.call_depth)
    }

    /// Return the number of calls that were entered and have not ended.
    pub fn open(&self) -> usize {
        self.entered.len() + self.unseen.is_some() as usize
    }

    pub fn stop(&mut self) {
        self.entered.extend(self.unseen.take().map(|unseen| unseen.depth));
        self.is_stopped = true;
        self.has_stopped = true;
        self.at_once = false;
    }
}

mod answer {
    pub const ENTER: u32 = 16;
    pub const RESULT: u32 = 17;
}

/// How a call is entered.
mod entry {
    /// As another sender.
    pub const SENDER: u32 = 1;
    /// The end need not stop.
    pub const UNSEEN: u32 = 2;
    /// As a transaction, if it is one of the first frame (`mode::ISOLATES`).
    pub const ISOLATED: u32 = 4;
}

mod operation {
    pub const ACCOUNT: u32 = 0;
    pub const CODE: u32 = 1;
    pub const SET_BALANCE: u32 = 2;
    pub const SET_NONCE: u32 = 3;
    pub const SET_CODE: u32 = 4;
    pub const LOAD: u32 = 5;
    pub const STORE: u32 = 6;
    pub const SET_ORIGIN: u32 = 7;
    pub const TOUCH: u32 = 8;
    pub const WATCH: u32 = 9;
    pub const ACCESSES: u32 = 10;
    pub const GAS: u32 = 11;
    pub const RESET_GAS: u32 = 12;
    pub const ENDED_GAS: u32 = 13;
    pub const SET_PRICES: u32 = 14;
    pub const SET_CALLEE: u32 = 15;
    pub const CREATE: u32 = 16;
    pub const CREATED: u32 = 17;
    pub const HOOKED: u32 = 37;
    pub const CALL: u32 = 38;
    pub const CALLED: u32 = 39;
    pub const MAKE_COLD: u32 = 18;
    pub const BEGIN_ISOLATED: u32 = 19;
    pub const END_ISOLATED: u32 = 20;
    pub const SET_ACCOUNT: u32 = 21;
    pub const REVERT: u32 = 22;
    pub const EMIT: u32 = 23;
    pub const POSITION: u32 = 24;
    pub const HELD_CODE: u32 = 25;
    pub const CHANGES: u32 = 26;
    pub const WRITE_ALL: u32 = 27;
    pub const EXCHANGE: u32 = 28;
    pub const LOAD_OPEN: u32 = 29;
    pub const EXCHANGES: u32 = 30;
    pub const COOL: u32 = 31;
    pub const CREATIONS: u32 = 32;
    pub const RANDOM: u32 = 33;
    pub const IS_WARM: u32 = 34;
    pub const LOOK_UP: u32 = 35;
    pub const WARMTH: u32 = 36;
}

impl Session {
    /// Return the exit if the transaction stops before this call. Fails if it begins again, without the guest's cheatcodes.
    pub fn border_before(&mut self, init: &FrameInit, output: &mut Vec<u8>) -> Result<Option<Exit>, Failure> {
        if !self.borders.stops_at(init) {
            return Ok(None);
        }
        if self.borders.cheats.have_run {
            return Err(Failure::Again);
        }
        self.borders.stop();
        self.write_logs(output);
        output.u32(self.borders.entered.len() as u32);
        self.write_call(init, output);
        Ok(Some(Exit::Call))
    }

    pub fn write_call(&self, init: &FrameInit, output: &mut Vec<u8>) {
        let context = &self.evm.ctx;
        output.u32(init.depth as u32);
        match &init.frame_input {
            FrameInput::Call(inputs) => {
                output.u32(match inputs.scheme {
                    CallScheme::Call => 0,
                    CallScheme::StaticCall => 1,
                    CallScheme::DelegateCall => 2,
                    CallScheme::CallCode => 3,
                });
                output.u32(inputs.is_static as u32);
                output.u64(inputs.gas_limit);
                for address in [inputs.caller, inputs.bytecode_address, inputs.target_address] {
                    output.raw(address.as_slice());
                }
                output.word(inputs.value.get());
                output.word(U256::ZERO);
                output.data(&inputs.input.as_bytes(context));
            }
            FrameInput::Create(inputs) => {
                let caller = context.journaled_state.inner.state.get(&inputs.caller());
                let address = inputs.created_address(caller.map_or(0, |account| account.info.nonce));
                let (kind, salt) = match inputs.scheme() {
                    CreateScheme::Create2 { salt } => (5, salt),
                    _ => (4, U256::ZERO),
                };
                output.u32(kind);
                output.u32(0);
                output.u64(inputs.gas_limit());
                for each in [inputs.caller(), address, address] {
                    output.raw(each.as_slice());
                }
                output.word(inputs.value());
                output.word(salt);
                output.data(inputs.init_code());
            }
            FrameInput::Empty => unreachable!("a frame has an input"),
        }
    }

    /// Stop if a call that was entered has ended, or one whose end the observer wants to see; else return its result.
    pub fn border_after(
        &mut self,
        ended: FrameResult,
        depth: usize,
        output: &mut Vec<u8>,
    ) -> Result<FrameResult, Exit> {
        if self.borders.natives.open_around(depth).is_some_and(|open| self.borders.open() == open) {
            return Ok(ended); // the observer has not seen this call of a native actor
        }
        if let Some(unseen) = self.borders.unseen.take_if(|unseen| unseen.depth == depth) {
            self.borders.see(unseen.interest);
            return Ok(ended);
        }
        let is_entered = self.borders.entered.last() == Some(&depth);
        if !is_entered && (depth == 0 || depth > self.borders.end_depth) {
            return Ok(ended);
        }
        if is_entered {
            self.borders.entered.pop();
        }
        self.borders.stop();
        self.write_logs(output);
        output.u32(depth as u32);
        let created = match &ended {
            FrameResult::Create(outcome) if outcome.result.is_ok() => outcome.address,
            _ => None,
        };
        output.u32(ended.instruction_result() as u32);
        output.u32(created.is_some() as u32);
        output.raw(created.unwrap_or_default().as_slice());
        let is_data = ended.instruction_result().is_ok_or_revert();
        let data = ended.output();
        output.data(if is_data { data.data() } else { &[] });
        self.borders.ended = Some(ended);
        self.borders.answer_depth = depth;
        Err(if is_entered { Exit::Ended } else { Exit::CallEnd })
    }

    /// Take the observer's answer at a border, after its operations on accounts. Fails as `operate` does.
    pub fn pass_border(&mut self, kind: u32, read: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Exit> {
        self.operate(read.data(), output)?;
        self.borders.is_stopped = false;
        self.borders.see(Interest::read(read));
        match kind {
            answer::ENTER => {
                let init = self.running.held.as_mut().expect("a call at which it has stopped");
                let entry = read.u32();
                if entry & entry::SENDER != 0 {
                    let sender = read.address();
                    match &mut init.frame_input {
                        FrameInput::Call(inputs) => {
                            inputs.caller = sender;
                            if inputs.scheme == CallScheme::DelegateCall {
                                inputs.target_address = sender;
                            }
                        }
                        FrameInput::Create(inputs) => inputs.set_call(sender),
                        FrameInput::Empty => {}
                    }
                }
                self.borders.is_entering = true;
                self.borders.isolation.is_passed = entry & entry::ISOLATED != 0;
                let depth = init.depth;
                if entry & entry::UNSEEN != 0 {
                    self.borders.unseen = Some(Unseen { depth, interest: Interest::read(read) });
                } else {
                    self.borders.entered.push(depth);
                }
            }
            answer::RESULT => {
                let ended = self.borders.ended.take();
                let success = read.u32() != 0;
                let created = if read.u32() != 0 { Some(read.address()) } else { None };
                let output = Bytes::copy_from_slice(read.data());
                let result = if success { InstructionResult::Return } else { InstructionResult::Revert };
                if ended.is_none()
                    && let Some(init) = &self.running.held
                    && matches!(init.frame_input, FrameInput::Call(_))
                {
                    record::start(&mut self.evm.ctx, init, false);
                    record::answered(&mut self.evm.ctx, success, &output);
                }
                if let Some(init) = &self.running.held {
                    self.borders.answer_depth = init.depth;
                }
                let ended = ended.unwrap_or_else(|| self.without_held_call());
                self.borders.answer = Some(match ended {
                    FrameResult::Call(mut outcome) => {
                        outcome.result.result = result;
                        outcome.result.output = output;
                        FrameResult::Call(outcome)
                    }
                    FrameResult::Create(mut outcome) => {
                        outcome.result.result = result;
                        outcome.result.output = output;
                        outcome.address = created;
                        FrameResult::Create(outcome)
                    }
                });
            }
            _ => self.borders.answer = self.borders.ended.take(),
        }
        Ok(())
    }

    pub fn without_held_call(&mut self) -> FrameResult {
        let init = self.running.held.take().expect("a call at which it has stopped");
        Self::without_call(&init)
    }

    /// Return the result of a call as if it had not used any gas.
    pub fn without_call(init: &FrameInit) -> FrameResult {
        let reservoir = init.frame_input.reservoir();
        let gas = |limit| Gas::new_with_regular_gas_and_reservoir(limit, reservoir);
        let result = |limit| InterpreterResult::new(InstructionResult::Return, Bytes::new(), gas(limit));
        match &init.frame_input {
            FrameInput::Call(inputs) => {
                FrameResult::Call(CallOutcome::new(result(inputs.gas_limit), inputs.return_memory_offset.clone()))
            }
            FrameInput::Create(inputs) => FrameResult::Create(CreateOutcome::new(result(inputs.gas_limit()), None)),
            FrameInput::Empty => unreachable!("a frame has an input"),
        }
    }

    /// Write the logs since the last border, also those of frames that have failed.
    pub fn write_logs(&mut self, output: &mut Vec<u8>) {
        let logs = std::mem::take(&mut self.evm.ctx.chain.logs);
        output.logs(&logs);
    }

    /// Read or write accounts, which become warm. Fails if a value is missing, and where an account cannot be written; the
    /// same operations may then be repeated.
    pub fn operate(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), Exit> {
        let mut read = Reader(input);
        while !read.0.is_empty() {
            self.execute(&mut read, output)?;
        }
        Ok(())
    }

    fn execute(&mut self, read: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Exit> {
        let operation = read.u32();
        let address = read.address();
        if self.operate_on_run(operation, address, read, output)? {
            return Ok(());
        }
        self.load(address, output)?;
        let delegates = self.delegates();
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, database) = (&mut journal.inner, &mut journal.database);
        let account = inner.state.get_mut(&address).expect("it was loaded");
        match operation {
            operation::ACCOUNT => {
                output.word(account.info.balance);
                output.u64(account.info.nonce);
            }
            operation::CODE => output.raw(account.info.code.as_ref().map_or(&[], |code| code.original_byte_slice())),
            operation::SET_BALANCE => {
                let old_balance = std::mem::replace(&mut account.info.balance, read.word());
                inner.journal.push(JournalEntry::BalanceChange { address, old_balance });
                inner.touch(address);
            }
            operation::SET_NONCE => {
                let previous_nonce = std::mem::replace(&mut account.info.nonce, read.u64());
                inner.journal.push(JournalEntry::NonceChange { address, previous_nonce });
                inner.touch(address);
            }
            operation::SET_CODE => {
                inner.set_code(address, bytecode(Bytes::copy_from_slice(read.data()), delegates));
            }
            operation::LOAD => match inner.sload(database, address, read.word(), false) {
                Ok(word) => output.word(word.data),
                Err(_) => return Err(self.request(output)),
            },
            operation::STORE => {
                if inner.sstore(database, address, read.word(), read.word(), false).is_err() {
                    return Err(self.request(output));
                }
                inner.touch(address);
            }
            operation::COOL => {
                let only = (read.u32() != 0).then(|| read.word());
                for (_, word) in account.storage.iter_mut().filter(|(slot, _)| only.is_none_or(|only| **slot == only)) {
                    word.mark_cold();
                    word.original_value = word.present_value;
                }
            }
            operation::TOUCH => {}
            _ => unreachable!("no such operation"),
        }
        Ok(())
    }

    /// Execute an operation on the transaction; return false if it is one on an account. Fails as `operate` does, and
    /// where the transaction has not stopped as the operation needs.
    fn operate_on_run(
        &mut self,
        operation: u32,
        address: Address,
        read: &mut Reader<'_>,
        output: &mut Vec<u8>,
    ) -> Result<bool, Exit> {
        let context = &mut self.evm.ctx;
        match operation {
            operation::SET_ORIGIN => context.tx.caller = address,
            operation::WATCH => {
                let mode = read.u32();
                self.running.mode = self.running.mode & !mode::WATCH | mode & mode::WATCH;
                context.chain.accesses.watch(mode);
                context.chain.pauses = mode & mode::PAUSES != 0;
                context.chain.paused.clear();
            }
            operation::ACCESSES => {
                context.chain.accesses.take(output);
            }
            operation::GAS => {
                let passed = self.held_gas();
                let gas = self.frame_gas()?;
                output.u64(gas.total_gas_spent().saturating_sub(passed));
            }
            operation::RESET_GAS => {
                let passed = self.held_gas();
                let gas = self.frame_gas()?;
                gas.set_remaining(gas.limit().saturating_sub(passed));
                gas.set_refund(0);
            }
            operation::ENDED_GAS => {
                let ended = self.borders.ended.as_ref().ok_or(Exit::Leave)?;
                let (gas, result) = (ended.gas(), ended.instruction_result());
                output.u64(gas.limit());
                output.u64(if result.is_ok_or_revert() { spent(gas, result) } else { gas.limit() });
                output.u64(if result.is_ok() { gas.refunded() as u64 } else { 0 });
            }
            operation::SET_PRICES => {
                context.tx.gas_price = read.u128();
                context.tx.gas_priority_fee = Some(context.tx.gas_price);
                context.tx.blob_hashes = read.list(|read| read.hash());
                context.tx.tx_type = if context.tx.blob_hashes.is_empty() { 2 } else { 3 };
            }
            operation::SET_CALLEE => {
                let account = &context.journaled_state.inner.state[&address];
                let code = account.info.code.clone().unwrap_or_default();
                let init = self.running.held.as_mut().ok_or(Exit::Leave)?;
                if let FrameInput::Call(inputs) = &mut init.frame_input {
                    inputs.bytecode_address = address;
                    inputs.known_bytecode = (account.info.code_hash, code);
                }
            }
            operation::CREATE => {
                let init = self.running.held.as_mut().ok_or(Exit::Leave)?;
                let FrameInput::Call(call) = &init.frame_input else { return Err(Exit::Leave) };
                let salted = read.u32() != 0;
                let salt = read.word();
                let scheme = if salted { CreateScheme::Create2 { salt } } else { CreateScheme::Create };
                let value = read.word();
                let code = Bytes::copy_from_slice(read.data());
                let made = CreateInputs::new(address, scheme, value, code, call.gas_limit, call.reservoir);
                let made = FrameInput::Create(Box::new(made));
                let made = FrameInit { depth: init.depth, memory: init.memory.clone(), frame_input: made };
                self.borders.interrupted.extend(self.running.held.replace(made));
            }
            operation::MAKE_COLD => self.make_cold(),
            operation::BEGIN_ISOLATED => {
                let gas = read.u64();
                let mut init = self.running.held.take().ok_or(Exit::Leave)?;
                let begun = self.begin_isolated(&mut init, address, gas, output);
                self.running.held = Some(init);
                begun?;
            }
            operation::END_ISOLATED => self.end_isolated(read, output)?,
            operation::SET_ACCOUNT => self.set_account(address, read, output)?,
            operation::REVERT => self.revert(read),
            operation::EMIT => self.emit(read),
            operation::POSITION => self.write_position(output),
            operation::CHANGES => self.write_changes(output),
            operation::HELD_CODE => self.write_code(address, output)?,
            operation::WRITE_ALL => self.write_all(output),
            operation::EXCHANGE => self.exchange(read.data()),
            operation::WARMTH => self.write_warmth(output),
            operation::LOAD_OPEN => self.load_open(output)?,
            operation::EXCHANGES => self.write_exchanges(output),
            operation::CREATIONS => self.write_creations(output),
            operation::RANDOM => context.chain.accesses.random = read.list(|read| read.address()).into_iter().collect(),
            operation::IS_WARM => {
                let slot = read.word();
                let inner = &context.journaled_state.inner;
                let held = inner.state.get(&address).and_then(|account| account.storage.get(&slot));
                let is_warm = held.is_some_and(|slot| !slot.is_cold_transaction_id(inner.transaction_id));
                output.u32((is_warm || inner.warm_addresses.is_storage_warm(&address, &slot)) as u32);
            }
            operation::LOOK_UP => {
                let account = self.hold(address, output)?;
                let exists = !(account.is_empty() && account.is_loaded_as_not_existing_not_touched());
                let (balance, nonce) = (account.info.balance, account.info.nonce);
                output.u32(exists as u32);
                output.word(balance);
                output.u64(nonce);
            }
            operation::HOOKED => context.chain.accesses.hooked = read.list(|read| read.address()).into_iter().collect(),
            operation::CALL => {
                let target = read.address();
                let input = CallInput::Bytes(Bytes::copy_from_slice(read.data()));
                let code = self.code_to_run(target, output)?;
                let frame = self.evm.frame_stack.get();
                let (depth, interpreter) = (frame.depth + 1, &mut frame.interpreter);
                let inputs = call_inputs(address, target, U256::ZERO, input, interpreter.gas.remaining(), code);
                let memory = interpreter.memory.new_child_context();
                self.running.held = Some(FrameInit { depth, memory, frame_input: FrameInput::Call(Box::new(inputs)) });
            }
            operation::CALLED => {
                self.borders.ended = None;
                self.leave_finished();
                self.evm.frame_stack.get().interpreter.memory.free_child_context();
            }
            operation::CREATED => {
                self.borders.ended = None;
                self.running.held = self.borders.interrupted.pop();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The gas of the frame that made the call. Fails if there is none.
    fn frame_gas(&mut self) -> Result<&mut Gas, Exit> {
        let frames = &mut self.evm.frame_stack;
        if frames.index().is_none() { Err(Exit::Leave) } else { Ok(&mut frames.get().interpreter.gas) }
    }

    /// The gas that the held call takes from its caller.
    fn held_gas(&self) -> u64 {
        match self.running.held.as_ref().map(|init| &init.frame_input) {
            Some(FrameInput::Call(inputs)) => inputs.gas_limit,
            _ => 0,
        }
    }

    /// Write a slot's word: nothing if the session does not hold it, else 1 and the word.
    pub fn peek(&self, input: &[u8], output: &mut Vec<u8>) -> u32 {
        let mut read = Reader(input);
        let account = self.evm.ctx.journaled_state.inner.state.get(&read.address());
        let Some(slot) = account.and_then(|account| account.storage.get(&read.word())) else { return 0 };
        output.word(slot.present_value);
        1
    }
}
