//! The instruction table: revm's, with the instructions that read the state stopping at a missing value, and those that
//! make an execution long counting, so that it stops.

use crate::Ctx;
use crate::accesses::{self, Accesses};
use crate::database::Missing;
use crate::forks::Instructions;
use crate::jumps::JumpLog;
use crate::keccak;
use crate::native::Native;
use crate::record::{self, Record};
use crate::regions::{self, Regions};
use revm::bytecode::opcode;
use revm::context::JournalEntry;
use revm::handler::instructions::InstructionProvider;
use revm::interpreter::instructions::{contract, control, host, instruction_table};
use revm::interpreter::interpreter::{EthInterpreter, STACK_LIMIT, resize_memory};
use revm::interpreter::interpreter_types::{InputsTr, Jumps, LoopControl};
use revm::interpreter::{
    Gas, Instruction, InstructionContext, InstructionExecResult, InstructionResult, InstructionTable, Interpreter,
    InterpreterAction, as_usize_or_fail, gas, popn_top,
};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, KECCAK_EMPTY, Log, U256};

pub type Frame = Interpreter<EthInterpreter>;
pub type In<'a> = InstructionContext<'a, Ctx, EthInterpreter>;

/// How long a transaction may still run, and why a frame stopped before an instruction.
#[derive(Default)]
pub struct Control {
    /// Executed jumpdests, created frames and gas of regions (`regions::STEP_GAS`), after which it stops.
    pub steps_left: u32,
    /// Steps after these; none if it may run no longer.
    pub steps_after: u32,
    /// Executed jumpdests without a region, after which code is hot.
    pub heat_left: u32,
    pub regions: Regions,
    /// Hashed words and gas of precompiles count as steps too, and frames as more: each as a loop of the same time.
    pub is_short: bool,
    /// All logs are kept for the observer, also those of frames that fail.
    pub keeps_logs: bool,
    pub logs: Vec<Log>,
    pub stopped: Option<Stopped>,
    /// The record for a tracer, if one is asked for.
    pub record: Option<Box<Record>>,
    pub jumps: JumpLog,
    pub accesses: Accesses,
    /// Frames use no gas.
    pub pauses: bool,
    /// Gas of frames, with its refunds, by depth, when they began or were paused.
    pub paused: Vec<(usize, Gas)>,
    /// Calls of the first frame have been transactions of their own.
    pub isolates: bool,
    /// Size of the last init code that was too long.
    pub init_code_size: usize,
    /// The last failed call whose message names values, while its callers fail because of it.
    pub cause: Vec<u8>,
}

/// Gas of a precompile that takes the time of a step.
const STEP_GAS: u64 = 4;
/// Steps that take the time of creating a frame.
const FRAME_STEPS: u32 = 16;

impl Control {
    pub fn count_frame(&mut self) {
        self.steps_left = self.steps_left.saturating_sub(if self.is_short { FRAME_STEPS } else { 1 });
    }

    /// Give it the steps to the next stop.
    pub fn go_on(&mut self, steps: u32) {
        self.steps_left = steps.min(self.steps_after);
        self.steps_after -= self.steps_left;
    }

    /// True if Python has to take a part of the record before the transaction goes on.
    pub fn is_record_large(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.is_large())
    }

    /// True if instructions are recorded.
    fn is_stepwise(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.is_detailed())
    }

    pub fn count_precompile(&mut self, gas: u64) {
        if self.is_short {
            self.steps_left = self.steps_left.saturating_sub((gas / STEP_GAS).try_into().unwrap_or(u32::MAX));
        }
    }
}

/// What undoes the attempt of an instruction.
pub struct Stopped {
    gas: Gas,
    stack: usize,
    pub entries: usize,
}

pub fn remember(frame: &Frame, context: &Ctx) -> Stopped {
    Stopped { gas: frame.gas, stack: frame.stack.len(), entries: context.journaled_state.inner.journal.len() }
}

/// Undo an instruction that stopped, so that the frame runs it again. Static gas was charged before `remember`.
pub fn undo(frame: &mut Frame, context: &mut Ctx, stopped: Stopped, gas_table: &[u16; 256]) {
    frame.bytecode.relative_jump(-1);
    frame.gas = stopped.gas;
    frame.gas.erase_cost(gas_table[frame.bytecode.opcode() as usize] as u64);
    // The values that the instruction has taken are still there: it has not written to the stack.
    unsafe { frame.stack.data_mut().set_len(stopped.stack) };
    revert_entries(context, stopped.entries);
}

