//! The record of a transaction for a tracer in Python (`runtimes/evm/ethereum/record.py`): its calls, and what happens in
//! them, in the order of execution. Python takes it in parts, for which the transaction stops, and at the end.

use crate::Ctx;
use crate::amsterdam::spent;
use crate::forks::Instructions;
use crate::instructions::run_stepwise;
use crate::wire::Write;
use revm::context::JournalEntry;
use revm::context_interface::CreateScheme;
use revm::handler::FrameResult;
use revm::handler::instructions::InstructionProvider;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::interpreter_types::Jumps;
use revm::interpreter::{CallScheme, FrameInput, InstructionResult, Interpreter, InterpreterAction};
use revm::primitives::{Address, B256, Bytes, HashSet, KECCAK_EMPTY, Log, U256};
use revm::state::Bytecode;

mod item {
    pub const START: u32 = 0;
    pub const END: u32 = 1;
    pub const LOG: u32 = 2;
    pub const SLOT: u32 = 3;
    pub const DESTRUCTION: u32 = 4;
    pub const COUNTERS: u32 = 5;
}

/// The callee's account exists.
const EXISTS: u32 = 1;
/// The account whose code runs has code.
const HAS_CODE: u32 = 2;

/// The call ended without a frame of its own.
const EARLY: u32 = 1;
/// The observer has answered instead of the callee.
const ANSWERED: u32 = 2;

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

pub struct Record {
    items: Vec<u8>,
    codes: Vec<(B256, Bytecode)>,
    /// Program counters of instructions since the last item; None if they are not recorded.
    counters: Option<Vec<u32>>,
    /// Size in bytes above which the transaction stops, so that Python takes a part.
    limit: usize,
    /// Position of `items` in the whole record, and the end of what Python has taken of it.
    position: usize,
    taken: usize,
    /// The caller of the last call.
    caller: Address,
    /// Position of the last end.
    last_end: usize,
    /// A frame has ended in a way that only Python can explain.
    pub is_unknown: bool,
}

impl Record {
    pub fn new(counts: bool, limit: usize) -> Self {
        Self {
            items: Vec::new(),
            codes: Vec::new(),
            counters: counts.then(Vec::new),
            limit,
            position: 0,
            taken: 0,
            caller: Address::ZERO,
            last_end: 0,
            is_unknown: false,
        }
    }

    /// True if Python has to take a part before the transaction goes on.
    pub fn is_large(&self) -> bool {
        self.items.len() + 4 * self.counters.as_ref().map_or(0, Vec::len) > self.limit
    }

    /// True if program counters are recorded.
    pub fn counts(&self) -> bool {
        self.counters.is_some()
    }

    /// Begin again. The transaction does the same as before, so Python does not get again what it has taken.
    pub fn clear(&mut self) {
        *self = Self { taken: self.taken, ..Self::new(self.counters.is_some(), self.limit) };
    }

