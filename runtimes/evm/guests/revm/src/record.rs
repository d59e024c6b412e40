//! The record of a transaction for a tracer in Python (`runtimes/evm/revm/record.py`): its calls, and what happens in
//! them, in the order of execution. Python takes it in parts, for which the transaction stops, and at the end.

use crate::Ctx;
use crate::amsterdam::spent;
use crate::borders::{data_of, request_of};
use crate::protocol::{self, CallRequest, EndItem, NO_COST, StepItem, call_flag, end_flag, item, step_flag};
use crate::wire::{Reader, Write, flag, overwrite};
use revm::bytecode::opcode;
use revm::context::{Cfg, JournalEntry};
use revm::handler::FrameResult;
use revm::interpreter::interpreter::{EthInterpreter, STACK_LIMIT};
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::interpreter_types::{Jumps, MemoryTr, ReturnData};
use revm::interpreter::{FrameInput, InstructionResult, Interpreter, InterpreterAction};
use revm::primitives::{Address, B256, Bytes, HashSet, KECCAK_EMPTY, Log, U256};
use revm::state::Bytecode;

/// Gas of a call that has ended.
#[derive(Default)]
struct EndGas {
    spent: u64,
    unspent: u64,
    /// Net state gas of a success (EIP-8037).
    state: i64,
    /// Gas that the call has spent on new state, and that its revert gives back.
    returned: u64,
    /// Gas that was spent on the state of new code, beyond what the reservoir had.
    deposit: u64,
}

/// What instructions record.
#[derive(Clone, Copy, PartialEq)]
pub enum Detail {
    Nothing,
    Counters,
    Steps,
}

/// What the steps of an open call need of the one before: the stack's words that it keeps, the memory's size, what it
/// writes to memory, whether it sets return data, and the refunds of the callers and of the frame itself.
#[derive(Clone, Copy, Default)]
struct Place {
    kept: usize,
    memory: usize,
    written: (usize, usize),
    returns: bool,
    refunded: i64,
    refund: i64,
}

/// The step of the instruction in execution: its position, the gas before it, and what the step before has left.
struct Last {
    at: usize,
    gas: u64,
    place: Place,
}

pub struct Record {
    items: Vec<u8>,
    codes: Vec<(B256, Bytecode)>,
    detail: Detail,
    /// Program counters of instructions since the last item.
    counters: Vec<u32>,
    open: Vec<Place>,
    last: Option<Last>,
    /// Size in bytes above which the transaction stops, so that Python takes a part.
    limit: usize,
    /// Position of `items` in the whole record, and the end of what Python has taken of it.
    position: usize,
    taken: usize,
    /// The caller of the last call.
    caller: Address,
    /// Position of the last end.
    last_end: usize,
}

impl Record {
    pub fn new(detail: Detail, limit: usize) -> Self {
        Self {
            items: Vec::new(),
            codes: Vec::new(),
            detail,
            counters: Vec::new(),
            open: Vec::new(),
            last: None,
            limit,
            position: 0,
            taken: 0,
            caller: Address::ZERO,
            last_end: 0,
        }
    }

    /// True if Python has to take a part before the transaction goes on.
    pub fn is_large(&self) -> bool {
        self.items.len() + 4 * self.counters.len() > self.limit
    }

    /// True if instructions are recorded.
    pub fn is_detailed(&self) -> bool {
        self.detail != Detail::Nothing
    }

    /// Begin again. The transaction does the same as before, so Python does not get again what it has taken.
    pub fn clear(&mut self) {
        *self = Self { taken: self.taken, ..Self::new(self.detail, self.limit) };
    }

    /// Write the codes that were not `sent` yet.
    pub fn write_codes(&mut self, sent: &mut HashSet<B256>, output: &mut Vec<u8>) {
        self.codes.retain(|(hash, _)| sent.insert(*hash));
        output.put(self.codes.len() as u32);
        for (hash, code) in self.codes.drain(..) {
            let code = code.original_byte_slice();
            output.put(protocol::RecordedCode { code_hash: hash, size: code.len() as u32 });
            output.raw(code);
        }
    }

    /// Write the items since the last time, and forget them.
    pub fn write_items(&mut self, output: &mut Vec<u8>) {
        self.flush();
        output.raw(&self.items[self.taken.saturating_sub(self.position).min(self.items.len())..]);
        self.position += self.items.len();
        self.taken = self.taken.max(self.position);
        self.items.clear();
    }

