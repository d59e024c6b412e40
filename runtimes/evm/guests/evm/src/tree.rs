//! A whole tree of calls under Ethereum's rules, run here as long as it touches nothing but contracts, accounts and
//! Ethereum's precompiles. Prices and order are those of `runtimes/evm/ethereum/host.py` and `subcalls.py`, of which this
//! is the other form; what the tree meets of anything else ends it with `LEFT`, and nothing has happened.

pub mod accounts;
mod calls;
mod host;
mod stored;

use crate::frame::*;
use crate::host::{Answer, Host};
use crate::interpreter;
use crate::journal::{Journal, Mark, StateGas};
use crate::keccak::keccak256;
use crate::keyed::{Key, Map};
use crate::resume;
use crate::tables::{GasTable, tree_flag};
use crate::words::ZERO;
use accounts::Told;
use revm_primitives::U256;
use std::rc::Rc;
use stored::Stored;

/// Gas that a frame uses before the host is looked at: a few milliseconds.
const SLICE: u64 = 2_000_000;
/// Gas of a slice that reading or writing a slot uses at most.
const SLICE_OF_SLOT: u64 = 100;

const RESERVED_BYTE: u8 = 0xef;

/// One frame of the tree.
struct Level {
    frame: Box<Frame>,
    /// The account in whose name it runs.
    me: u32,
    /// What the caller keeps of its gas while this frame runs.
    kept: u64,
    mark: Mark,
    memory: u64,
    creates: bool,
    /// True if the caller has paid for a new account.
    is_new: bool,
    /// The caller's state gas.
    outer: StateGas,
}

/// How a tree begins.
pub struct Beginning {
    pub frame: Box<Frame>,
    pub gas: u64,
    pub levels: u64,
    /// A bit for each precompile below address 64.
    pub precompiles: u64,
    pub p256: bool,
    pub delegations: bool,
    /// The fork's rules as bits of `tree_flag`.
    pub features: u64,
    /// Whether the first frame may be handed back where it asks for what a tree cannot deal with; `asks`: always.
    pub may_wait: bool,
    pub asks: bool,
    pub memory: u64,
    pub most_code: u64,
    pub most_init_code: u64,
    pub state: StateGas,
    /// What the first frame, which goes on then, has been answered: success, and what was created.
    pub answer: Option<(bool, U256)>,
    /// The first frame's account, if the host supplied it at the start.
    pub account: Option<Told>,
}

#[derive(Default)]
pub struct Tree {
    journal: Journal,
    levels: Vec<Level>,
    me: u32,
    /// Gas of the running frame beyond the slice that the frame counts down.
    rest: u64,
    depth_left: u64,
    prices: GasTable,
    precompiles: u64,
    p256: bool,
    delegations: bool,
    features: u64,
    memory: u64,
    most_code: u64,
    most_init_code: u64,
    calls: u32,
    pub may_wait: bool,
    asks: bool,
    answer: Option<(bool, U256)>,
    /// The first frame's last ask, until it is answered.
    asking: Option<Asking>,
    context: Option<[U256; 8]>,
    copied: Option<Rc<Code>>,
    stored: Stored,
    codes: Map<Key, Rc<Code>>,
    code_bytes: usize,
    idle: Vec<Box<Frame>>,
}

/// How it was before the first frame's ask was looked at.
struct Asking {
    mark: Mark,
    gas: u64,
}

/// The first frame, how it ended, and the gas that is left.
pub type Ended = (Box<Frame>, Exit, u64);

enum Begun {
    Child,
    Done(bool, Vec<u8>),
}

impl Tree {
    /// Run a tree to its end. The first frame comes back, with how it ended and the gas that is left.
    pub fn run(&mut self, beginning: Beginning) -> Ended {
        let Beginning { mut frame, gas, levels, precompiles, p256, delegations, memory, .. } = beginning;
        (self.most_code, self.most_init_code) = (beginning.most_code, beginning.most_init_code);
        self.prices = frame.rules.gas;
        self.journal.clear();
        self.levels.clear();
        (self.depth_left, self.precompiles, self.p256, self.delegations) = (levels, precompiles, p256, delegations);
        self.context = None;
        self.features = beginning.features;
        self.journal.keeps_empty = !self.has(tree_flag::CLEARS_EMPTY);
        self.journal.logs_transfers = self.has(tree_flag::TRANSFER_LOGS);
        self.journal.state = beginning.state;
        (self.may_wait, self.asks) = (beginning.may_wait, beginning.asks);
        (self.answer, self.asking) = (beginning.answer, None);
        if let Some(account) = beginning.account {
            self.add_account(frame.address, account);
        }
        (self.memory, self.calls) = (memory, 0);
        self.allot(&mut frame, gas);
        let address = frame.address;
        let me = match self.account(&mut frame, &address) {
            Ok(me) => me,
            Err(exit) => return (frame, exit, gas),
        };
        self.me = me;
        let mark = self.journal.mark();
        self.run_level(Level { frame, me, kept: 0, mark, memory, creates: false, is_new: false, outer: StateGas::default() })
    }

