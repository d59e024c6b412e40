//! Borders: where a transaction stops for its observer in Python. These are calls of watched addresses, calls by frames at
//! the depths that the observer asks for, and the ends of the calls that it has entered. While the transaction is stopped,
//! the observer reads and writes accounts; its writes belong to the frame that made the call.

use crate::Ctx;
use crate::amsterdam::spent;
use crate::cheats::{self, messages::write_decision};
use crate::frames::Frames;
use crate::isolation::Isolation;
use crate::native::{Natives, call_inputs};
use crate::protocol::{self, CallRequest, Exit, Interest, answer, call_scheme, enter_flag, mode, operation};
use crate::record;
use crate::session::{Session, bytecode};
use crate::wire::{Reader, Write, write_logs};
use revm::context_interface::CreateScheme;
use revm::handler::FrameResult;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{
    CallInput, CallOutcome, CallScheme, CreateInputs, CreateOutcome, FrameInput, Gas, InstructionResult,
    InterpreterResult,
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
    /// Others of the batch follow the call if it succeeds, as after one that has not stopped.
    pub goes_on: bool,
    /// The held call has stopped already, and is made now.
    pub is_entering: bool,
    /// Depths of the calls that were entered, whose ends stop.
    entered: Vec<usize>,
    /// The end at which the transaction has stopped.
    pub ended: Option<FrameResult>,
    /// An answer whose operations lack a value of the state; it is taken again once the value is there.
    pub unfinished: Vec<u8>,
    /// Calls of cheatcodes that create a contract meanwhile.
    interrupted: Vec<FrameInit>,
    pub isolation: Isolation,
    pub natives: Natives,
    pub frames: Frames,
    pub cheats: cheats::Running,
    /// Python executes all cheatcodes.
    leaves_cheatcodes: bool,
    /// The observer's result, with which the caller goes on.
    pub answer: Option<FrameResult>,
    /// The depth of the call of `answer`.
    pub answer_depth: usize,
    /// The observer has the word: it reads and writes accounts.
    pub is_stopped: bool,
    /// The transaction has stopped at a border, so it cannot begin again.
    pub has_stopped: bool,
}

impl Borders {
    /// Begin a call with an observer: the depths and the addresses that it wants to see.
    pub fn read(read: &mut Reader<'_>) -> Self {
        let mut begun = Self::default();
        begun.see(read.get());
        begun.watched = read.list().into_iter().collect();
        begun
    }

    /// Begin another call, which meets nothing but the watched addresses, and is kept or discarded at its end.
    pub fn begin_again(&mut self) {
        let (watched, leaves_cheatcodes) = (std::mem::take(&mut self.watched), self.leaves_cheatcodes);
        *self = Self { watched, leaves_cheatcodes, at_once: true, goes_on: true, ..Self::default() };
    }

    /// Stop at calls and ends of calls by frames down to these depths, and at the transaction's end unless `at_once`.
    fn see(&mut self, interest: Interest) {
        self.call_depth = interest.calls as usize;
        self.end_depth = interest.ends as usize;
        self.at_once = interest.at_once;
        self.goes_on = interest.goes_on;
        self.leaves_cheatcodes = interest.cheatcodes;
    }

    pub fn is_watched(&self, address: &Address) -> bool {
        self.watched.contains(address)
    }

    /// True for a call of a test, in which cheatcodes may be called.
    pub fn has_cheatcodes(&self) -> bool {
        !self.watched.is_empty()
    }

    pub fn stops_at_cheatcodes(&self) -> bool {
        self.leaves_cheatcodes
    }

    pub fn stops_at(&self, init: &FrameInit) -> bool {
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
        self.entered.len()
    }

    pub fn stop(&mut self) {
        self.is_stopped = true;
        self.has_stopped = true;
        self.at_once = false;
    }
}

/// The modes that cheatcodes change within a call.
const WATCH: u32 = mode::SLOT_ACCESSES | mode::ALL_ACCESSES | mode::ISOLATES | mode::SHOWS_PRICE | mode::SHOWS_BASE_FEE;