    fn flush(&mut self) {
        if !self.counters.is_empty() {
            self.items.put(protocol::CountersItem { item: item::COUNTERS, count: self.counters.len() as u32 });
            for counter in self.counters.drain(..) {
                self.items.put(counter);
            }
        }
    }

    fn start(&mut self, init: &FrameInit, context: &Ctx, is_entered: bool) {
        self.flush();
        let refunded = self.open.last().map_or(0, |place| place.refunded + place.refund);
        self.open.push(Place { refunded, ..Place::default() });
        let state = &context.journaled_state.inner.state;
        let CallRequest { kind, is_static, gas, sender: caller, target: code, receiver: target, value, .. } =
            request_of(init, context);
        let data = data_of(init, context);
        self.caller = caller;
        let (mut flags, mut code_hash) = (call_flag::EXISTS | call_flag::HAS_CODE, KECCAK_EMPTY);
        if let FrameInput::Call(inputs) = &init.frame_input {
            let callee = state.get(&target);
            let exists = callee.is_some_and(|account| !(account.is_empty() && account.is_loaded_as_not_existing()));
            let has_code = state.get(&code).is_some_and(|account| !account.info.is_empty_code_hash());
            flags = flag(exists, call_flag::EXISTS) | flag(has_code, call_flag::HAS_CODE);
            let (hash, bytecode) = &inputs.known_bytecode;
            if !bytecode.is_empty() {
                code_hash = *hash;
                if self.codes.iter().all(|(known, _)| known != hash) {
                    self.codes.push((*hash, bytecode.clone()));
                }
            }
        }
        flags |= flag(is_entered, call_flag::ENTERED);
        self.items.put(protocol::CallItem {
            item: item::CALL as u8,
            kind: kind as u8,
            is_static: is_static as u8,
            flags: flags as u8,
            gas,
            caller,
            code,
            target,
            value,
            code_hash,
            size: data.len() as u32,
        });
        self.items.raw(&data);
    }

    fn end(&mut self, flags: u32, result: InstructionResult, gas: EndGas, data: &[u8]) {
        self.flush();
        self.open.pop();
        self.last_end = self.items.len();
        self.items.put(EndItem {
            item: item::END as u8,
            flags: flags as u8,
            result: result as u16,
            spent: gas.spent,
            unspent: gas.unspent,
            state_gas: gas.state,
            returned: gas.returned,
            deposit: gas.deposit,
            size: data.len() as u32,
        });
        self.items.raw(data);
    }

    /// Set the gas used by the call that has just ended, a transaction of its own.
    pub fn set_spent(&mut self, spent: u64) {
        let mut end: EndItem = Reader(&self.items[self.last_end..]).get();
        end.flags |= end_flag::ISOLATED as u8;
        end.spent = spent;
        overwrite(&mut self.items, self.last_end, &end);
    }

    pub fn log(&mut self, log: &Log) {
        let topics = log.data.topics();
        let (item, count) = (item::LOG as u8, topics.len() as u8);
        self.items.put(protocol::LogItem { item, topics: count, unused: 0, emitter: log.address });
        topics.iter().for_each(|topic| self.items.put(*topic));
        self.items.data(&log.data.data);
    }

    pub fn destruction(&mut self, address: Address, beneficiary: Address, balance: U256) {
        self.items.put(protocol::DestructionItem { item: item::DESTRUCTION, address, beneficiary, balance });
    }