/// Undo what an instruction that stopped has done to the state, after this number of entries.
pub fn revert_entries(context: &mut Ctx, entries: usize) {
    let inner = &mut context.journaled_state.inner;
    let clears = inner.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
    for entry in inner.journal.drain(entries..).rev() {
        use revm::context_interface::journaled_state::entry::JournalEntryTr;
        entry.revert(&mut inner.state, None, clears);
    }
    context.error = Ok(());
}

macro_rules! stopping {
    ($($name:ident = $inner:path;)*) => {$(
        fn $name(input: In<'_>) -> InstructionExecResult {
            let before = remember(input.interpreter, input.host);
            let result = $inner(InstructionContext { interpreter: &mut *input.interpreter, host: &mut *input.host });
            if result == Err(InstructionResult::FatalExternalError) {
                input.host.chain.stopped = Some(before);
            }
            result
        }
    )*};
}

stopping! {
    stopping_balance = host::balance;
    stopping_extcodesize = host::extcodesize;
    stopping_extcodehash = host::extcodehash;
    stopping_extcodecopy = host::extcodecopy;
    blockhash = host::blockhash;
    stopping_sload = host::sload;
    stopping_sstore = host::sstore;
    stopping_net_sstore = priced_net_sstore;
    stopping_selfdestruct = host::selfdestruct;
    call = contract::call::<{ opcode::CALL }, _, _>;
    callcode = contract::call::<{ opcode::CALLCODE }, _, _>;
    delegatecall = contract::call::<{ opcode::DELEGATECALL }, _, _>;
    staticcall = contract::call::<{ opcode::STATICCALL }, _, _>;
    create = contract::create::<false, _, _>;
    create2 = contract::create::<true, _, _>;
}

fn balance(input: In<'_>) -> InstructionExecResult {
    accesses::account(input, opcode::BALANCE, stopping_balance)
}

fn extcodesize(input: In<'_>) -> InstructionExecResult {
    accesses::account(input, opcode::EXTCODESIZE, stopping_extcodesize)
}

fn extcodecopy(input: In<'_>) -> InstructionExecResult {
    accesses::account(input, opcode::EXTCODECOPY, stopping_extcodecopy)
}

fn extcodehash(input: In<'_>) -> InstructionExecResult {
    let address = input.interpreter.stack.peek(0).unwrap_or_default();
    let instruction = InstructionContext { interpreter: &mut *input.interpreter, host: &mut *input.host };
    accesses::account(instruction, opcode::EXTCODEHASH, stopping_extcodehash)?;
    let native = input.host.journaled_state.database.native(&Address::from_word(address.into()));
    if matches!(native, Some((Native::Precompile, _)))
        && let Some(top) = input.interpreter.stack.data_mut().last_mut()
        && top.is_zero()
    {
        *top = KECCAK_EMPTY.into(); // as on Filecoin
    }
    Ok(())
}

fn sload(input: In<'_>) -> InstructionExecResult {
    accesses::slot(input, false, stopping_sload)
}

fn sstore(input: In<'_>) -> InstructionExecResult {
    accesses::slot(input, true, |input| traced_sstore(input, stopping_sstore))
}

/// SSTORE with net prices, also where little gas is left (EIP-1283, before EIP-2200).
pub fn net_sstore(input: In<'_>) -> InstructionExecResult {
    accesses::slot(input, true, |input| traced_sstore(input, stopping_net_sstore))
}

fn priced_net_sstore(input: In<'_>) -> InstructionExecResult {
    host::sstore_with_gas_accounting(input, |input, _, load| {
        let prices = &input.host.cfg.gas_params;
        let (price, refund) = (prices.sstore_dynamic_gas(true, load, load.is_cold), prices.sstore_refund(true, load));
        gas!(input.interpreter, price);
        input.interpreter.gas.record_refund(refund);
        Ok(())
    })
}

pub fn count(input: &mut In<'_>, steps: u32) -> InstructionExecResult {
    let left = &mut input.host.chain.steps_left;
    if *left == 0 {
        input.host.chain.stopped = Some(remember(input.interpreter, input.host));
        return Err(InstructionResult::FatalExternalError);
    }
    *left = left.saturating_sub(steps);
    Ok(())
}

/// Count and record a jumpdest that is interpreted.
pub fn heat(input: &mut In<'_>) -> InstructionExecResult {
    let left = &mut input.host.chain.heat_left;
    *left = left.saturating_sub(1);
    if *left == 0 {
        input.host.chain.stopped = Some(remember(input.interpreter, input.host));
        return Err(InstructionResult::FatalExternalError);
    }
    let jumps = &mut input.host.chain.jumps;
    if jumps.is_recording {
        jumps.add(input.interpreter.bytecode.pc() - 1);
    }
    Ok(())
}

