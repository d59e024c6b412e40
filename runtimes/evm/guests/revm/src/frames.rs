//! Frames that Python runs, on an engine of its own: the transaction stops where a frame begins and where its call has
//! ended. Python asks for the instructions that reach beyond a frame's stack and memory, and ends the frame.

use crate::Ctx;
use crate::forks::Instructions;
use crate::instructions::{Frame, revert_entries};
use crate::session::{Exit, Session};
use crate::wire::{Reader, Write};
use revm::bytecode::opcode;
use revm::handler::instructions::InstructionProvider;
use revm::interpreter::interpreter_action::FrameInput;
use revm::interpreter::interpreter_types::LoopControl;
use revm::interpreter::{InstructionContext, InstructionExecResult, InstructionResult, InterpreterAction};
use revm::primitives::{Bytes, U256};

/// An instruction that Python asks for: the frame's gas before it, its words, the last one on top, and the frame's memory
/// as far as it reads or writes it.
struct Asked {
    opcode: u8,
    gas: u64,
    words: Vec<U256>,
    memory: Vec<u8>,
}

/// What Python has asked for.
#[derive(Default)]
pub struct Frames {
    is_new: bool,
    asked: Option<Asked>,
    /// How the last instruction has ended the frame.
    halted: Option<InstructionResult>,
    /// What the frame does next.
    pub action: Option<InterpreterAction>,
}

/// How Python may end a frame.
const ENDS: [InstructionResult; 10] = [
    InstructionResult::Return,
    InstructionResult::Revert,
    InstructionResult::OutOfGas,
    InstructionResult::OpcodeNotFound,
    InstructionResult::StateChangeDuringStaticCall,
    InstructionResult::InvalidFEOpcode,
    InstructionResult::InvalidJump,
    InstructionResult::StackUnderflow,
    InstructionResult::StackOverflow,
    InstructionResult::OutOfOffset,
];

/// Why a frame stops.
mod stop {
    pub const BEGUN: u32 = 0;
    pub const RETURNED: u32 = 1;
    pub const EXECUTED: u32 = 2;
    pub const CALLS: u32 = 3;
    pub const HALTED: u32 = 4;
}

impl Frames {
    /// Note that the next frame to run is a new one.
    pub fn begin(&mut self) {
        *self = Self { is_new: true, ..Self::default() };
    }

    /// Take Python's request for an instruction.
    pub fn ask(&mut self, read: &mut Reader<'_>) {
        let (opcode, gas) = (read.u32() as u8, read.u64());
        let words = read.list(|read| read.word());
        self.asked = Some(Asked { opcode, gas, words, memory: read.data().to_vec() });
    }
}

impl Session {
    /// Take the end of the frame from Python.
    pub fn end_frame(&mut self, read: &mut Reader<'_>) {
        let frame = &mut self.evm.frame_stack.get().interpreter;
        let number = read.u32();
        let result = ENDS.into_iter().find(|end| *end as u32 == number);
        let result = self.borders.frames.halted.take().or(result).expect("an end of a frame");
        frame.gas.set_remaining(read.u64().min(frame.gas.remaining()));
        let output = Bytes::copy_from_slice(read.data());
        self.borders.is_stopped = false;
        self.borders.frames.action = Some(InterpreterAction::new_return(result, output, frame.gas));
    }

    /// Return what the running frame does next, or stop for Python.
    pub fn run_in_python(&mut self, output: &mut Vec<u8>) -> Result<InterpreterAction, Exit> {
        if let Some(action) = self.borders.frames.action.take() {
            return Ok(action);
        }
        let evm = &mut self.evm;
        let frame = evm.frame_stack.get();
        let (depth, frame) = (frame.depth, &mut frame.interpreter);
        let mut head = |kind: u32, frame: &Frame| {
            output.u32(kind);
            output.u32(depth as u32);
            output.u64(frame.gas.remaining());
            output.u64(frame.gas.refunded() as u64);
        };
        let Some(asked) = self.borders.frames.asked.take() else {
            if std::mem::take(&mut self.borders.frames.is_new) {
                head(stop::BEGUN, frame);
                let input = &frame.input;
                output.u32(frame.runtime_flag.is_static as u32);
                output.raw(input.caller_address.as_slice());
                output.raw(input.target_address.as_slice());
                output.word(input.call_value);
                output.data(frame.bytecode.original_byte_slice());
                output.data(&input.input.as_bytes(&evm.ctx));
            } else {
                head(stop::RETURNED, frame);
                output.word(frame.stack.pop().expect("the result of a call"));
                output.data(&frame.return_data.0);
            }
            return Err(Exit::Frame);
        };
        let Some(result) = execute(frame, &asked, &evm.instruction, &mut evm.ctx) else {
            self.borders.frames.asked = Some(asked);
            return Err(self.request(output));
        };
        if frame.bytecode.action().is_some() {
            let action = frame.take_next_action();
            head(stop::CALLS, frame);
            let given = match &action {
                InterpreterAction::NewFrame(FrameInput::Create(inputs)) => inputs.gas_limit(),
                _ => 0,
            };
            output.u64(given);
            self.borders.frames.action = Some(action);
        } else if let Err(halted) = result {
            head(stop::HALTED, frame);
            output.u32(halted as u32);
            self.borders.frames.halted = Some(halted);
        } else {
            head(stop::EXECUTED, frame);
            output.word(frame.stack.pop().unwrap_or_default());
            let is_written = asked.opcode == opcode::EXTCODECOPY;
            output.data(&frame.memory.slice_len(0, if is_written { asked.memory.len() } else { 0 }));
        }
        Err(Exit::Frame)
    }
}

/// Execute an instruction; return None, without effect, if a value of the state is missing.
fn execute(
    frame: &mut Frame, asked: &Asked, table: &Instructions, context: &mut Ctx,
) -> Option<InstructionExecResult> {
    let entries = context.journaled_state.inner.journal.len();
    let gas = frame.gas;
    frame.gas.set_remaining(asked.gas);
    let stack = frame.stack.data_mut();
    stack.clear();
    stack.extend_from_slice(&asked.words);
    let size = asked.memory.len().next_multiple_of(32);
    frame.memory.resize(size);
    frame.memory.set(0, &asked.memory);
    frame.gas.memory_mut().words_num = size / 32; // Python has charged for it
    if frame.gas.record_cost_unsafe(table.gas_table()[asked.opcode as usize] as u64) {
        return Some(Err(InstructionResult::OutOfGas));
    }
    let instruction = table.instruction_table()[asked.opcode as usize];
    let result = instruction.execute(InstructionContext { interpreter: &mut *frame, host: &mut *context });
    if context.chain.stopped.take().is_some() {
        frame.gas = gas;
        revert_entries(context, entries);
        return None;
    }
    Some(result)
}