    /// Record an instruction that is about to run.
    fn step(&mut self, frame: &Interpreter<EthInterpreter>) {
        let Some(place) = self.open.last_mut() else { return };
        let (opcode, stack, size) = (frame.bytecode.opcode(), frame.stack.data(), paid_memory(frame));
        let kept = place.kept.min(stack.len());
        let start = place.written.0.min(size);
        let end = place.written.0.saturating_add(place.written.1).min(size);
        let has_memory = size != place.memory || start < end;
        let flags = flag(has_memory, step_flag::MEMORY) | flag(place.returns, step_flag::RETURN_DATA);
        let refund = frame.gas.refunded();
        let (at, items) = (self.items.len(), &mut self.items);
        items.put(StepItem {
            item: item::STEP as u8,
            flags: flags as u8,
            opcode,
            unused: 0,
            counter: frame.bytecode.pc() as u32,
            gas: frame.gas.remaining(),
            cost: NO_COST,
            refund: place.refunded + refund,
            kept: kept as u16,
            pushed: (stack.len() - kept) as u16,
        });
        for word in &stack[kept..] {
            items.raw(word.as_le_slice());
        }
        if has_memory {
            let length = (end - start) as u32;
            items.put(protocol::MemoryItem { size: size as u32, start: start as u32, length });
            items.raw(&frame.memory.slice(start..end));
        }
        if place.returns {
            items.data(frame.return_data.buffer());
        }
        self.last = Some(Last { at, gas: frame.gas.remaining(), place: *place });
        let kept = stack.len().saturating_sub(changed_words(opcode));
        let (written, returns) = (written(opcode, stack), is_call(opcode));
        *place = Place { kept, memory: size, written, returns, refund, ..*place };
    }

    /// Note the cost of the instruction that has run: `left` is the gas after it, with what it has given to a creation.
    pub fn settle(&mut self, left: u64) {
        if let Some(last) = self.last.take() {
            let mut step: StepItem = Reader(&self.items[last.at..]).get();
            step.cost = last.gas as i64 - left as i64;
            overwrite(&mut self.items, last.at, &step);
        }
    }

    /// Note how the frame's last instruction has ended, or the frame's call.
    pub fn settle_action(&mut self, action: &InterpreterAction, left: u64) {
        match action {
            InterpreterAction::NewFrame(FrameInput::Create(inputs)) => self.settle(left + inputs.gas_limit()),
            InterpreterAction::Return(ended) if !ended.result.is_ok_or_revert() => self.last = None,
            _ => self.settle(left),
        }
    }

    /// Forget an instruction that stopped, and will run again.
    pub fn forget_step(&mut self) {
        self.counters.pop();
        if let Some(last) = self.last.take() {
            self.items.truncate(last.at);
            if let Some(place) = self.open.last_mut() {
                *place = last.place;
            }
        }
    }
}

/// Return the size of the memory, without what an instruction has added that stopped.
fn paid_memory(frame: &Interpreter<EthInterpreter>) -> usize {
    32 * frame.gas.memory().words_num
}

fn is_call(number: u8) -> bool {
    use opcode::*;
    matches!(number, CREATE | CALL | CALLCODE | DELEGATECALL | CREATE2 | STATICCALL)
}

/// Return the number of words at the top of the stack that an instruction may change.
fn changed_words(number: u8) -> usize {
    use opcode::*;
    match number {
        DUP1..=DUP16 => 0,
        DUPN | SWAPN | EXCHANGE => STACK_LIMIT,
        _ => OPCODE_INFO[number as usize].map_or(STACK_LIMIT, |info| info.inputs() as usize),
    }
}

/// Return the offset and size of what an instruction writes to memory.
fn written(number: u8, stack: &[U256]) -> (usize, usize) {
    use opcode::*;
    let word = |position: usize| stack.iter().nth_back(position).map_or(0, |word| word.saturating_to::<usize>());
    match number {
        MSTORE => (word(0), 32),
        MSTORE8 => (word(0), 1),
        CALLDATACOPY | CODECOPY | RETURNDATACOPY | MCOPY => (word(0), word(2)),
        EXTCODECOPY => (word(1), word(3)),
        CALL | CALLCODE => (word(5), word(6)),
        DELEGATECALL | STATICCALL => (word(4), word(5)),
        _ => (0, 0),
    }
}

/// Record a call that is about to be made; `is_entered` if a native actor makes it.
pub fn start(context: &mut Ctx, init: &FrameInit, is_entered: bool) {
    let Some(mut record) = context.chain.record.take() else { return };
    record.start(init, context, is_entered);
    context.chain.record = Some(record);
}

