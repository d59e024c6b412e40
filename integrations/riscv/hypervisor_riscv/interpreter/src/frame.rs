//! One frame: a program that runs in the context of a contract.

use std::rc::Rc;

use polkavm::{InterruptKind, MemoryProtection, RawInstance, Reg};

use crate::Program;
use crate::host::{COPIED, FUNCTIONS, HOST_GAS, LOCAL, LOCAL_GAS, SENTINEL};
use crate::reader::Reader;

const REGISTERS: [Reg; 6] = [Reg::A0, Reg::A1, Reg::A2, Reg::A3, Reg::A4, Reg::A5];

/// Reason for which a frame stopped, as Python sees it.
#[repr(u32)]
pub enum Stop {
    Finished = 0,
    Trapped = 1,
    Called = 2,
    NoGas = 3,
    Returned = 4,
    Step = 5,
}

pub struct Frame {
    pub instance: RawInstance,
    pub program: Rc<Program>,
    pub calldata: Vec<u8>,
    pub returned: Vec<u8>,
    pub caller: [u8; 20],
    pub address: [u8; 20],
    pub value: [u8; 32],
}

/// An access to memory that the program does not have.
pub struct Fault;

impl From<polkavm::MemoryAccessError> for Fault {
    fn from(_: polkavm::MemoryAccessError) -> Self {
        Fault
    }
}

impl Frame {
    /// Run until the frame stops. `output` gets the number of the function, the gas left, the arguments and inputs.
    pub fn run(&mut self, output: &mut Vec<u8>) -> Stop {
        loop {
            let number = match self.instance.run() {
                Ok(InterruptKind::Ecalli(import)) if (import as usize) < self.program.functions.len() => {
                    usize::from(self.program.functions[import as usize])
                }
                Ok(InterruptKind::Finished) => return self.stop(Stop::Finished, 0, output),
                Ok(InterruptKind::NotEnoughGas) => return self.stop(Stop::NoGas, 0, output),
                Ok(InterruptKind::Step) => return self.stop(Stop::Step, 0, output),
                _ => return self.stop(Stop::Trapped, 0, output),
            };
            let leaves = number == 0 || number >= LOCAL;
            let done = if leaves { self.leave(number, output) } else { self.answer(number) };
            match done {
                Err(Fault) => return self.stop(Stop::Trapped, 0, output),
                Ok(()) if leaves => return if number == 0 { Stop::Returned } else { Stop::Called },
                Ok(()) => {}
            }
        }
    }

    /// Stop a frame that gave an invalid pointer.
    pub fn fail(&self, output: &mut Vec<u8>) -> u32 {
        self.stop(Stop::Trapped, 0, output) as u32
    }

    fn stop(&self, stop: Stop, number: u32, output: &mut Vec<u8>) -> Stop {
        output.clear();
        output.extend_from_slice(&number.to_le_bytes());
        output.extend_from_slice(&self.instance.gas().to_le_bytes());
        for register in REGISTERS {
            output.extend_from_slice(&self.instance.reg(register).to_le_bytes());
        }
        stop
    }

    fn registers(&self) -> [u64; 6] {
        REGISTERS.map(|register| self.instance.reg(register))
    }

    /// Gas may become negative: the next basic block stops then.
    fn charge(&mut self, gas: i64, bytes: usize) {
        self.instance.set_gas(self.instance.gas() - gas - bytes as i64 / COPIED);
    }

    fn leave(&mut self, number: usize, output: &mut Vec<u8>) -> Result<(), Fault> {
        let registers = self.registers();
        let (mut ranges, mut total) = (Vec::new(), 0);
        for (pointer, size) in FUNCTIONS[number].1 {
            let pointer = pointer.of(&registers);
            let size = size.of(&registers, pointer);
            if !self.instance.is_memory_accessible(pointer, size, MemoryProtection::Read) {
                return Err(Fault);
            }
            ranges.push((pointer, size));
            total += size as usize;
        }
        self.charge(HOST_GAS, total);
        self.stop(Stop::Called, number as u32, output);
        for (pointer, size) in ranges {
            let start = output.len();
            output.resize(start + size as usize, 0);
            self.instance.read_memory_into(pointer, &mut output[start..])?;
        }
        Ok(())
    }

    fn answer(&mut self, number: usize) -> Result<(), Fault> {
        let [first, second, third, ..] = self.registers();
        self.charge(LOCAL_GAS, 0);
        match FUNCTIONS[number].0 {
            "call_data_size" => self.instance.set_reg(Reg::A0, self.calldata.len() as u64),
            "return_data_size" => self.instance.set_reg(Reg::A0, self.returned.len() as u64),
            "call_data_copy" => {
                let (size, offset) = (second as u32 as usize, third as u32 as usize);
                self.require(first as u32, size)?;
                let data = &self.calldata[offset.min(self.calldata.len())..];
                let data = &data[..size.min(data.len())];
                self.instance.write_memory(first as u32, data)?;
                let zeros = vec![0; size - data.len()];
                self.instance.write_memory(first as u32 + data.len() as u32, &zeros)?;
            }
            "call_data_load" => {
                let data = &self.calldata[(second as u32 as usize).min(self.calldata.len())..];
                let mut word = [0; 32];
                for (to, from) in word.iter_mut().rev().zip(data) {
                    *to = *from;
                }
                self.instance.write_memory(first as u32, &word)?;
            }
            "return_data_copy" => {
                let returned = std::mem::take(&mut self.returned);
                let data = returned.get(third as u32 as usize..).ok_or(Fault)?;
                self.write(first as u32, second as u32, data)?;
                self.returned = returned;
            }
            "caller" => self.instance.write_memory(first as u32, &self.caller)?,
            "address" => self.instance.write_memory(first as u32, &self.address)?,
            _ => self.instance.write_memory(first as u32, &self.value)?,
        }
        Ok(())
    }

    fn require(&mut self, pointer: u32, size: usize) -> Result<(), Fault> {
        if !self.instance.is_memory_accessible(pointer, size as u32, MemoryProtection::ReadWrite) {
            return Err(Fault);
        }
        self.charge(0, size);
        Ok(())
    }

    /// Write data: at most as many bytes as the number at `length` allows, and their number there, unless it is the
    /// sentinel. Nothing is written to the sentinel.
    fn write(&mut self, pointer: u32, length: u32, data: &[u8]) -> Result<(), Fault> {
        if pointer == SENTINEL {
            return Ok(());
        }
        if length == SENTINEL {
            self.require(pointer, data.len())?;
            return Ok(self.instance.write_memory(pointer, data)?);
        }
        let size = (self.instance.read_u32(length)? as usize).min(data.len());
        self.require(pointer, size)?;
        self.instance.write_memory(pointer, &data[..size])?;
        Ok(self.instance.write_u32(length, size as u32)?)
    }

    /// Take the answer of a host function: the result, and what it writes to memory.
    pub fn resume(&mut self, message: &mut Reader) -> Result<(), Fault> {
        if message.u32() != 0 {
            self.instance.set_reg(Reg::A0, message.u64());
        }
        while !message.is_empty() {
            let (pointer, length) = (message.u32(), message.u32());
            let data = message.list();
            self.write(pointer, length, data)?;
        }
        Ok(())
    }
}