    fn run_level(&mut self, mut level: Level) -> Ended {
        let mut answer = self.answer.take();
        loop {
            if self.levels.is_empty() {
                self.asking = None;
            }
            let exit = match answer.take() {
                Some((success, word)) => match self.go_on(&mut level, success, word) {
                    Ok(()) => self.run_frame(&mut level.frame),
                    Err(exit) => exit,
                },
                None => self.run_frame(&mut level.frame),
            };
            let exit = if exit == ASK {
                if self.may_wait && self.levels.is_empty() {
                    self.asking = Some(Asking { mark: self.journal.mark(), gas: level.frame.gas + self.rest });
                    if self.asks {
                        return self.hand_back_first(level);
                    }
                }
                match self.begin(&mut level) {
                    Ok(Begun::Child) => {
                        // `begin` has put the child on the stack: the two change places
                        let child = self.levels.pop();
                        let Some(child) = child else { return (level.frame, NO_ROOM, 0) };
                        self.levels.push(core::mem::replace(&mut level, child));
                        self.me = level.me;
                        continue;
                    }
                    Ok(Begun::Done(success, output)) => {
                        level.frame.return_data = output;
                        answer = Some((success, ZERO));
                        continue;
                    }
                    Err(exit) => exit,
                }
            } else {
                exit
            };
            match exit {
                LEFT if self.may_wait => return self.hand_back_first(level),
                RAISED | LEFT | NO_ROOM => return (level.frame, exit, 0),
                _ => {}
            }
            let (exit, left) = self.ended(&mut level, exit);
            let Some(parent) = self.levels.pop() else { return (level.frame, exit, left) };
            let child = core::mem::replace(&mut level, parent);
            answer = Some(self.hand_back(&mut level, child, exit, left));
        }
    }

    fn run_frame(&mut self, frame: &mut Frame) -> Exit {
        interpreter::run::<_, false>(frame, self)
    }

    /// The first of the frames that are at work; the others end here.
    fn to_the_first(&mut self, last: Level) -> Level {
        let mut level = last;
        while let Some(caller) = self.levels.pop() {
            let child = core::mem::replace(&mut level, caller);
            self.keep_idle(child.frame);
        }
        level
    }

    /// The first frame as it was when it asked, or before the instruction that no tree can deal with.
    fn hand_back_first(&mut self, last: Level) -> Ended {
        let mut frame = self.to_the_first(last).frame;
        let Some(Asking { mark, gas }) = self.asking.take() else {
            resume::step_back(&mut frame);
            let gas = self.collect(&mut frame);
            return (frame, HALTED, gas);
        };
        self.journal.roll_back(mark);
        (frame, ASK, gas)
    }

    /// Whether what touches a precompile stays although the tree has failed.
    pub fn kept_touch(&self) -> bool {
        self.journal.kept_touch
    }

    /// The state gas at the end.
    pub fn state_gas(&self) -> StateGas {
        self.journal.state
    }

    /// Write what changed for the host.
    pub fn write_changes(&mut self, out: &mut Vec<u8>) {
        self.journal.write_changes(out);
    }

    /// What becomes of a frame that has ended: its exit, and the gas that is left to its caller.
    fn ended(&mut self, level: &mut Level, exit: Exit) -> (Exit, u64) {
        let mut left = self.collect(&mut level.frame);
        let mut exit = exit;
        if exit == SUCCESS && level.creates {
            exit = self.deposit(level, &mut left);
        }
        self.memory = level.memory;
        if exit != SUCCESS && !self.levels.is_empty() {
            if exit == REVERT {
                left += self.journal.state.borrowed;
            }
            self.journal.roll_back(level.mark);
        }
        match exit {
            SUCCESS | REVERT => (exit, left),
            _ if self.levels.is_empty() => (exit, left),
            _ => (exit, 0),
        }
    }

