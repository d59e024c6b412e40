//! Calls and creations within a tree: what `runtimes/evm/ethereum/subcalls.py` does for single frames.

use super::accounts::take;
use super::{Begun, Level, Tree};
use crate::frame::*;
use crate::host::{Answer, mailbox, host_call};
use crate::journal::Mark;
use crate::keccak::keccak256;
use crate::modexp::ModexpPrice;
use crate::tables::host_call::{PRECOMPILE, TICK};
use crate::tables::tree_flag;
use crate::{precompiles, words};
use revm_primitives::U256;
use std::rc::Rc;

/// Calls before the host is looked at.
const CALLS: u32 = 256;

impl Tree {
    pub(super) fn begin(&mut self, level: &mut Level) -> Answer<Begun> {
        self.calls += 1;
        if self.calls >= CALLS {
            self.calls = 0;
            host_call(&mut level.frame, TICK)?;
        }
        if matches!(level.frame.ask.opcode, 0xf0 | 0xf5) { self.begin_create(level) } else { self.begin_call(level) }
    }

    pub(super) fn begin_call(&mut self, level: &mut Level) -> Answer<Begun> {
        let ask = level.frame.ask;
        let (callee, mut cost) = self.access(&mut level.frame, &ask.to)?;
        let mut runs = callee;
        if self.delegations
            && let Some(delegate) = self.journal.at(callee).delegate
        {
            let (at, price) = self.access(&mut level.frame, &delegate)?;
            (runs, cost) = (at, cost + price);
        }
        if self.journal.at(callee).asked || self.journal.at(runs).asked {
            return Err(LEFT);
        }
        let valued = !words::is_zero(&ask.value);
        if valued {
            cost += self.prices.call_value;
        }
        let is_new =
            ask.opcode == 0xf1 && (valued || !self.has(tree_flag::CLEARS_EMPTY)) && !self.exists(callee);
        if is_new {
            cost += self.prices.new_account;
        }
        self.charge(&mut level.frame, cost)?;
        if is_new {
            self.charge_new_account(&mut level.frame)?;
        }
        let begun = self.begin_paid(level, callee, runs, is_new)?;
        if is_new && matches!(begun, Begun::Done(false, _)) {
            self.refund_new_account();
        }
        Ok(begun)
    }

    /// Begin a call whose price is paid. `runs` is the account whose code runs.
    fn begin_paid(&mut self, level: &mut Level, callee: u32, runs: u32, is_new: bool) -> Answer<Begun> {
        let ask = level.frame.ask;
        let valued = !words::is_zero(&ask.value);
        let mut left = self.collect(&mut level.frame);
        if !self.has(tree_flag::KEEPS_64TH) && words::small(&ask.gas).is_none_or(|gas| gas > left) {
            return Err(OUT_OF_GAS);
        }
        let most = self.most_to_give(left);
        let mut limit = words::small(&ask.gas).map_or(most, |gas| gas.min(most));
        if valued {
            limit += self.prices.call_stipend;
            left += self.prices.call_stipend;
        }
        let me = level.me;
        if (valued && words::less(&self.journal.at(me).balance, &ask.value)) || self.is_too_deep() {
            self.allot(&mut level.frame, left);
            return Ok(Begun::Done(false, Vec::new()));
        }
        let kept = left - limit;
        if valued && ask.opcode == 0xf1 && self.journal.overflows(me, callee, &ask.value) {
            self.allot(&mut level.frame, kept);
            return Ok(Begun::Done(false, Vec::new()));
        }
        let mark = self.journal.mark();
        if self.is_precompile(&ask.to) {
            if matches!(ask.opcode, 0xf1 | 0xfa) && (self.journal.keeps_empty || self.journal.at(callee).exists) {
                self.journal.touch(callee);
            }
            if ask.opcode == 0xf1 && valued {
                self.journal.transfer(me, callee, &ask.value);
            }
            return self.precompile(level, mark, kept, limit);
        }
        let is_static = level.frame.is_static || ask.opcode == 0xfa;
        let here = matches!(ask.opcode, 0xf1 | 0xfa);
        if here {
            self.journal.touch(callee);
            if valued {
                self.journal.transfer(me, callee, &ask.value);
            }
        }
        let code = self.code_of(&mut level.frame, runs)?;
        if code.size == 0 {
            self.allot(&mut level.frame, left);
            return Ok(Begun::Done(true, Vec::new()));
        }
        let mut frame = self.new_frame(level.frame.rules.clone(), code);
        frame.calldata.extend_from_slice(level.frame.region(ask.input));
        frame.is_static = is_static;
        (frame.address, frame.caller, frame.value) = match ask.opcode {
            0xf4 => (level.frame.address, level.frame.caller, level.frame.value),
            0xf2 => (level.frame.address, level.frame.address, ask.value),
            _ => (self.journal.at(callee).address, level.frame.address, ask.value),
        };
        self.allot(&mut frame, limit);
        let who = if here { callee } else { me };
        let (memory, outer) = (self.memory, self.journal.enter_state());
        self.levels.push(Level { frame, me: who, kept, mark, memory, creates: false, is_new, outer });
        Ok(Begun::Child)
    }

    /// The most gas of what is left that a call or creation may be given (EIP-150).
    fn most_to_give(&self, left: u64) -> u64 {
        if self.has(tree_flag::KEEPS_64TH) { left - (left >> 6) } else { left }
    }

    /// Whether the running frame may call nobody any more.
    pub(super) fn is_too_deep(&self) -> bool {
        self.levels.len() as u64 >= self.depth_left
    }

    pub(super) fn new_frame(&mut self, rules: Rc<Rules>, code: Rc<Code>) -> Box<Frame> {
        match self.idle.pop() {
            Some(mut frame) => {
                frame.renew(rules, code);
                frame
            }
            None => Box::new(Frame::new(rules, code)),
        }
    }