fn jumpdest(mut input: In<'_>) -> InstructionExecResult {
    count(&mut input, 1)?;
    heat(&mut input)?;
    control::jumpdest(input)
}

/// As revm's, with a faster hash.
fn keccak256(mut input: In<'_>) -> InstructionExecResult {
    if input.host.chain.is_short
        && let Ok(size) = input.interpreter.stack.peek(1)
    {
        count(&mut input, size.saturating_to::<u32>() / 32)?;
    }
    let (frame, context) = (input.interpreter, input.host);
    popn_top!([offset], top, frame);
    let size = as_usize_or_fail!(frame, top);
    gas!(frame, context.cfg.gas_params.keccak256_cost(size));
    if size == 0 {
        *top = KECCAK_EMPTY.into();
        return Ok(());
    }
    let offset = as_usize_or_fail!(frame, offset);
    resize_memory(&mut frame.gas, &mut frame.memory, &context.cfg.gas_params, offset, size)?;
    let hash = U256::from_be_bytes(keccak::keccak256(&frame.memory.slice_len(offset, size)));
    *top = hash;
    context.chain.accesses.hash(frame, offset, size, hash);
    Ok(())
}

fn log<const N: usize>(input: In<'_>) -> InstructionExecResult {
    let chain = &input.host.chain;
    if !chain.is_stepwise() && chain.is_record_large() {
        input.host.chain.stopped = Some(remember(input.interpreter, input.host));
        return Err(InstructionResult::FatalExternalError);
    }
    let before = input.host.journaled_state.inner.logs.len();
    host::log::<N, _>(InstructionContext { interpreter: &mut *input.interpreter, host: &mut *input.host })?;
    note_logs(input.host, before);
    Ok(())
}

/// Keep and record the logs after the first ones.
pub fn note_logs(context: &mut Ctx, before: usize) {
    let (chain, logs) = (&mut context.chain, &context.journaled_state.inner.logs);
    for log in &logs[before.min(logs.len())..] {
        if chain.keeps_logs {
            chain.logs.push(log.clone());
        }
        if let Some(record) = &mut chain.record {
            record.log(log);
        }
    }
}

fn traced_sstore(input: In<'_>, instruction: fn(In<'_>) -> InstructionExecResult) -> InstructionExecResult {
    let (entries, refunded) = (input.host.journaled_state.inner.journal.len(), input.interpreter.gas.refunded());
    instruction(InstructionContext { interpreter: &mut *input.interpreter, host: &mut *input.host })?;
    if input.host.chain.record.is_some() {
        record::slot(input.host, entries, input.interpreter.gas.refunded() - refunded);
    }
    Ok(())
}

fn selfdestruct(input: In<'_>) -> InstructionExecResult {
    let address = input.interpreter.input.target_address();
    let inner = &mut input.host.journaled_state.inner;
    let mut balance = U256::ZERO;
    if let Some(account) = inner.state.get_mut(&address) {
        balance = account.info.balance;
        // As in forge, a contract is new until the test's call ends, also in its isolated calls.
        let is_creation =
            |entry: &JournalEntry| matches!(entry, JournalEntry::AccountCreated { address: of, .. } if *of == address);
        if input.host.chain.isolates && account.is_created() && inner.journal.iter().any(is_creation) {
            account.mark_created_locally();
        }
    }
    let beneficiary = input.interpreter.stack.peek(0).unwrap_or_default();
    let beneficiary = Address::from_word(beneficiary.into());
    let logs = input.host.journaled_state.inner.logs.len();
    let instruction = InstructionContext { interpreter: &mut *input.interpreter, host: &mut *input.host };
    let result = accesses::account(instruction, opcode::SELFDESTRUCT, stopping_selfdestruct);
    note_logs(input.host, logs);
    if result == Err(InstructionResult::SelfDestruct)
        && let Some(record) = &mut input.host.chain.record
    {
        record.destruction(address, beneficiary, balance);
    }
    result
}

/// The instructions; those of later forks fail by themselves.
pub const INSTRUCTIONS: InstructionTable<EthInterpreter, Ctx> = table();

