//! Compiled regions of hot code: where frames enter them, and what they share with revm's interpreter.
//!
//! A region (`runtimes/evm/regions`) is a function of another module in this module's table. It runs blocks of one
//! code on the frame's stack and memory, and returns before anything that it cannot do; the interpreter goes on there.

use crate::Ctx;
use crate::entries::{Entries, Running};
use crate::instructions::{Frame, INSTRUCTIONS, In, count, heat};
use crate::protocol;
use crate::wire::Reader;
use revm::bytecode::opcode;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter::{ExtBytecode, STACK_LIMIT};
use revm::interpreter::interpreter_types::{InputsTr, Jumps, MemoryTr, ReturnData};
use revm::interpreter::{CallInput, Instruction, InstructionContext, InstructionExecResult, InstructionTable};
use revm::primitives::{B256, HashMap, U256};
use std::mem;

/// Gas of a region that takes the time of a step.
const STEP_GAS: u64 = 256;

/// The regions of all codes under the rules of a fork.
#[derive(Default)]
pub struct Regions {
    codes: HashMap<B256, usize>,
    entries: Vec<Entries>,
    /// Index of the running code's entries.
    running: usize,
}

impl Regions {
    pub fn has(&self, code: &B256) -> bool {
        self.codes.contains_key(code)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Let a region be entered: the hash and size of its code, its slot of the table, and its entries.
    pub fn add(&mut self, read: &mut Reader<'_>) {
        let protocol::Region { code_hash: code, code_size: size, slot } = read.get();
        let index = *self.codes.entry(code).or_insert(self.entries.len());
        if index == self.entries.len() {
            self.entries.push(Entries::new(size as usize));
        }
        for place in read.list::<u32>() {
            self.entries[index].add(place as usize, slot as u16);
        }
    }

    /// Set the running code; return false if it has no regions.
    pub fn select(&mut self, code: &ExtBytecode) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        match code.hash().and_then(|hash| self.codes.get(&hash)) {
            None => false,
            Some(index) => {
                self.running = *index;
                true
            }
        }
    }

    fn region(&self, place: usize) -> u16 {
        self.entries[self.running].region(place)
    }
}

/// What regions and their calls see; one region runs at a time.
#[repr(C)]
struct State {
    running: Running,
    /// Gas of the frame beyond `running.gas`.
    reserve: u64,
    frame: *mut Frame,
    context: *mut Ctx,
    address: U256,
    caller: U256,
}

// SAFETY: zeros are numbers, and pointers that `enter` sets
static mut STATE: State = unsafe { mem::zeroed() };

fn state() -> &'static mut State {
    // SAFETY: one thread
    unsafe { &mut *(&raw mut STATE) }
}

/// Say where memory and calldata are, which may be a part of the same buffer.
fn find_memory(frame: &Frame, running: &mut Running) {
    {
        let memory = frame.memory.context_memory();
        (running.memory, running.memory_size) = (memory.as_ptr() as u32, memory.len() as u32);
    }
    (running.calldata, running.calldata_size) = match &frame.input.input {
        CallInput::Bytes(bytes) => (bytes.as_ptr() as u32, bytes.len() as u32),
        CallInput::SharedBuffer(range) => {
            let bytes = frame.memory.global_slice(range.clone());
            (bytes.as_ptr() as u32, bytes.len() as u32)
        }
    };
}

/// Let the region run that is entered at `place`; return false if there is none, or if it has done nothing.
fn enter(frame: &mut Frame, context: &mut Ctx, place: usize) -> bool {
    let mut slot = context.chain.regions.region(place);
    if slot == 0 {
        return false;
    }
    let state = state();
    let steps = context.chain.steps_left;
    let gas = frame.gas.remaining().min(steps as u64 * STEP_GAS);
    state.reserve = frame.gas.remaining() - gas;
    (state.frame, state.context) = (&raw mut *frame, &raw mut *context);
    let base = frame.stack.data().as_ptr() as u32;
    let running = &mut state.running;
    (running.gas, running.pc, running.base) = (gas, place as u32, base);
    running.top = base + 32 * frame.stack.len() as u32;
    running.limit = base + 32 * STACK_LIMIT as u32;
    running.return_size = frame.return_data.buffer().len() as u32;
    find_memory(frame, running);
    (running.jump, running.jumps_end, running.contract) = context.chain.jumps.space();
    loop {
        let before = (running.pc, running.gas);
        running.enter(slot);
        let regions = &context.chain.regions;
        regions.entries[regions.running].note_entry(before.0 as usize, before.1.saturating_sub(running.gas));
        // another region may go on from here; one that has not moved would leave again
        slot = regions.region(running.pc as usize);
        if slot == 0 || (running.pc, running.gas) == before {
            break;
        }
    }
    context.chain.jumps.extend_to(running.jump);
    if (running.pc as usize, running.gas) == (place, gas) {
        return false;
    }
    context.chain.steps_left = steps - (gas.saturating_sub(running.gas) / STEP_GAS) as u32;
    frame.gas.set_remaining(running.gas + state.reserve);
    frame.bytecode.absolute_jump(running.pc as usize);
    // SAFETY: the region has written the words below `top`, which is within the stack
    unsafe { frame.stack.data_mut().set_len((running.top - base) as usize / 32) };
    true
}

