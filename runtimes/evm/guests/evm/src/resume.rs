//! How a frame goes on that has stopped: again before an instruction, or behind a call that was answered.

use crate::frame::*;
use crate::host::{Host, mailbox};
use crate::words;

/// Go back before an instruction that has met what a tree cannot deal with: flat price and copied bytes are all it took.
pub fn step_back(frame: &mut Frame) {
    let position = mailbox().position as usize;
    let opcode = frame.code.bytes()[position];
    frame.pc = position;
    frame.gas += frame.rules.prices[opcode as usize];
    if let (0x3c, [.., size, _, _, _]) = (opcode, frame.stack()) {
        frame.gas += frame.rules.copy_gas(words::small(size).unwrap_or(0));
    }
}

/// Put the answer to a call before a frame that is about to go on: the return data, and their copy in memory.
pub fn take_answer<H: Host>(frame: &mut Frame, host: &mut H, success: bool) -> Result<(), Exit> {
    let (start, size) = frame.ask.output;
    if let Some(end) = frame.missing(&start, &size)? {
        if end > frame.granted {
            host.grow(frame, (end + 31) & !31)?;
        }
        frame.lengthen(end)?;
    }
    if !words::is_zero(&size) {
        let (start, size) = (start.as_limbs()[0] as usize, size.as_limbs()[0] as usize);
        let length = size.min(frame.return_data.len());
        frame.memory[start..start + length].copy_from_slice(&frame.return_data[..length]);
    }
    frame.push(words::truth(success));
    Ok(())
}