const fn table() -> InstructionTable<EthInterpreter, Ctx> {
    let mut table = instruction_table::<EthInterpreter, Ctx>();
    macro_rules! set {
        ($($opcode:ident = $function:expr;)*) => { $(table[opcode::$opcode as usize] = Instruction::new($function);)* };
    }
    set! {
        BALANCE = balance;
        EXTCODESIZE = extcodesize;
        EXTCODEHASH = extcodehash;
        EXTCODECOPY = extcodecopy;
        BLOCKHASH = blockhash;
        SLOAD = sload;
        SSTORE = sstore;
        SELFDESTRUCT = selfdestruct;
        CALL = call;
        CALLCODE = callcode;
        DELEGATECALL = delegatecall;
        STATICCALL = staticcall;
        CREATE = create;
        CREATE2 = create2;
        JUMPDEST = jumpdest;
        KECCAK256 = keccak256;
        LOG0 = log::<0>;
        LOG1 = log::<1>;
        LOG2 = log::<2>;
        LOG3 = log::<3>;
        LOG4 = log::<4>;
    }
    table
}

/// Run a frame as `Interpreter::run_plain` does, and record its instructions, as far as the record goes; with `paused` gas,
/// none is used.
fn run_stepwise(
    frame: &mut Frame,
    table: &Instructions,
    context: &mut Ctx,
    paused: Option<Gas>,
) -> Option<InterpreterAction> {
    let ended = loop {
        if let Some(gas) = paused {
            let memory = *frame.gas.memory();
            frame.gas = gas;
            *frame.gas.memory_mut() = memory; // what it has is paid
        }
        if !record::before(frame, context) {
            return None;
        }
        if let Err(ended) = frame.step(table.instruction_table(), table.gas_table(), context) {
            break ended;
        }
    };
    if frame.bytecode.action().is_none() {
        frame.halt(ended);
    }
    Some(frame.take_next_action())
}

/// Run a frame that uses no gas, as far as it can go.
fn run_paused(frame: &mut Frame, depth: usize, table: &Instructions, context: &mut Ctx) -> Option<InterpreterAction> {
    let paused = &mut context.chain.paused;
    paused.retain(|(other, _)| *other <= depth);
    let gas = match paused.last() {
        Some((last, gas)) if *last == depth => *gas,
        _ => {
            paused.push((depth, frame.gas));
            frame.gas
        }
    };
    let mut action = run_stepwise(frame, table, context, Some(gas));
    if let Some(InterpreterAction::Return(ended)) = &mut action {
        ended.gas = gas;
    }
    action
}

/// Run a frame until it ends, makes a call, or stops (None).
pub fn run(frame: &mut Frame, depth: usize, table: &Instructions, context: &mut Ctx) -> Option<InterpreterAction> {
    let mut action = if context.chain.pauses {
        run_paused(frame, depth, table, context)
    } else if !(context.chain.accesses.has_all || context.chain.is_stepwise())
        && context.chain.regions.select(&frame.bytecode)
    {
        regions::begin(frame, context);
        Some(frame.run_plain(&table.regions, table.gas_table(), context))
    } else if context.chain.is_stepwise() {
        run_stepwise(frame, table, context, None)
    } else {
        Some(frame.run_plain(table.instruction_table(), table.gas_table(), context))
    }?;
    if let InterpreterAction::Return(ended) = &mut action
        && ended.result == InstructionResult::StackOverflow
        && frame.stack.len() < STACK_LIMIT
    {
        ended.result = InstructionResult::StackUnderflow; // of DUP and SWAP, which do not tell them apart
    }
    if let InterpreterAction::Return(ended) = &mut action
        && ended.result == InstructionResult::InvalidImmediateEncoding
    {
        ended.result = InstructionResult::OpcodeNotFound; // as geth has it
    }
    if let InterpreterAction::Return(ended) = &action
        && ended.result == InstructionResult::CreateInitCodeSizeLimit
    {
        // The last value that the instruction has taken is still there: it has not written to the stack.
        let size = unsafe { *frame.stack.data().as_ptr().add(frame.stack.len()) };
        context.chain.init_code_size = size.saturating_to();
    }
    if context.journaled_state.database.missing == Some(Missing::Nothing) {
        if let Some(record) = &mut context.chain.record {
            record.settle(frame.gas.remaining());
        }
        return None;
    }
    match context.chain.stopped.take() {
        None => {
            if let Some(record) = &mut context.chain.record {
                record.settle_action(&action, frame.gas.remaining());
            }
            Some(action)
        }
        Some(stopped) => {
            debug_assert!(frame.bytecode.action().is_none());
            undo(frame, context, stopped, table.gas_table());
            if let Some(record) = &mut context.chain.record {
                record.forget_step();
            }
            None
        }
    }
}