    fn modexp_price(&self) -> ModexpPrice {
        if self.has(tree_flag::BOUNDED_MODEXP) {
            ModexpPrice::Bounded
        } else if self.has(tree_flag::REPRICED_MODEXP) {
            ModexpPrice::Repriced
        } else {
            ModexpPrice::First
        }
    }

    pub(super) fn precompile(&mut self, level: &mut Level, mark: Mark, kept: u64, limit: u64) -> Answer<Begun> {
        let number = level.frame.ask.to.as_limbs()[0];
        let tick = |frame: &mut Frame| host_call(frame, TICK);
        if let Some(outcome) = precompiles::run(&mut level.frame, number, limit, &self.prices, self.modexp_price(), tick)? {
            let Some((used, output)) = outcome else {
                self.journal.roll_back(mark);
                self.allot(&mut level.frame, kept);
                return Ok(Begun::Done(false, Vec::new()));
            };
            self.allot(&mut level.frame, kept + limit - used);
            return Ok(Begun::Done(true, output));
        }
        let input = level.frame.region(level.frame.ask.input);
        mailbox().words[0] = level.frame.ask.to;
        mailbox().numbers = [input.as_ptr() as u64, input.len() as u64, limit, 0, 0, 0, 0];
        host_call(&mut level.frame, PRECOMPILE)?;
        let [success, used, size, ..] = mailbox().numbers;
        if success == 0 {
            self.journal.roll_back(mark);
            self.allot(&mut level.frame, kept);
            return Ok(Begun::Done(false, Vec::new()));
        }
        let output = take(&mut level.frame, size as usize)?;
        self.allot(&mut level.frame, kept + limit - used);
        Ok(Begun::Done(true, output))
    }

    pub(super) fn begin_create(&mut self, level: &mut Level) -> Answer<Begun> {
        let ask = level.frame.ask;
        let size = ask.input.1;
        if size as u64 > self.most_init_code {
            return Err(OUT_OF_GAS);
        }
        let salted = ask.opcode == 0xf5;
        let each = self.prices.init_code_word + if salted { self.prices.keccak_word } else { 0 };
        self.charge(&mut level.frame, each * (size as u64).div_ceil(32))?;
        let mut left = self.collect(&mut level.frame);
        let me = level.me;
        let nonce = self.journal.at(me).nonce;
        if words::less(&self.journal.at(me).balance, &ask.value) || nonce == u64::MAX || self.is_too_deep() {
            self.allot(&mut level.frame, left);
            return Ok(Begun::Done(false, Vec::new()));
        }
        let init_code = level.frame.region(ask.input);
        let address = if salted {
            salted_address(&level.frame.address, &ask.salt, init_code)
        } else {
            created_address(&level.frame.address, nonce)
        };
        let init_code = Rc::new(Code::new(init_code));
        let at = self.account(&mut level.frame, &address)?;
        let is_new = self.prices.state_byte != 0 && !self.exists(at);
        if is_new {
            self.allot(&mut level.frame, left);
            self.charge_new_account(&mut level.frame)?;
            left = self.collect(&mut level.frame);
        }
        let limit = self.most_to_give(left);
        self.journal.warm(at);
        self.journal.set_nonce(me, nonce + 1);
        let kept = left - limit;
        let there = self.journal.at(at);
        let collides = there.exists && (there.nonce != 0 || there.code_size != 0 || there.had_slots);
        if collides || self.journal.overflows(me, at, &ask.value) {
            self.allot(&mut level.frame, kept);
            if is_new {
                self.refund_new_account();
            }
            return Ok(Begun::Done(false, Vec::new()));
        }
        let mark = self.journal.mark();
        let outer = self.journal.enter_state();
        self.journal.touch(at);
        self.journal.create(at);
        if !words::is_zero(&ask.value) {
            self.journal.transfer(me, at, &ask.value);
        }
        let mut frame = self.new_frame(level.frame.rules.clone(), init_code);
        (frame.address, frame.caller, frame.value) = (address, level.frame.address, ask.value);
        frame.is_static = false;
        self.allot(&mut frame, limit);
        self.levels.push(Level { frame, me: at, kept, mark, memory: self.memory, creates: true, is_new, outer });
        Ok(Begun::Child)
    }
}

fn bytes_of(address: &U256) -> [u8; 20] {
    let bytes: [u8; 32] = address.to_be_bytes();
    let mut short = [0; 20];
    short.copy_from_slice(&bytes[12..]);
    short
}

fn last_20_bytes(hash: [u8; 32]) -> U256 {
    U256::from_be_slice(&hash[12..])
}

/// The address of what an account creates at a nonce: the hash of the RLP of both.
fn created_address(creator: &U256, nonce: u64) -> U256 {
    let digits = (64 - nonce.leading_zeros() as usize).div_ceil(8);
    let single = digits <= 1 && (1..0x80).contains(&nonce);
    let length = 21 + if single { 1 } else { 1 + digits };
    let mut list = vec![0xc0 + length as u8, 0x94];
    list.extend_from_slice(&bytes_of(creator));
    if single {
        list.push(nonce as u8);
    } else {
        list.push(0x80 + digits as u8);
        list.extend_from_slice(&nonce.to_be_bytes()[8 - digits..]);
    }
    last_20_bytes(keccak256(&list))
}

fn salted_address(creator: &U256, salt: &U256, init_code: &[u8]) -> U256 {
    let mut bytes = vec![0xff];
    bytes.extend_from_slice(&bytes_of(creator));
    bytes.extend_from_slice(&salt.to_be_bytes::<32>());
    bytes.extend_from_slice(&keccak256(init_code));
    last_20_bytes(keccak256(&bytes))
}