/// Return the number of a call's kind.
pub fn scheme_of(scheme: CallScheme) -> u32 {
    match scheme {
        CallScheme::Call => call_scheme::CALL,
        CallScheme::StaticCall => call_scheme::STATICCALL,
        CallScheme::DelegateCall => call_scheme::DELEGATECALL,
        CallScheme::CallCode => call_scheme::CALLCODE,
    }
}

/// Return a requested call or creation. In a delegate call `caller` is the frame's contract, and `sender` what the callee
/// sees.
pub fn request_of(init: &FrameInit, context: &Ctx) -> CallRequest {
    let depth = init.depth as u32;
    match &init.frame_input {
        FrameInput::Call(inputs) => CallRequest {
            depth,
            kind: scheme_of(inputs.scheme),
            is_static: inputs.is_static,
            gas: inputs.gas_limit,
            caller: if inputs.scheme == CallScheme::DelegateCall { inputs.target_address } else { inputs.caller },
            sender: inputs.caller,
            target: inputs.bytecode_address,
            receiver: inputs.target_address,
            value: inputs.value.get(),
            salt: U256::ZERO,
            size: inputs.input.len() as u32,
        },
        FrameInput::Create(inputs) => {
            let caller = inputs.caller();
            let nonce = context.journaled_state.inner.state.get(&caller).map_or(0, |account| account.info.nonce);
            let created = inputs.created_address(nonce);
            let (kind, salt) = match inputs.scheme() {
                CreateScheme::Create2 { salt } => (call_scheme::CREATE2, salt),
                _ => (call_scheme::CREATE, U256::ZERO),
            };
            CallRequest {
                depth,
                kind,
                is_static: false,
                gas: inputs.gas_limit(),
                caller,
                sender: caller,
                target: created,
                receiver: created,
                value: inputs.value(),
                salt,
                size: inputs.init_code().len() as u32,
            }
        }
        FrameInput::Empty => unreachable!("a frame has an input"),
    }
}

/// Return the calldata or the init code of a requested call.
pub fn data_of(init: &FrameInit, context: &Ctx) -> Bytes {
    match &init.frame_input {
        FrameInput::Call(inputs) => inputs.input.bytes(context),
        FrameInput::Create(inputs) => inputs.init_code().clone(),
        FrameInput::Empty => Bytes::new(),
    }
}

impl Session {
    /// Return the exit if the transaction stops before this call.
    pub fn border_before(&mut self, init: &FrameInit, output: &mut Vec<u8>) -> Option<Exit> {
        if !self.borders.stops_at(init) {
            return None;
        }
        self.borders.stop();
        self.write_logs(output);
        self.write_call(init, output);
        write_decision(&self.borders.cheats.decision.take().unwrap_or_default(), output);
        Some(Exit::CALL)
    }

    pub fn write_call(&self, init: &FrameInit, output: &mut Vec<u8>) {
        output.put(request_of(init, &self.evm.ctx));
        output.raw(&data_of(init, &self.evm.ctx));
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
        let is_entered = self.borders.entered.last() == Some(&depth);
        if !is_entered && (depth == 0 || depth > self.borders.end_depth) {
            return Ok(ended);
        }
        if is_entered {
            self.borders.entered.pop();
        }
        self.borders.stop();
        self.write_logs(output);
        let created = match &ended {
            FrameResult::Create(outcome) if outcome.result.is_ok() => outcome.address,
            _ => None,
        };
        let result = ended.instruction_result();
        let data = if result.is_ok_or_revert() { ended.output().into_data() } else { Bytes::new() };
        output.put(protocol::CallEnd {
            depth: depth as u32,
            result: result as u32,
            creates: created.is_some(),
            created: created.unwrap_or_default(),
            size: data.len() as u32,
        });
        output.raw(&data);
        self.borders.ended = Some(ended);
        self.borders.answer_depth = depth;
        Err(if is_entered { Exit::ENTERED_END } else { Exit::CALL_END })
    }

