//! PolkaVM's interpreter as a guest: it holds programs and frames, and stops at each host function of pallet-revive.
//!
//! A frame that calls another contract stays here until it continues, so that no frame waits on the native stack.
//! The module imports nothing. `enter` executes a command; its message is in `input`, its result in `output`
//! (`hypervisor_riscv/guest.py`).

mod check;
mod frame;
mod host;
mod reader;

use std::cell::RefCell;
use std::rc::Rc;

use polkavm::{
    ArcBytes, BackendKind, Config, Engine, GasMeteringKind, Module, ModuleConfig, ProgramBlob, ProgramCounter,
    SetCacheSizeLimitArgs,
};

use frame::Frame;
use reader::Reader;

const OK: u32 = 0;
const REFUSED: u32 = 255;

pub struct Program {
    module: Module,
    blob: ProgramBlob,
    functions: Vec<u8>,
}

struct Guest {
    engine: Engine,
    programs: Vec<Option<Rc<Program>>>,
    frames: Vec<Option<Box<Frame>>>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Size of a message, addresses of `input` and `output`, and pages of memory.
    mailbox: [u32; 4],
}

thread_local! {
    static GUEST: RefCell<Option<Box<Guest>>> = const { RefCell::new(None) };
}

impl Guest {
    fn new() -> Self {
        let mut config = Config::default();
        config.set_backend(Some(BackendKind::Interpreter));
        let engine = Engine::new(&config).expect("the interpreter is available");
        Guest { engine, programs: vec![], frames: vec![], input: vec![0; 4096], output: vec![], mailbox: [0; 4] }
    }

    /// Execute a command by its number (`Command` in `guest.py`).
    fn execute(&mut self, command: u32) -> u32 {
        let size = self.mailbox[0] as usize;
        if command == 1 {
            self.input = vec![0; size];
            return OK;
        }
        let input = std::mem::take(&mut self.input);
        let mut message = Reader(&input[..size]);
        let result = match command {
            2 => self.load(message.u32() != 0, message.0).map_or_else(|text| self.refuse(text), |()| OK),
            3 => self.start(&mut message),
            4 => self.run(&mut message),
            5 => drop_from(&mut self.frames, message.u32()),
            6 => {
                let frame = self.frames[message.u32() as usize].as_mut().expect("a live frame");
                frame.returned = message.0.to_vec();
                OK
            }
            7 => drop_from(&mut self.programs, message.u32()),
            8 => {
                self.output = host::FUNCTIONS.iter().map(|row| row.0).collect::<Vec<_>>().join(" ").into_bytes();
                OK
            }
            9 => self.describe(message.u32()),
            _ => REFUSED,
        };
        self.input = input;
        result
    }

    fn refuse(&mut self, text: String) -> u32 {
        self.output = text.into_bytes();
        REFUSED
    }

    /// Load a program; the output is its number and its memory in bytes.
    fn load(&mut self, traces: bool, code: &[u8]) -> Result<(), String> {
        let bytes: ArcBytes = code.to_vec().into();
        let blob = ProgramBlob::parse(bytes).map_err(|error| format!("it is not a valid blob: {error}"))?;
        let checked = check::check(&blob, code.len())?;
        let mut config = ModuleConfig::new();
        config.set_page_size(check::PAGE);
        config.set_gas_metering(Some(GasMeteringKind::Sync));
        config.set_step_tracing(traces);
        let module = Module::from_blob(&self.engine, &config, blob.clone()).map_err(|error| error.to_string())?;
        let program = Program { module, blob, functions: checked.functions };
        let number = put(&mut self.programs, Rc::new(program));
        self.output.clear();
        self.output.extend_from_slice(&number.to_le_bytes());
        self.output.extend_from_slice(&checked.memory.to_le_bytes());
        Ok(())
    }

    /// Start a frame; the output is its number.
    fn start(&mut self, message: &mut Reader) -> u32 {
        let (number, entry) = (message.u32() as usize, if message.u32() != 0 { "deploy" } else { "call" });
        let program = self.programs[number].clone().expect("a loaded program");
        let export = program.module.exports().find(|export| export.symbol().as_bytes() == entry.as_bytes());
        let (Some(export), Ok(mut instance)) = (export, program.module.instantiate()) else { return REFUSED };
        let limit = SetCacheSizeLimitArgs { max_block_size: 1_000, max_cache_size_bytes: check::CACHE as usize };
        if instance.set_interpreter_cache_size_limit(Some(limit)).is_err() {
            return REFUSED;
        }
        instance.prepare_call_untyped(export.program_counter(), &[]);
        let (caller, address, value) = (message.array(), message.array(), message.array());
        let (calldata, returned) = (message.0.to_vec(), vec![]);
        let frame = Frame { instance, program, calldata, returned, caller, address, value };
        let frame = put(&mut self.frames, Box::new(frame));
        self.output = frame.to_le_bytes().to_vec();
        OK
    }

    /// Continue a frame with gas and an answer.
    fn run(&mut self, message: &mut Reader) -> u32 {
        let (number, forgets) = (message.u32() as usize, message.u32() != 0);
        let frame = self.frames[number].as_mut().expect("a live frame");
        if forgets {
            frame.instance.reset_interpreter_cache();
        }
        frame.instance.set_gas(message.u64() as i64);
        if frame.resume(message).is_err() {
            return frame.fail(&mut self.output);
        }
        frame.run(&mut self.output) as u32
    }

    /// Describe the next instruction of a frame: its position, and its text.
    fn describe(&mut self, number: u32) -> u32 {
        let frame = self.frames[number as usize].as_ref().expect("a live frame");
        let at = frame.instance.program_counter().unwrap_or(ProgramCounter(0));
        let found = frame.program.blob.instructions_bounded_at(at).next();
        self.output = at.0.to_le_bytes().to_vec();
        self.output.extend_from_slice(found.map(|found| found.kind.to_string()).unwrap_or_default().as_bytes());
        OK
    }
}

fn put<T>(slots: &mut Vec<Option<T>>, item: T) -> u32 {
    let free = slots.iter().position(Option::is_none).unwrap_or_else(|| {
        slots.push(None);
        slots.len() - 1
    });
    slots[free] = Some(item);
    free as u32
}

fn drop_from<T>(slots: &mut Vec<Option<T>>, number: u32) -> u32 {
    slots[number as usize] = None;
    while matches!(slots.last(), Some(None)) {
        slots.pop();
    }
    OK
}

#[unsafe(no_mangle)]
pub extern "C" fn enter(command: u32) -> u32 {
    GUEST.with_borrow_mut(|slot| {
        let guest = slot.get_or_insert_with(|| Box::new(Guest::new()));
        let result = if command == 0 { &raw const guest.mailbox as u32 } else { guest.execute(command) };
        guest.mailbox = [
            guest.output.len() as u32,
            guest.input.as_ptr() as u32,
            guest.output.as_ptr() as u32,
            core::arch::wasm32::memory_size(0) as u32,
        ];
        result
    })
}