/// Record the end of a call; `is_early` if it had no frame of its own. `reservoir` is its state gas before it paid for
/// new code.
pub fn end(context: &mut Ctx, ended: &FrameResult, is_early: bool, reservoir: u64) {
    let Some(mut record) = context.chain.record.take() else { return };
    let (result, gas) = (ended.instruction_result(), ended.gas());
    let flags = flag(is_early, end_flag::EARLY);
    let output = ended.output();
    let mut amounts = EndGas { spent: gas.limit(), unspent: gas.remaining(), ..EndGas::default() };
    if result.is_ok_or_revert() {
        amounts.spent = spent(gas, result);
        amounts.returned = gas.total_gas_spent() - amounts.spent;
        amounts.unspent = 0;
    }
    if result.is_ok() {
        amounts.state = gas.state_gas_spent();
        if matches!(ended, FrameResult::Create(_)) {
            let cost = context.cfg.gas_params.code_deposit_state_gas(output.data().len());
            amounts.deposit = cost.saturating_sub(reservoir);
        }
    }
    // A creation that cannot pay for its code has the code as its output.
    let has_output = result.is_ok_or_revert() || result == InstructionResult::OutOfGas;
    let output = if has_output { output.data().as_ref() } else { &[] };
    if result == InstructionResult::OutOfFunds {
        let caller = context.journaled_state.inner.state.get(&record.caller);
        let balance = caller.map_or(U256::ZERO, |account| account.info.balance);
        record.end(flags, result, amounts, &balance.to_be_bytes::<32>());
    } else if let Some(excess) = excess(context, ended) {
        record.end(flags, result, amounts, &excess);
    } else {
        record.end(flags, result, amounts, output);
    }
    context.chain.record = Some(record);
}

/// Return the size of code that was too long, and its limit, for the end of a call by it.
pub fn excess(context: &Ctx, ended: &FrameResult) -> Option<Vec<u8>> {
    let (size, limit) = match ended.instruction_result() {
        InstructionResult::CreateContractSizeLimit => (ended.output().data().len(), context.cfg.max_code_size()),
        InstructionResult::CreateInitCodeSizeLimit => (context.chain.init_code_size, context.cfg.max_initcode_size()),
        _ => return None,
    };
    let mut excess = Vec::new();
    excess.put(protocol::CodeExcess { size: size as u32, limit: limit as u32 });
    Some(excess)
}

/// Note a call that has ended: it may explain why its callers fail, until one of them explains itself. `transfer` is the
/// value and the receiver of one without a frame.
pub fn note_cause(context: &mut Ctx, ended: &FrameResult, (value, to): (U256, Address)) {
    let result = ended.instruction_result();
    let excess = excess(context, ended);
    let cause = &mut context.chain.cause;
    if excess.is_some() || result == InstructionResult::OverflowPayment {
        cause.clear();
        cause.put(protocol::Cause { result: result as u32, value, to });
        cause.raw(excess.as_ref().map_or(&[], |excess| excess));
    } else {
        use InstructionResult as R;
        let is_silent = match result {
            R::Revert => ended.output().data().is_empty(),
            R::OutOfGas | R::MemoryOOG | R::MemoryLimitOOG | R::InvalidOperandOOG => true,
            _ => false,
        };
        if !is_silent {
            cause.clear();
        }
    }
}

/// Record the end of a call that was not made because the observer has answered it.
pub fn answered(context: &mut Ctx, success: bool, output: &Bytes) {
    if let Some(record) = &mut context.chain.record {
        let result = if success { InstructionResult::Return } else { InstructionResult::Revert };
        record.end(end_flag::ANSWERED, result, EndGas::default(), output);
    }
}

/// Record a slot's change by the instruction that has pushed journal entries since `entries`.
pub fn slot(context: &mut Ctx, entries: usize, refund: i64) {
    let inner = &context.journaled_state.inner;
    let Some(record) = &mut context.chain.record else { return };
    if let Some(JournalEntry::StorageChanged { address, key, had_value }) = inner.journal[entries..].last() {
        let after = inner.state[address].storage[key].present_value;
        record.items.put(protocol::SlotItem { item: item::SLOT, slot: *key, before: *had_value, after, refund });
    }
}

/// Record an instruction that is about to run; return false if Python has to take a part of the record before.
pub fn before(frame: &mut Interpreter<EthInterpreter>, context: &mut Ctx) -> bool {
    let Some(record) = &mut context.chain.record else { return true };
    record.settle(frame.gas.remaining());
    if record.is_detailed() && record.is_large() {
        return false;
    }
    match record.detail {
        Detail::Nothing => {}
        Detail::Counters => record.counters.push(frame.bytecode.pc() as u32),
        Detail::Steps => record.step(frame),
    }
    true
}
