//! The EVM interpreter of the fast engine, as a guest of wasmtime.
//!
//! Python writes into the mailbox and calls `enter` with a command; the guest answers with an `Exit`. Codes, rules and
//! suspended frames are kept here under numbers that Python knows. docs/engines.md explains the whole.

mod arithmetic;
mod compiled;
mod entries;
mod frame;
mod host;
mod interpreter;
mod tables;
mod words;

use frame::*;
use host::{EXCHANGE, mailbox};
use std::array::from_fn;
use std::rc::Rc;
use tables::command::*;

const DONE: Exit = 0;

/// Everything of this instance.
#[derive(Default)]
struct Guest {
    rules: Vec<Rc<Rules>>,
    codes: Vec<Option<Rc<Code>>>,
    free_codes: Vec<usize>,
    frames: Vec<Option<Box<Frame>>>,
    free_frames: Vec<usize>,
    /// Frames that have ended, for the next ones. The last one's memory is still looked at.
    idle: Vec<Box<Frame>>,
    /// Data longer than the exchange, on their way in.
    incoming: Vec<u8>,
}

static mut GUEST: Option<Guest> = None;

#[unsafe(no_mangle)]
pub extern "C" fn enter(command: u32) -> u32 {
    // SAFETY: one thread, and the host does not enter while it is asked something
    let guest = unsafe { (*(&raw mut GUEST)).get_or_insert_default() };
    match command {
        MAILBOX => &raw const *mailbox() as u32,
        START => guest.start(),
        RESUME => guest.resume(),
        ADD_RULES => guest.add_rules(),
        ADD_CODE => guest.add_code(),
        DROP_CODE => guest.drop_code(),
        RESERVE => guest.reserve(),
        DROP_FRAME => guest.drop_frame(),
        HEAT => guest.heat(),
        HOT_CODE => guest.hot_code(),
        REPORT_CODE => guest.report_code(),
        ADD_REGION => guest.add_region(),
        _ => NO_ROOM,
    }
}

/// What came in: `size` bytes in the exchange, or in the room that was reserved for them.
fn incoming(guest: &Guest, size: usize) -> &[u8] {
    if size <= EXCHANGE { &mailbox().exchange[..size] } else { &guest.incoming[..size] }
}

fn keep<T>(items: &mut Vec<Option<T>>, free: &mut Vec<usize>, item: T) -> usize {
    match free.pop() {
        Some(place) => {
            items[place] = Some(item);
            place
        }
        None => {
            items.push(Some(item));
            items.len() - 1
        }
    }
}

impl Guest {
    /// numbers: bytes that a copy moves for one gas, whether a creation has return data; exchange: 256 flat prices, those
    /// of an exponent, those of divisions, and that of a product.
    fn add_rules(&mut self) -> Exit {
        let mail = mailbox();
        let number = |place: usize| {
            let bytes = &mail.exchange[8 * place..8 * place + 8];
            bytes.iter().rev().fold(0, |number, byte| number << 8 | *byte as u64)
        };
        let [copied_bytes_per_gas, creation_returns, ..] = mail.numbers;
        let rules = Rules {
            number: self.rules.len() as u32,
            prices: from_fn(number),
            exponent: from_fn(|place| number(256 + place)),
            divisions: from_fn(|kind| from_fn(|size| from_fn(|place| number(259 + 6 * kind + 2 * size + place)))),
            product: number(277),
            creation_returns: creation_returns != 0,
            copied_bytes_per_gas,
        };
        self.rules.push(Rc::new(rules));
        mail.numbers[0] = self.rules.len() as u64 - 1;
        DONE
    }

    /// numbers: the size of what comes in.
    fn add_code(&mut self) -> Exit {
        let code = Rc::new(Code::new(incoming(self, mailbox().numbers[0] as usize)));
        mailbox().numbers[0] = keep(&mut self.codes, &mut self.free_codes, code) as u64;
        DONE
    }

    /// numbers: landings after which code is reported as hot, 0 for never.
    fn heat(&mut self) -> Exit {
        compiled::set_heat(mailbox().numbers[0] as u32);
        DONE
    }

    /// numbers: a code that was reported, from 0 on; afterwards where its bytes are, and how many.
    fn hot_code(&mut self) -> Exit {
        let mail = mailbox();
        let Some(code) = compiled::reported().get(mail.numbers[0] as usize) else { return NO_ROOM };
        mail.numbers[..2].copy_from_slice(&[code.start() as u64, code.size as u64]);
        DONE
    }

    /// numbers: a code; afterwards its number among those that were reported.
    fn report_code(&mut self) -> Exit {
        let mail = mailbox();
        let Some(Some(code)) = self.codes.get(mail.numbers[0] as usize) else { return NO_ROOM };
        let Some(number) = compiled::number(code) else { return NO_ROOM };
        mail.numbers[0] = number as u64;
        DONE
    }

    /// numbers: a code that was reported, rules, the slot of the table, the number of places; they come in, four bytes each.
    fn add_region(&mut self) -> Exit {
        let [code, rules, slot, count, ..] = mailbox().numbers;
        let Some(code) = compiled::reported().get(code as usize) else { return NO_ROOM };
        for place in incoming(self, 4 * count as usize).chunks_exact(4) {
            let place = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
            code.add_region(place as usize, rules as u32, slot as u16);
        }
        DONE
    }