    /// Let what init code returned become the new contract's code.
    fn deposit(&mut self, level: &Level, left: &mut u64) -> Exit {
        let code = level.frame.region(level.frame.output);
        if self.has(tree_flag::RESERVES_0XEF) && code.first() == Some(&RESERVED_BYTE) {
            return INVALID_INSTRUCTION;
        }
        let size = code.len() as u64;
        let price = self.prices.code_byte * size + self.prices.code_word * size.div_ceil(32);
        if price > *left && !self.has(tree_flag::PAYS_FOR_CREATION) {
            return SUCCESS; // the contract exists without code
        }
        if price > *left || code.len() as u64 > self.most_code {
            return OUT_OF_GAS;
        }
        *left -= price;
        let missing = self.journal.charge_state(self.prices.state_byte * size);
        if missing > *left {
            return OUT_OF_GAS;
        }
        *left -= missing;
        if !code.is_empty() {
            let hash = U256::from_be_bytes(keccak256(code));
            self.journal.set_code(level.me, Rc::new(Code::new(code)), hash);
        }
        SUCCESS
    }

    /// Give a caller its gas back and what the callee returned; the answer to its ask.
    fn hand_back(&mut self, level: &mut Level, child: Level, exit: Exit, left: u64) -> (bool, U256) {
        let success = exit == SUCCESS;
        let returned = if exit == REVERT || (success && !child.creates) {
            child.frame.region(child.frame.output).to_vec()
        } else {
            Vec::new()
        };
        level.frame.return_data = returned;
        self.me = level.me;
        let repaid = if success { self.journal.absorb_state(child.outer) } else { 0 };
        self.allot(&mut level.frame, child.kept + left + repaid);
        if child.is_new && !success {
            self.refund_new_account();
        }
        let word = if child.creates && success { self.journal.at(child.me).address } else { ZERO };
        self.keep_idle(child.frame);
        (success, word)
    }

    fn keep_idle(&mut self, frame: Box<Frame>) {
        if self.idle.len() < MOST_IDLE && frame.memory.capacity() <= MOST_MEMORY {
            self.idle.push(frame);
        }
    }

    /// Put an answer before a frame.
    fn go_on(&mut self, level: &mut Level, success: bool, word: U256) -> Answer<()> {
        if matches!(level.frame.ask.opcode, 0xf0 | 0xf5) {
            level.frame.push(word);
            Ok(())
        } else {
            resume::take_answer(&mut level.frame, self, success)
        }
    }

    /// True if the fork has a rule, one of `tree_flag`.
    fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    // --- gas ---------------------------------------------------------------------------------------------------------

    fn allot(&mut self, frame: &mut Frame, total: u64) {
        frame.gas = total.min(SLICE);
        self.rest = total - frame.gas;
    }

    fn collect(&mut self, frame: &mut Frame) -> u64 {
        let total = frame.gas + self.rest;
        (frame.gas, self.rest) = (0, 0);
        total
    }

    /// Charge state gas. What the reservoir lacks comes from the frame's gas, at first from what is beyond its slice.
    fn charge_state(&mut self, frame: &mut Frame, amount: u64) -> Answer<()> {
        let missing = self.journal.charge_state(amount);
        let beyond = missing.min(self.rest);
        if missing - beyond > frame.gas {
            return Err(OUT_OF_GAS);
        }
        self.rest -= beyond;
        frame.gas -= missing - beyond;
        Ok(())
    }

    fn charge_new_account(&mut self, frame: &mut Frame) -> Answer<()> {
        self.charge_state(frame, self.prices.account_bytes * self.prices.state_byte)
    }

    /// Give the running frame the state gas of a new account back.
    fn refund_new_account(&mut self) {
        self.rest += self.journal.refund_state(self.prices.account_bytes * self.prices.state_byte);
    }

    /// Charge the price of a slot. The slice bounds the time of a frame, and a slot takes less time than its price
    /// suggests. So at most `SLICE_OF_SLOT` is taken from the slice, and the rest from the gas beyond it.
    fn charge_slot(&mut self, frame: &mut Frame, amount: u64) -> Answer<()> {
        let beyond = amount.saturating_sub(SLICE_OF_SLOT).min(self.rest);
        self.rest -= beyond;
        self.charge(frame, amount - beyond)
    }

    fn charge(&mut self, frame: &mut Frame, amount: u64) -> Answer<()> {
        if amount > frame.gas {
            self.overdraw(frame, amount)?;
        }
        frame.gas -= amount;
        Ok(())
    }
}