/// Let the region run that begins where a frame begins or goes on.
pub fn begin(frame: &mut Frame, context: &mut Ctx) {
    let state = state();
    state.address = frame.input.target_address().into_word().into();
    state.caller = frame.input.caller_address().into_word().into();
    state.running.address = &raw const state.address as u32;
    state.running.caller = &raw const state.caller as u32;
    state.running.value = &raw const frame.input.call_value as u32;
    enter(frame, context, frame.bytecode.pc());
}

fn jumpdest(mut input: In<'_>) -> InstructionExecResult {
    count(&mut input, 1)?;
    let (frame, context) = (&mut *input.interpreter, &mut *input.host);
    frame.gas.erase_cost(JUMPDEST_GAS); // the region charges it
    if enter(frame, context, frame.bytecode.pc() - 1) {
        return Ok(());
    }
    _ = frame.gas.record_regular_cost(JUMPDEST_GAS);
    heat(&mut input)
}

const JUMPDEST_GAS: u64 = 1;

/// Execute an instruction that regions leave to the interpreter, and go on in a region.
fn resuming<const OPCODE: u8>(input: In<'_>) -> InstructionExecResult {
    let (frame, context) = (input.interpreter, input.host);
    INSTRUCTIONS[OPCODE as usize].execute(InstructionContext { interpreter: &mut *frame, host: &mut *context })?;
    enter(frame, context, frame.bytecode.pc());
    Ok(())
}

/// The instructions of code with regions.
pub const TABLE: InstructionTable<EthInterpreter, Ctx> = table();

const fn table() -> InstructionTable<EthInterpreter, Ctx> {
    let mut table = INSTRUCTIONS;
    table[opcode::JUMPDEST as usize] = Instruction::new(jumpdest);
    macro_rules! resume {
        ($($opcode:ident)*) => { $(table[opcode::$opcode as usize] = Instruction::new(resuming::<{ opcode::$opcode }>);)* };
    }
    // `_RESUMES` in runtimes/evm/regions/blocks.py, without calls and creations, after which `begin` looks for a region
    resume! {
        EXP KECCAK256 CALLDATACOPY CODECOPY RETURNDATACOPY COINBASE TIMESTAMP NUMBER GASLIMIT CHAINID SLOAD SSTORE GAS
        MCOPY LOG0 LOG1 LOG2 LOG3 LOG4
    }
    table
}

/// For regions: make memory hold `end` bytes and pay for it; 0 if the interpreter has to find out that it cannot.
#[unsafe(no_mangle)]
pub extern "C" fn lengthen(_running: u32, end: u64) -> u32 {
    let state = state();
    // SAFETY: `enter` has set them, and waits
    let (frame, context) = unsafe { (&mut *state.frame, &mut *state.context) };
    let before = frame.gas;
    frame.gas.set_remaining(state.running.gas + state.reserve);
    if frame.resize_memory(&context.cfg.gas_params, 0, end as usize).is_err() {
        frame.gas = before;
        return 0;
    }
    let left = frame.gas.remaining();
    state.running.gas = left.saturating_sub(state.reserve);
    state.reserve = left - state.running.gas;
    find_memory(frame, &mut state.running);
    1
}

/// For regions: what an opcode makes of the words at and below a place of the stack, put where the lowest of them lies.
#[unsafe(no_mangle)]
pub extern "C" fn operate(opcode: u32, place: u32) {
    let state = state();
    // SAFETY: as above; the region has looked that there are so many words
    let (frame, context) = unsafe { (&mut *state.frame, &mut *state.context) };
    unsafe { frame.stack.data_mut().set_len((place + 32 - state.running.base) as usize / 32) };
    _ = INSTRUCTIONS[opcode as usize & 0xff].execute(InstructionContext { interpreter: frame, host: context });
}