    fn drop_code(&mut self) -> Exit {
        let place = mailbox().numbers[0] as usize;
        self.codes[place] = None;
        self.free_codes.push(place);
        DONE
    }

    /// Make room for so many bytes on their way in; says where.
    fn reserve(&mut self) -> Exit {
        self.incoming = vec![0; mailbox().numbers[0] as usize];
        mailbox().numbers[0] = self.incoming.as_ptr() as u64;
        DONE
    }

    /// numbers: rules, code, size of the calldata, static, traced; words: address, caller, value; calldata come in.
    fn start(&mut self) -> Exit {
        let [rules, code, size, is_static, traced, ..] = mailbox().numbers;
        let Some(code) = self.codes[code as usize].clone() else { return NO_ROOM };
        let mut frame = self.new_frame(self.rules[rules as usize].clone(), code);
        frame.gas = mailbox().gas;
        [frame.address, frame.caller, frame.value, ..] = mailbox().words;
        frame.is_static = is_static != 0;
        frame.calldata.extend_from_slice(incoming(self, size as usize));
        self.run(frame, traced != 0)
    }

    fn new_frame(&mut self, rules: Rc<Rules>, code: Rc<Code>) -> Box<Frame> {
        match self.idle.pop() {
            Some(mut frame) => {
                frame.renew(rules, code);
                frame
            }
            None => Box::new(Frame::new(rules, code)),
        }
    }

    /// numbers: frame, success, size of the output, traced; words: the address of what was created; output comes in.
    fn resume(&mut self) -> Exit {
        let [place, success, size, traced, ..] = mailbox().numbers;
        let Some(mut frame) = self.frames[place as usize].take() else { return NO_ROOM };
        self.free_frames.push(place as usize);
        frame.gas = mailbox().gas;
        frame.context = None; // whoever answered may have changed the block
        let creates = matches!(frame.ask.opcode, 0xf0 | 0xf5);
        if !creates || frame.rules.creation_returns {
            frame.return_data.clear();
            frame.return_data.extend_from_slice(incoming(self, size as usize));
        }
        if creates {
            let created = mailbox().words[0];
            frame.push(created);
        } else if let Err(exit) = take_answer(&mut frame, success != 0) {
            return self.end(frame, exit);
        }
        self.run(frame, traced != 0)
    }

    fn run(&mut self, mut frame: Box<Frame>, traced: bool) -> Exit {
        if !traced {
            let exit = interpreter::run::<false>(&mut frame);
            return self.end(frame, exit);
        }
        frame.shown_next = 0; // the first one of each run is shown
        let exit = interpreter::run::<true>(&mut frame);
        let steps = frame.steps;
        let exit = self.end(frame, exit);
        mailbox().numbers[6] = steps;
        exit
    }

    /// Tell Python how the run ended. numbers of an ask: frame, opcode, place and size of the input; words: gas, to,
    /// value, salt. Of an end: the place and the size of the output; the pages of memory in the last but one. Traced, the
    /// last one has how many instructions have begun.
    fn end(&mut self, frame: Box<Frame>, exit: Exit) -> Exit {
        let mail = mailbox();
        mail.gas = frame.gas;
        if exit == ASK {
            let ask = &frame.ask;
            let input = frame.region(ask.input);
            mail.words[..4].copy_from_slice(&[ask.gas, ask.to, ask.value, ask.salt]);
            mail.numbers[1..4].copy_from_slice(&[ask.opcode as u64, input.as_ptr() as u64, input.len() as u64]);
            mail.numbers[0] = keep(&mut self.frames, &mut self.free_frames, frame) as u64;
            return exit;
        }
        let output = frame.region(frame.output);
        mail.numbers[..2].copy_from_slice(&[output.as_ptr() as u64, output.len() as u64]);
        mail.numbers[5] = core::arch::wasm32::memory_size::<0>() as u64;
        self.idle.push(frame);
        if self.idle.len() > MOST_IDLE {
            self.idle.remove(0);
        }
        self.idle.retain(|frame| frame.memory.capacity() <= MOST_MEMORY || frame.output.1 > 0);
        exit
    }

    fn drop_frame(&mut self) -> Exit {
        let place = mailbox().numbers[0] as usize;
        if self.frames[place].take().is_some() {
            self.free_frames.push(place);
        }
        DONE
    }
}

/// Put the answer to a call before a frame that is about to go on: the return data, and their copy in memory.
fn take_answer(frame: &mut Frame, success: bool) -> Result<(), Exit> {
    let (start, size) = frame.ask.output;
    if let Some(end) = frame.missing(&start, &size)? {
        host::grow(frame, end)?;
    }
    if !words::is_zero(&size) {
        let (start, size) = (start.as_limbs()[0] as usize, size.as_limbs()[0] as usize);
        let length = size.min(frame.return_data.len());
        frame.memory[start..start + length].copy_from_slice(&frame.return_data[..length]);
    }
    frame.push(words::truth(success));
    Ok(())
}