    /// Take the observer's answer at a border, after its operations on accounts. Fails as `operate` does.
    pub fn pass_border(&mut self, read: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Exit> {
        let given: protocol::BorderAnswer = read.get();
        self.operate(read.bytes(given.size), output)?;
        self.borders.is_stopped = false;
        self.borders.see(read.get());
        match given.answer {
            answer::ENTER => {
                let init = self.running.held.as_mut().expect("a call at which it has stopped");
                let protocol::Enter { flags, sender } = read.get();
                if flags & enter_flag::AS_SENDER != 0 {
                    cheats::set_sender(init, sender);
                    self.borders.cheats.enter_as(init.depth, sender);
                }
                self.borders.is_entering = true;
                self.borders.entered.push(init.depth);
            }
            answer::RESULT => {
                let ended = self.borders.ended.take();
                let given: protocol::Result = read.get();
                let created = given.creates.then_some(given.created);
                let output = Bytes::copy_from_slice(read.bytes(given.size));
                let result = if given.success { InstructionResult::Return } else { InstructionResult::Revert };
                if ended.is_none()
                    && let Some(init) = &self.running.held
                    && matches!(init.frame_input, FrameInput::Call(_))
                {
                    record::start(&mut self.evm.ctx, init, false);
                    record::answered(&mut self.evm.ctx, given.success, &output);
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
                        outcome.result.output = if created.is_some() { Bytes::new() } else { output };
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
        self.take_logs();
        self.restart_logs();
        let logs = std::mem::take(&mut self.evm.ctx.chain.logs);
        write_logs(&logs, output);
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
        let protocol::OperationHead { operation, address } = read.get();
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
                output.put(protocol::Amounts { balance: account.info.balance, nonce: account.info.nonce });
            }
            operation::CODE => output.raw(account.info.code.as_ref().map_or(&[], |code| code.original_byte_slice())),
            operation::SET_BALANCE => self.set_balance(address, read.get()),
            operation::SET_NONCE => self.set_nonce(address, read.get()),
            operation::SET_CODE => {
                inner.set_code(address, bytecode(Bytes::copy_from_slice(read.data()), delegates));
            }
            operation::LOAD => match inner.sload(database, address, read.get(), false) {
                Ok(word) => output.put(word.data),
                Err(_) => return Err(self.request(output)),
            },
            operation::STORE => {
                let protocol::SlotWord { slot, word } = read.get();
                if inner.sstore(database, address, slot, word, false).is_err() {
                    return Err(self.request(output));
                }
                inner.touch(address);
            }
            operation::COOL => {
                let given: protocol::Cool = read.get();
                let only = given.has_slot.then_some(given.slot);
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
                let mode: u32 = read.get();
                self.running.mode = self.running.mode & !WATCH | mode & WATCH;
                context.chain.accesses.watch(mode);
            }
            operation::ACCESSES => {
                context.chain.accesses.take(output);
            }
            operation::GAS => {
                let passed = self.held_gas();
                let gas = self.frame_gas()?;
                output.put(gas.total_gas_spent().saturating_sub(passed));
            }
            operation::ENDED_GAS => {
                let ended = self.borders.ended.as_ref().ok_or(Exit::LEAVE)?;
                let (gas, result) = (ended.gas(), ended.instruction_result());
                output.put(protocol::EndedGas {
                    limit: gas.limit(),
                    used: if result.is_ok_or_revert() { spent(gas, result) } else { gas.limit() },
                    refund: if result.is_ok() { gas.refunded() as u64 } else { 0 },
                });
            }
            operation::SET_PRICES => {
                self.environments += 1;
                context.tx.gas_price = read.get();
                context.tx.gas_priority_fee = Some(context.tx.gas_price);
                context.tx.blob_hashes = read.list();
                context.tx.tx_type = if context.tx.blob_hashes.is_empty() { 2 } else { 3 };
            }
            operation::SET_CALLEE => {
                let mut init = self.running.held.take().ok_or(Exit::LEAVE)?;
                self.set_callee(&mut init, address);
                self.running.held = Some(init);
            }
            operation::CREATE => {
                let init = self.running.held.as_mut().ok_or(Exit::LEAVE)?;
                let FrameInput::Call(call) = &init.frame_input else { return Err(Exit::LEAVE) };
                let given: protocol::Creation = read.get();
                let salted = CreateScheme::Create2 { salt: given.salt };
                let scheme = if given.has_salt { salted } else { CreateScheme::Create };
                let code = Bytes::copy_from_slice(read.bytes(given.size));
                let made = CreateInputs::new(address, scheme, given.value, code, call.gas_limit, call.reservoir);
                let made = FrameInput::Create(Box::new(made));
                let made = FrameInit { depth: init.depth, memory: init.memory.clone(), frame_input: made };
                self.borders.interrupted.extend(self.running.held.replace(made));
            }
            operation::MAKE_COLD => self.make_cold(),
            operation::BEGIN_ISOLATED => {
                let gas = read.get();
                let mut init = self.running.held.take().ok_or(Exit::LEAVE)?;
                let begun = self.begin_isolated(&mut init, address, gas, output);
                self.running.held = Some(init);
                begun?;
            }
            operation::END_ISOLATED => self.end_isolated(read, output)?,
            operation::SET_ACCOUNT => self.set_account(address, read, output)?,
            operation::REVERT => self.revert(read),
            operation::EMIT => self.emit(read),
            operation::POSITION => output.put(self.position()),
            operation::CHANGES => self.write_changes(output),
            operation::HELD_CODE => self.write_code(address, output)?,
            operation::WRITE_ALL => self.write_all(output),
            operation::EXCHANGE => self.exchange(read.data()),
            operation::WARMTH => self.write_warmth(output),
            operation::LOAD_OPEN => self.load_open(output)?,
            operation::EXCHANGES => self.write_exchanges(output),
            operation::CREATIONS => self.write_creations(output),
            operation::SNAPSHOT => output.put(self.take_snapshot().unwrap_or_default()),
            operation::RESTORE => self.restore_snapshot(read.get()),
            operation::SET_RANDOM => context.chain.accesses.random = read.list::<Address>().into_iter().collect(),
            operation::IS_WARM => {
                let slot: U256 = read.get();
                let inner = &context.journaled_state.inner;
                let held = inner.state.get(&address).and_then(|account| account.storage.get(&slot));
                let is_warm = held.is_some_and(|slot| !slot.is_cold_transaction_id(inner.transaction_id));
                output.put((is_warm || inner.warm_addresses.is_storage_warm(&address, &slot)) as u32);
            }
            operation::LOOK_UP => {
                let account = self.hold(address, output)?;
                let exists = !(account.is_empty() && account.is_loaded_as_not_existing_not_touched());
                let (balance, nonce) = (account.info.balance, account.info.nonce);
                output.put(protocol::AccountState { exists, balance, nonce });
            }
            operation::SET_HOOKED => context.chain.accesses.hooked = read.list::<Address>().into_iter().collect(),
            operation::CALL => {
                let protocol::ContractCall { target, size } = read.get();
                let input = CallInput::Bytes(Bytes::copy_from_slice(read.bytes(size)));
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
    pub fn frame_gas(&mut self) -> Result<&mut Gas, Exit> {
        let frames = &mut self.evm.frame_stack;
        if frames.index().is_none() { Err(Exit::LEAVE) } else { Ok(&mut frames.get().interpreter.gas) }
    }

    /// The gas that the held call takes from its caller.
    pub fn held_gas(&self) -> u64 {
        match self.running.held.as_ref().map(|init| &init.frame_input) {
            Some(FrameInput::Call(inputs)) => inputs.gas_limit,
            _ => 0,
        }
    }

    /// Write a slot's word: nothing if the session does not hold it, else 1 and the word.
    pub fn peek(&self, input: &[u8], output: &mut Vec<u8>) -> u32 {
        let mut read = Reader(input);
        let protocol::SlotRequest { address, slot } = read.get();
        let account = self.evm.ctx.journaled_state.inner.state.get(&address);
        let Some(slot) = account.and_then(|account| account.storage.get(&slot)) else { return 0 };
        output.put(slot.present_value);
        1
    }
}