    /// Write the codes that were not `sent` yet.
    pub fn write_codes(&mut self, sent: &mut HashSet<B256>, output: &mut Vec<u8>) {
        self.codes.retain(|(hash, _)| sent.insert(*hash));
        output.u32(self.codes.len() as u32);
        for (hash, code) in self.codes.drain(..) {
            output.raw(hash.as_slice());
            output.data(code.original_byte_slice());
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
        if let Some(counters) = &mut self.counters
            && !counters.is_empty()
        {
            self.items.u32(item::COUNTERS);
            self.items.u32(counters.len() as u32);
            for counter in counters.iter() {
                self.items.u32(*counter);
            }
            counters.clear();
        }
    }

    fn start(&mut self, init: &FrameInit, context: &Ctx) {
        self.flush();
        let state = &context.journaled_state.inner.state;
        let mut head = |kind: u32, is_static: bool, flags: u32, gas: u64, addresses: [Address; 3]| {
            self.items.u32(item::START | kind << 8 | (is_static as u32) << 16 | flags << 24);
            self.items.u64(gas);
            for address in addresses {
                self.items.raw(address.as_slice());
            }
        };
        match &init.frame_input {
            FrameInput::Call(inputs) => {
                self.caller = inputs.caller;
                let kind = match inputs.scheme {
                    CallScheme::Call => 0,
                    CallScheme::StaticCall => 1,
                    CallScheme::DelegateCall => 2,
                    CallScheme::CallCode => 3,
                };
                let callee = state.get(&inputs.target_address);
                let exists = callee.is_some_and(|account| !(account.is_empty() && account.is_loaded_as_not_existing()));
                let code = state.get(&inputs.bytecode_address);
                let has_code = code.is_some_and(|account| !account.info.is_empty_code_hash());
                let flags = if exists { EXISTS } else { 0 } | if has_code { HAS_CODE } else { 0 };
                let (hash, bytecode) = &inputs.known_bytecode;
                head(
                    kind,
                    inputs.is_static,
                    flags,
                    inputs.gas_limit,
                    [inputs.caller, inputs.bytecode_address, inputs.target_address],
                );
                self.items.word(inputs.value.get());
                let hash = if bytecode.is_empty() { KECCAK_EMPTY } else { *hash };
                self.items.raw(hash.as_slice());
                self.items.data(&inputs.input.as_bytes(context));
                if !bytecode.is_empty() && self.codes.iter().all(|(known, _)| *known != hash) {
                    self.codes.push((hash, bytecode.clone()));
                }
            }
            FrameInput::Create(inputs) => {
                self.caller = inputs.caller();
                let caller = state.get(&inputs.caller());
                let address = inputs.created_address(caller.map_or(0, |account| account.info.nonce));
                let kind = if matches!(inputs.scheme(), CreateScheme::Create2 { .. }) { 5 } else { 4 };
                head(kind, false, EXISTS | HAS_CODE, inputs.gas_limit(), [inputs.caller(), address, address]);
                self.items.word(inputs.value());
                self.items.raw(KECCAK_EMPTY.as_slice());
                self.items.data(inputs.init_code());
            }
            FrameInput::Empty => unreachable!("a frame has an input"),
        }
    }

    fn end(&mut self, flags: u32, result: InstructionResult, gas: EndGas, data: &[u8]) {
        self.flush();
        self.last_end = self.items.len();
        self.items.u32(item::END | flags << 8 | (result as u32) << 16);
        for amount in [gas.spent, gas.unspent, gas.state as u64, gas.returned, gas.deposit] {
            self.items.u64(amount);
        }
        self.items.data(data);
    }

    /// Set the gas used by the call that has just ended, a transaction of its own.
    pub fn set_spent(&mut self, spent: u64) {
        let at = self.last_end + 4;
        self.items[at..at + 8].copy_from_slice(&spent.to_le_bytes());
    }

    pub fn log(&mut self, log: &Log) {
        self.items.u32(item::LOG | (log.data.topics().len() as u32) << 8);
        self.items.raw(log.address.as_slice());
        for topic in log.data.topics() {
            self.items.raw(topic.as_slice());
        }
        self.items.data(&log.data.data);
    }

    pub fn destruction(&mut self, address: Address, beneficiary: Address, balance: U256) {
        self.items.u32(item::DESTRUCTION);
        self.items.raw(address.as_slice());
        self.items.raw(beneficiary.as_slice());
        self.items.word(balance);
    }

    /// Forget the program counter of an instruction that stopped, and will run again.
    pub fn forget_counter(&mut self) {
        if let Some(counters) = &mut self.counters {
            counters.pop();
        }
    }
}

/// Record a call that is about to be made.
pub fn start(context: &mut Ctx, init: &FrameInit) {
    let Some(mut record) = context.chain.record.take() else { return };
    record.start(init, context);
    context.chain.record = Some(record);
}

/// Record the end of a call; `is_early` if it had no frame of its own. `reservoir` is its state gas before it paid for
/// new code.
pub fn end(context: &mut Ctx, ended: &FrameResult, is_early: bool, reservoir: u64) {
    let Some(mut record) = context.chain.record.take() else { return };
    let (result, gas) = (ended.instruction_result(), ended.gas());
    record.is_unknown |= matches!(
        result,
        InstructionResult::OverflowPayment
            | InstructionResult::NonceOverflow
            | InstructionResult::CreateContractSizeLimit
            | InstructionResult::CreateInitCodeSizeLimit
    );
    let flags = if is_early { EARLY } else { 0 };
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
    let output = if result.is_ok() || result == InstructionResult::Revert { output.data().as_ref() } else { &[] };
    if result == InstructionResult::OutOfFunds {
        let caller = context.journaled_state.inner.state.get(&record.caller);
        let balance = caller.map_or(U256::ZERO, |account| account.info.balance);
        record.end(flags, result, amounts, &balance.to_be_bytes::<32>());
    } else {
        record.end(flags, result, amounts, output);
    }
    context.chain.record = Some(record);
}

/// Record the end of a call that was not made because the observer has answered it.
pub fn answered(context: &mut Ctx, success: bool, output: &Bytes) {
    if let Some(record) = &mut context.chain.record {
        let result = if success { InstructionResult::Return } else { InstructionResult::Revert };
        record.end(ANSWERED, result, EndGas::default(), output);
    }
}

/// Record a slot's change by the instruction that has pushed journal entries since `entries`.
pub fn slot(context: &mut Ctx, entries: usize, refund: i64) {
    let inner = &context.journaled_state.inner;
    let Some(record) = &mut context.chain.record else { return };
    if let Some(JournalEntry::StorageChanged { address, key, had_value }) = inner.journal[entries..].last() {
        record.items.u32(item::SLOT);
        record.items.word(*key);
        record.items.word(*had_value);
        record.items.word(inner.state[address].storage[key].present_value);
        record.items.u64(refund as u64);
    }
}

/// Run a frame as far as it can go, and record the program counter of each instruction, if that is asked for.
pub fn run(
    frame: &mut Interpreter<EthInterpreter>,
    table: &Instructions,
    context: &mut Ctx,
) -> Option<InterpreterAction> {
    let counts = context.chain.record.as_ref().is_some_and(|record| record.counts());
    if !counts {
        return Some(frame.run_plain(table.instruction_table(), table.gas_table(), context));
    }
    run_stepwise(frame, table, context, |frame, context| {
        let Some(record) = &mut context.chain.record else { return true };
        if record.is_large() {
            return false;
        }
        if let Some(counters) = &mut record.counters {
            counters.push(frame.bytecode.pc() as u32);
        }
        true
    })
}
