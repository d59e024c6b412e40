//! The loop: fetch, take the flat price, do, until the frame ends or asks.
//!
//! Opcodes mean what they mean in the plain engine (runtimes/evm/frames/py_evm), in its order: first the flat price, then the
//! operands, then what may not be, then memory, then other prices. Gas, stack and position live in locals and are
//! written to the frame around every host call and at the end.

use crate::arithmetic;
use crate::compiled;
use crate::frame::*;
use crate::host::{self, mailbox};
use crate::words::{self, ONE, ZERO};
use revm_primitives::U256;

const JUMPDEST: usize = 0x5b;
const STACK_BYTES: usize = 32 * STACK_WORDS;

/// Run a frame until it ends or asks. `TRACE` shows each instruction to the host before it runs.
#[inline(never)]
pub fn run<const TRACE: bool>(frame: &mut Frame) -> Exit {
    let rules = frame.rules.clone();
    let code = frame.code.clone();
    let (prices, start, base) = (&rules.prices, code.start(), frame.base());
    let limit = base + STACK_BYTES;
    let mut pc = frame.pc;
    let mut gas = frame.gas;
    let mut top = frame.top;
    let mut heat = code.heat.get();
    mailbox().running = frame.address;

    macro_rules! written {
        ($call:expr) => {{
            frame.gas = gas;
            frame.top = top;
            frame.pc = pc;
            let result = $call;
            gas = frame.gas;
            result
        }};
    }
    if !TRACE {
        let region = code.region(pc, &rules);
        if region != 0 {
            let ended;
            (pc, gas, top, ended) = compiled::run(frame, region, pc, gas, top, limit);
            if let Some(exit) = ended {
                (frame.pc, frame.gas, frame.top) = (pc, gas, top);
                return exit;
            }
        }
    }
    let exit = 'frame: loop {
        // Let the compiled region run that begins here.
        macro_rules! enter {
            ($region:expr) => {{
                let ended;
                (pc, gas, top, ended) = compiled::run(frame, $region, pc, gas, top, limit);
                if let Some(exit) = ended {
                    break 'frame exit;
                }
            }};
        }
        macro_rules! ask {
            ($call:expr) => {
                match written!($call) {
                    Ok(answer) => answer,
                    Err(exit) => break 'frame exit,
                }
            };
        }
        macro_rules! pay {
            ($amount:expr) => {{
                let amount: u64 = $amount;
                if amount > gas {
                    ask!(host::overdraw(frame, amount));
                }
                gas -= amount;
            }};
        }
        // The word so many places below the top, as a place in memory and as a number.
        macro_rules! slot {
            ($depth:expr) => {
                (top - 32 - 32 * $depth) as *mut U256
            };
        }
        macro_rules! peek {
            ($depth:expr) => {
                // SAFETY: `need` has seen that there are so many words
                unsafe { &*slot!($depth) }
            };
        }
        macro_rules! need {
            ($count:expr) => {
                if top < base + 32 * $count {
                    break 'frame STACK_UNDERFLOW;
                }
            };
        }
        macro_rules! push {
            ($word:expr) => {{
                let word: U256 = $word;
                if top == limit {
                    break 'frame STACK_OVERFLOW;
                }
                // SAFETY: below the limit
                unsafe { *(top as *mut U256) = word };
                top += 32;
            }};
        }
        // Take `count` words off and put one in their place.
        macro_rules! replace {
            ($count:expr, $word:expr) => {{
                let word: U256 = $word;
                top -= 32 * ($count - 1);
                // SAFETY: there were `count` words
                unsafe { *slot!(0) = word };
            }};
        }
        macro_rules! binary {
            ($operation:expr) => {{
                need!(2);
                let word = $operation(peek!(0), peek!(1));
                replace!(2, word);
            }};
        }
        // Make a region of memory usable; its start and size.
        macro_rules! region {
            ($start:expr, $size:expr) => {{
                let (start, size): (&U256, &U256) = ($start, $size);
                match frame.missing(start, size) {
                    Ok(None) => {}
                    Ok(Some(end)) => ask!(host::grow(frame, end)),
                    Err(exit) => break 'frame exit,
                }
                if words::is_zero(size) { (0, 0) } else { (start.as_limbs()[0] as usize, size.as_limbs()[0] as usize) }
            }};
        }
        macro_rules! writable {
            () => {
                if frame.is_static {
                    break 'frame READ_ONLY;
                }
            };
        }
        macro_rules! jump {
            ($destination:expr) => {{
                match code.landing($destination) {
                    Some(place) if TRACE => pc = place,
                    Some(place) => {
                        let region = code.region(place, &rules);
                        if region != 0 {
                            pc = place;
                            enter!(region);
                        } else {
                            pc = place + 1; // the landing itself does nothing but cost
                            pay!(prices[JUMPDEST]);
                            heat -= 1;
                            if heat == 0 {
                                heat = compiled::report(&code, &rules, place);
                            }
                        }
                    }
                    None => break 'frame BAD_JUMPDEST,
                }
            }};
        }
        // Behind what a region leaves to the interpreter, it may go on.
        macro_rules! back {
            () => {
                if !TRACE {
                    let region = code.region(pc, &rules);
                    if region != 0 {
                        enter!(region);
                    }
                }
            };
        }

        if TRACE {
            frame.steps += 1;
            if frame.steps >= frame.shown_next {
                ask!(host::step(frame));
            }
        }
        mailbox().position = pc as u64;
        // SAFETY: behind the code there are zeros, which end the frame
        let opcode = unsafe { *((start + pc) as *const u8) };
        let price = prices[opcode as usize];
        if price > gas {
            if price == NO_OPCODE {
                pc += 1;
                break UNDEFINED_INSTRUCTION;
            }
            ask!(host::overdraw(frame, price));
        }
        gas -= price;
        pc += 1;
        macro_rules! pay_division {
            ($modulus:expr) => {
                if rules.prices_divisions() {
                    pay!(rules.division_gas(opcode as u32, peek!(0), peek!(1), $modulus));
                }
            };
        }
        macro_rules! divided {
            ($operation:expr) => {{
                need!(2);
                pay_division!(&ZERO);
                binary!($operation);
            }};
        }
        match opcode {
            0x00 => break SUCCESS,
            0x01 => binary!(words::add),
            0x02 => binary!(|a: &U256, b: &U256| a.wrapping_mul(*b)),
            0x03 => binary!(words::sub),
            0x04 => divided!(arithmetic::divide),
            0x05 => divided!(arithmetic::divide_signed),
            0x06 => divided!(arithmetic::remainder),
            0x07 => divided!(arithmetic::remainder_signed),
            0x08 => {
                need!(3);
                pay_division!(peek!(2));
                let word = arithmetic::add_modulo(peek!(0), peek!(1), peek!(2));
                replace!(3, word);
            }
            0x09 => {
                need!(3);
                pay_division!(peek!(2));
                let word = arithmetic::multiply_modulo(peek!(0), peek!(1), peek!(2));
                replace!(3, word);
            }
            0x0a => {
                need!(2);
                let (number, exponent) = (*peek!(0), *peek!(1));
                pay!(rules.exponent_gas(&exponent));
                replace!(2, arithmetic::power(&number, &exponent));
                back!();
            }
            0x0b => binary!(|size: &U256, word: &U256| words::sign_extend(word, size)),
            0x10 => binary!(|a: &U256, b: &U256| words::truth(words::less(a, b))),
            0x11 => binary!(|a: &U256, b: &U256| words::truth(words::less(b, a))),
            0x12 => binary!(|a: &U256, b: &U256| words::truth(words::less_signed(a, b))),
            0x13 => binary!(|a: &U256, b: &U256| words::truth(words::less_signed(b, a))),
            0x14 => binary!(|a: &U256, b: &U256| words::truth(words::equal(a, b))),
            0x15 => {
                need!(1);
                replace!(1, words::truth(words::is_zero(peek!(0))));
            }
            0x16 => binary!(|a: &U256, b: &U256| *a & *b),
            0x17 => binary!(|a: &U256, b: &U256| *a | *b),
            0x18 => binary!(|a: &U256, b: &U256| *a ^ *b),
            0x19 => {
                need!(1);
                replace!(1, !*peek!(0));
            }
            0x1a => binary!(|place: &U256, word: &U256| words::byte(word, place)),
            0x1b => binary!(|by: &U256, word: &U256| words::shift_left(word, by)),
            0x1c => binary!(|by: &U256, word: &U256| words::shift_right(word, by)),
            0x1d => binary!(|by: &U256, word: &U256| words::shift_right_signed(word, by)),
            0x1e => {
                need!(1);
                replace!(1, U256::from(peek!(0).leading_zeros()));
            }
            0x20 => {
                need!(2);
                let region = region!(peek!(0), peek!(1));
                let word = ask!(host::keccak256(frame, region));
                replace!(2, word);
                back!();
            }
            0x30 => push!(frame.address),
            0x31 => {
                need!(1);
                let word = ask!(host::balance(frame, peek!(0)));
                replace!(1, word);
            }
            0x32 => push!(ask!(host::origin(frame))),
            0x33 => push!(frame.caller),
            0x34 => push!(frame.value),
            0x35 => {
                need!(1);
                replace!(1, words::calldata_word(&frame.calldata, peek!(0)));
            }
            0x36 => push!(U256::from(frame.calldata.len())),
            0x37 | 0x39 => {
                need!(3);
                let (start, offset, size) = (*peek!(0), *peek!(1), *peek!(2));
                let region = region!(&start, &size);
                pay!(rules.copy_gas(region.1 as u64));
                let source = if opcode == 0x37 { &frame.calldata[..] } else { code.bytes() };
                Frame::fill(&mut frame.memory, region, source, &offset);
                top -= 96;
                back!();
            }
            0x38 => push!(U256::from(code.size)),
            0x3a => push!(ask!(host::context(frame, 0))),
            0x3b => {
                need!(1);
                let word = ask!(host::code_size(frame, peek!(0)));
                replace!(1, word);
            }
            0x3c => {
                need!(4);
                let (address, start, offset, size) = (*peek!(0), *peek!(1), *peek!(2), *peek!(3));
                ask!(host::load_code(frame, &address));
                let region = region!(&start, &size);
                pay!(rules.copy_gas(region.1 as u64));
                ask!(host::copy_code(frame, region, &offset));
                top -= 128;
            }
            0x3d => push!(U256::from(frame.return_data.len())),
            0x3e => {
                need!(3);
                let (start, offset, size) = (*peek!(0), *peek!(1), *peek!(2));
                let region = region!(&start, &size);
                if !words::within(&offset, &size, frame.return_data.len()) {
                    break ILLEGAL_MEMORY_ACCESS;
                }
                pay!(rules.copy_gas(region.1 as u64));
                Frame::fill(&mut frame.memory, region, &frame.return_data, &offset);
                top -= 96;
                back!();
            }
            0x3f => {
                need!(1);
                let word = ask!(host::code_hash(frame, peek!(0)));
                replace!(1, word);
            }
            0x40 => {
                need!(1);
                let word = ask!(host::block_hash(frame, peek!(0)));
                replace!(1, word);
            }
            0x41..=0x43 => {
                push!(ask!(host::context(frame, (opcode - 0x40) as usize)));
                back!();
            }
            0x44 => push!(ask!(host::prev_randao(frame))),
            0x45 | 0x46 => {
                push!(ask!(host::context(frame, (opcode - 0x41) as usize)));
                back!();
            }
            0x47 => push!(ask!(host::self_balance(frame))),
            0x48 => push!(ask!(host::context(frame, 6))),
            0x50 => {
                need!(1);
                top -= 32;
            }
            0x51 => {
                need!(1);
                let (start, _) = region!(peek!(0), &WORD);
                // SAFETY: the region is usable
                unsafe { words::copy_reversed(frame.memory.as_ptr() as usize + start, top - 32) };
            }
            0x52 => {
                need!(2);
                let (start, _) = region!(peek!(0), &WORD);
                // SAFETY: the region is usable
                unsafe { words::copy_reversed(top - 64, frame.memory.as_mut_ptr() as usize + start) };
                top -= 64;
            }
            0x53 => {
                need!(2);
                let (start, _) = region!(peek!(0), &ONE);
                frame.memory[start] = peek!(1).byte(0);
                top -= 64;
            }
            0x54 => {
                need!(1);
                let word = ask!(host::get_storage(frame, peek!(0)));
                replace!(1, word);
                back!();
            }
            0x55 => {
                need!(2);
                writable!();
                ask!(host::set_storage(frame, peek!(0), peek!(1)));
                top -= 64;
                back!();
            }
            0x56 => {
                need!(1);
                top -= 32;
                // SAFETY: the word lies above the top now, and nobody has written there
                let destination = unsafe { &*(top as *const U256) };
                jump!(destination);
            }
            0x57 => {
                need!(2);
                top -= 64;
                // SAFETY: as above
                let (destination, condition) = unsafe { (&*((top + 32) as *const U256), &*(top as *const U256)) };
                if !words::is_zero(condition) {
                    jump!(destination);
                }
            }
            0x58 => push!(U256::from(pc - 1)),
            0x59 => push!(U256::from(frame.memory.len())),
            0x5a => {
                push!(ask!(host::gas_left(frame)));
                back!();
            }
            0x5b => {}
            0x5c => {
                need!(1);
                let word = ask!(host::get_transient(frame, peek!(0)));
                replace!(1, word);
            }
            0x5d => {
                need!(2);
                writable!();
                ask!(host::set_transient(frame, peek!(0), peek!(1)));
                top -= 64;
            }
            0x5e => {
                need!(3);
                let (to, from, size) = (*peek!(0), *peek!(1), *peek!(2));
                let further = if words::less(&to, &from) { &from } else { &to };
                let (_, length) = region!(further, &size);
                pay!(rules.copy_gas(length as u64));
                if length > 0 {
                    let (from, to) = (from.as_limbs()[0] as usize, to.as_limbs()[0] as usize);
                    frame.memory.copy_within(from..from + length, to);
                }
                top -= 96;
                back!();
            }
            0x5f => push!(ZERO),
            0x60 => {
                if top == limit {
                    break STACK_OVERFLOW;
                }
                // SAFETY: below the limit; behind the code there are zeros
                unsafe { *(top as *mut U256) = U256::from_limbs([*((start + pc) as *const u8) as u64, 0, 0, 0]) };
                top += 32;
                pc += 1;
            }
            0x61..=0x7f => {
                if top == limit {
                    break STACK_OVERFLOW;
                }
                let size = (opcode - 0x5f) as usize;
                pc += size;
                // SAFETY: below the limit; around the code there are zeros
                unsafe { words::push_bytes(start + pc, size, top) };
                top += 32;
            }
            0x80..=0x8f => {
                if top == limit {
                    break STACK_OVERFLOW;
                }
                let depth = 32 * (opcode - 0x7f) as usize;
                if top < base + depth {
                    break STACK_UNDERFLOW;
                }
                // SAFETY: both within the stack
                unsafe { words::copy(top - depth, top) };
                top += 32;
            }
            0x90..=0x9f => {
                let depth = 32 * (opcode - 0x8e) as usize;
                if top < base + depth {
                    break STACK_UNDERFLOW;
                }
                // SAFETY: both within the stack
                unsafe { words::swap(top - 32, top - depth) };
            }
            0xa0..=0xa4 => {
                let count = (opcode - 0xa0) as usize;
                need!(2 + count);
                writable!();
                let region = region!(peek!(0), peek!(1));
                let mut topics = [ZERO; 4];
                for (place, topic) in topics[..count].iter_mut().enumerate() {
                    *topic = *peek!(2 + place);
                }
                ask!(host::log(frame, region, &topics[..count]));
                top -= 32 * (2 + count);
                back!();
            }
            0xf0 | 0xf5 => {
                let count = if opcode == 0xf5 { 4 } else { 3 };
                need!(count);
                let (value, start, size) = (*peek!(0), *peek!(1), *peek!(2));
                frame.ask.salt = if opcode == 0xf5 { *peek!(3) } else { ZERO };
                writable!();
                let early = !rules.creation_returns;
                if early && words::less(&ask!(host::self_balance(frame)), &value) {
                    top -= 32 * count;
                    push!(ZERO);
                    continue;
                }
                if !early {
                    frame.return_data.clear();
                }
                frame.ask.input = region!(&start, &size);
                top -= 32 * count;
                if !early && words::less(&ask!(host::self_balance(frame)), &value) {
                    push!(ZERO);
                    continue;
                }
                frame.ask.opcode = opcode;
                frame.ask.value = value;
                break ASK;
            }
            0xf1 | 0xf4 | 0xfa => {
                let valued = opcode == 0xf1;
                let count = if valued { 7 } else { 6 };
                need!(count);
                let (gas_word, to) = (*peek!(0), *peek!(1));
                let value = if valued { *peek!(2) } else { ZERO };
                let (in_start, in_size) = (*peek!(count - 4), *peek!(count - 3));
                let (out_start, out_size) = (*peek!(count - 2), *peek!(count - 1));
                if !words::is_zero(&value) {
                    writable!();
                }
                let input = region!(&in_start, &in_size);
                top -= 32 * count;
                frame.ask = SubcallInputs {
                    opcode,
                    gas: gas_word,
                    to,
                    value,
                    salt: ZERO,
                    input,
                    output: (out_start, out_size),
                };
                break ASK;
            }
            0xf3 | 0xfd => {
                need!(2);
                frame.output = region!(peek!(0), peek!(1));
                break if opcode == 0xf3 { SUCCESS } else { REVERT };
            }
            0xfe => break INVALID_INSTRUCTION,
            0xff => {
                need!(1);
                writable!();
                let heir = *peek!(0);
                ask!(host::selfdestruct(frame, &heir));
                break SUCCESS;
            }
            _ => break UNDEFINED_INSTRUCTION,
        }
    };
    code.heat.set(heat);
    frame.pc = pc;
    frame.gas = gas;
    frame.top = top;
    exit
}

const WORD: U256 = U256::from_limbs([32, 0, 0, 0]);
