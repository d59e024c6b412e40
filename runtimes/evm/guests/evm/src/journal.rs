//! Accounts and slots as a tree of calls sees and changes them, and how changes are taken back.
//!
//! Everything is found out from the host when it is first looked at, and written by it once, when the tree has ended.

use crate::frame::Code;
use crate::keyed::{Key, Map};
use crate::tables::change;
use crate::words;
use revm_primitives::U256;
use std::rc::Rc;

/// The precompile that stays touched when all else is taken back (EIP-716).
const KEPT_TOUCH: U256 = U256::from_limbs([3, 0, 0, 0]);

pub struct Account {
    pub address: U256,
    pub balance: U256,
    pub nonce: u64,
    pub exists: bool,
    pub warm: bool,
    pub touched: bool,
    /// Made a contract by this message.
    pub created: bool,
    pub destroyed: bool,
    /// Whether the host itself answers its calls.
    pub asked: bool,
    /// Whether the host may know of slots that were written or looked at.
    pub has_slots: bool,
    /// Whether it had slots before this message.
    pub had_slots: bool,
    /// The number of the storage that it had then, where this message has touched no slot of it.
    pub storage: Option<u32>,
    pub code_size: usize,
    pub code_hash: U256,
    /// Under what the code is kept for later calls.
    pub code_key: U256,
    pub code: Option<Rc<Code>>,
    pub delegate: Option<U256>,
    pub slots: Map<Key, u32>,
    /// What of it changed in this tree, for the host.
    pub changed: Changed,
}

#[derive(Clone, Copy, Default)]
pub struct Changed {
    pub warm: bool,
    pub touched: bool,
    pub created: bool,
    pub destroyed: bool,
    pub balance: bool,
    pub nonce: bool,
    pub code: bool,
}

impl Account {
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.code_size == 0 && words::is_zero(&self.balance)
    }
}

pub struct Slot {
    pub account: u32,
    pub key: U256,
    pub original: U256,
    pub current: U256,
    pub warm: bool,
}

pub struct Log {
    pub address: U256,
    pub topics: Vec<U256>,
    pub data: Vec<u8>,
}

/// How to take one change back.
enum Undo {
    Warm(u32),
    Touched(u32),
    Brought(u32),
    Balance(u32, U256, bool),
    Nonce(u32, u64, bool),
    Created(u32, u64, bool),
    Code(u32, U256),
    Destroyed(u32),
    SlotWarm(u32),
    SlotWord(u32, U256),
    Transient(u32, U256, U256),
    Refund(i64),
    State(StateGas),
}

/// State gas (`runtimes/evm/gas_table.py`): what is left in the reservoir, what was used net since the tree began, and what
/// the running frame has borrowed from its execution gas.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct StateGas {
    pub left: u64,
    pub used: i64,
    pub borrowed: u64,
}

/// The emitter of the logs of transfers, and their first topic (EIP-7708).
const SYSTEM: U256 = U256::from_limbs([0xffff_ffff_ffff_fffe, u64::MAX, 0xffff_ffff, 0]);
const TRANSFER: U256 = U256::from_limbs([
    0x28f5_5a4d_f523_b3ef,
    0x952b_a7f1_63c4_a116,
    0x69c2_b068_fc37_8daa,
    0xddf2_52ad_1be2_c89b,
]);

/// A point to go back to.
#[derive(Clone, Copy)]
pub struct Mark {
    changes: usize,
    logs: usize,
}

#[derive(Default)]
pub struct Journal {
    pub accounts: Vec<Account>,
    pub places: Map<Key, u32>,
    pub slots: Vec<Slot>,
    pub transient: Map<(u32, Key), U256>,
    pub transient_written: Vec<(u32, U256)>,
    /// The accounts that came into being, in order.
    pub brought: Vec<u32>,
    pub logs: Vec<Log>,
    pub refund: i64,
    pub state: StateGas,
    /// True if a transfer emits a log.
    pub logs_transfers: bool,
    /// True before EIP-161: a touched account exists, and a new contract has nonce 0.
    pub keeps_empty: bool,
    /// Whether `KEPT_TOUCH` was touched, even if that was taken back.
    pub kept_touch: bool,
    changes: Vec<Undo>,
}

impl Journal {
    pub fn clear(&mut self) {
        *self = Journal::default();
    }

    pub fn mark(&self) -> Mark {
        Mark { changes: self.changes.len(), logs: self.logs.len() }
    }

    pub fn roll_back(&mut self, mark: Mark) {
        self.logs.truncate(mark.logs);
        while self.changes.len() > mark.changes {
            let Some(change) = self.changes.pop() else { return };
            self.undo(change);
        }
    }

    fn undo(&mut self, change: Undo) {
        match change {
            Undo::Warm(at) => {
                let account = self.at(at);
                (account.warm, account.changed.warm) = (false, false);
            }
            Undo::Touched(at) => {
                let account = self.at(at);
                (account.touched, account.changed.touched) = (false, false);
            }
            Undo::Brought(at) => {
                self.at(at).exists = false;
                self.brought.pop();
            }
            Undo::Balance(at, balance, changed) => {
                let account = self.at(at);
                (account.balance, account.changed.balance) = (balance, changed);
            }
            Undo::Nonce(at, nonce, changed) => {
                let account = self.at(at);
                (account.nonce, account.changed.nonce) = (nonce, changed);
            }
            Undo::Created(at, nonce, changed) => {
                let account = self.at(at);
                (account.created, account.changed.created) = (false, false);
                (account.nonce, account.changed.nonce) = (nonce, changed);
            }
            Undo::Code(at, hash) => {
                let account = self.at(at);
                (account.code, account.code_size, account.changed.code) = (None, 0, false);
                account.code_hash = hash;
            }
            Undo::Destroyed(at) => {
                let account = self.at(at);
                (account.destroyed, account.changed.destroyed) = (false, false);
            }
            Undo::SlotWarm(at) => self.slots[at as usize].warm = false,
            Undo::SlotWord(at, word) => self.slots[at as usize].current = word,
            Undo::Transient(at, key, word) => {
                self.transient_written.pop();
                self.transient.insert((at, Key(key)), word);
            }
            Undo::Refund(refund) => self.refund = refund,
            Undo::State(state) => self.state = state,
        }
    }

    #[inline(always)]
    pub fn at(&mut self, account: u32) -> &mut Account {
        &mut self.accounts[account as usize]
    }

    /// Touch an address; whether it was warm before.
    pub fn warm(&mut self, at: u32) -> bool {
        let account = self.at(at);
        let before = account.warm;
        if !before {
            (account.warm, account.changed.warm) = (true, true);
            self.changes.push(Undo::Warm(at));
        }
        before
    }

    pub fn touch(&mut self, at: u32) {
        if self.keeps_empty {
            return self.bring_into_being(at);
        }
        let account = self.at(at);
        if account.address == KEPT_TOUCH {
            (account.touched, account.changed.touched) = (true, true);
            self.kept_touch = true;
            return;
        }
        if !account.touched {
            (account.touched, account.changed.touched) = (true, true);
            self.changes.push(Undo::Touched(at));
        }
    }

    pub fn bring_into_being(&mut self, at: u32) {
        if !self.at(at).exists {
            self.at(at).exists = true;
            self.brought.push(at);
            self.changes.push(Undo::Brought(at));
        }
    }

    pub fn set_balance(&mut self, at: u32, balance: U256) {
        let account = self.at(at);
        let undo = Undo::Balance(at, account.balance, account.changed.balance);
        (account.balance, account.changed.balance) = (balance, true);
        self.changes.push(undo);
    }

    /// True if a transfer would give the receiver a balance of more than 256 bits.
    pub fn overflows(&mut self, from: u32, to: u32, value: &U256) -> bool {
        from != to && words::less(&words::add(&self.at(to).balance, value), value)
    }

    /// Move money that the sender has; the receiver comes into being. The receiver's balance wraps around at 256 bits.
    pub fn transfer(&mut self, from: u32, to: u32, value: &U256) {
        self.bring_into_being(to);
        if from != to {
            let left = words::sub(&self.at(from).balance, value);
            self.set_balance(from, left);
            let sum = words::add(&self.at(to).balance, value);
            self.set_balance(to, sum);
            if self.logs_transfers {
                let topics = vec![TRANSFER, self.at(from).address, self.at(to).address];
                self.logs.push(Log { address: SYSTEM, topics, data: value.to_be_bytes::<32>().to_vec() });
            }
        }
    }

    pub fn set_nonce(&mut self, at: u32, nonce: u64) {
        let account = self.at(at);
        let undo = Undo::Nonce(at, account.nonce, account.changed.nonce);
        (account.nonce, account.changed.nonce) = (nonce, true);
        self.changes.push(undo);
    }

    /// Make the account a contract of this message, with its first nonce and what money it has.
    pub fn create(&mut self, at: u32) {
        self.bring_into_being(at);
        let first_nonce = u64::from(!self.keeps_empty);
        let account = self.at(at);
        let undo = Undo::Created(at, account.nonce, account.changed.nonce);
        (account.created, account.changed.created) = (true, true);
        (account.nonce, account.changed.nonce) = (first_nonce, true);
        self.changes.push(undo);
    }

    pub fn set_code(&mut self, at: u32, code: Rc<Code>, hash: U256) {
        let account = self.at(at);
        let undo = Undo::Code(at, account.code_hash);
        (account.code_size, account.code_hash, account.changed.code) = (code.size, hash, true);
        account.code = Some(code);
        self.changes.push(undo);
    }

    pub fn destroy(&mut self, at: u32) {
        let account = self.at(at);
        if !account.destroyed {
            (account.destroyed, account.changed.destroyed) = (true, true);
            self.changes.push(Undo::Destroyed(at));
        }
    }

    /// Touch a slot; whether it was warm before.
    pub fn warm_slot(&mut self, at: u32) -> bool {
        let slot = &mut self.slots[at as usize];
        let before = slot.warm;
        if !before {
            slot.warm = true;
            self.changes.push(Undo::SlotWarm(at));
        }
        before
    }

    pub fn set_slot(&mut self, at: u32, word: U256) {
        let slot = &mut self.slots[at as usize];
        self.changes.push(Undo::SlotWord(at, slot.current));
        slot.current = word;
    }

    pub fn set_transient(&mut self, at: u32, key: U256, before: U256, word: U256) {
        self.changes.push(Undo::Transient(at, key, before));
        self.transient.insert((at, Key(key)), word);
        self.transient_written.push((at, key));
    }

    pub fn add_refund(&mut self, gas: i64) {
        if gas != 0 {
            self.changes.push(Undo::Refund(self.refund));
            self.refund += gas;
        }
    }

    // --- state gas ---------------------------------------------------------------------------------------------------

    fn set_state(&mut self, state: StateGas) {
        if state != self.state {
            self.changes.push(Undo::State(self.state));
            self.state = state;
        }
    }

    /// Use state gas; the execution gas that the frame must pay for it.
    pub fn charge_state(&mut self, amount: u64) -> u64 {
        let StateGas { left, used, borrowed } = self.state;
        let missing = amount.saturating_sub(left);
        let left = left - (amount - missing);
        self.set_state(StateGas { left, used: used + amount as i64, borrowed: borrowed + missing });
        missing
    }

    /// Give state gas back; the execution gas that the frame gets of it.
    pub fn refund_state(&mut self, amount: u64) -> u64 {
        let StateGas { left, used, borrowed } = self.state;
        let repaid = amount.min(borrowed);
        let left = left + amount - repaid;
        self.set_state(StateGas { left, used: used - amount as i64, borrowed: borrowed - repaid });
        repaid
    }

    /// Begin a call, after its mark; the caller's state gas for `absorb_state`.
    pub fn enter_state(&mut self) -> StateGas {
        let outer = self.state;
        self.set_state(StateGas { borrowed: 0, ..outer });
        outer
    }

    /// End a call that succeeded; the execution gas that its caller gets, repaid from the reservoir.
    pub fn absorb_state(&mut self, outer: StateGas) -> u64 {
        let StateGas { left, used, borrowed } = self.state;
        let borrowed = borrowed + outer.borrowed;
        let repaid = left.min(borrowed);
        self.set_state(StateGas { left: left - repaid, used, borrowed: borrowed - repaid });
        repaid
    }

    // --- for the host ------------------------------------------------------------------------------------------------

    /// Everything that changed, as `runtimes/evm/fast/tree.py` reads it: 64-bit numbers and words, little-endian; the
    /// topics of logs are bytes, so that they are the other way round.
    pub fn write_changes(&mut self, out: &mut Vec<u8>) {
        out.clear();
        number(out, self.refund as u64);
        number(out, self.brought.len() as u64);
        for at in &self.brought {
            word(out, &self.accounts[*at as usize].address);
        }
        self.write_accounts(out);
        self.write_slots(out);
        self.write_transient(out);
        number(out, self.logs.len() as u64);
        for log in &self.logs {
            word(out, &log.address);
            number(out, log.topics.len() as u64);
            number(out, log.data.len() as u64);
            log.topics.iter().for_each(|topic| out.extend_from_slice(&topic.to_be_bytes::<32>()));
            out.extend_from_slice(&log.data);
        }
    }

    fn write_accounts(&self, out: &mut Vec<u8>) {
        let count = place_for_count(out);
        let mut written = 0;
        for account in &self.accounts {
            let changed = &account.changed;
            let flags = [
                (changed.warm, change::WARM),
                (changed.touched, change::TOUCHED),
                (changed.created, change::CREATED),
                (changed.destroyed, change::DESTROYED),
                (changed.balance, change::PAID),
                (changed.nonce, change::COUNTED),
                (changed.code, change::CODE),
            ];
            let bits = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |bits, (_, bit)| bits | bit);
            if bits == 0 {
                continue;
            }
            written += 1;
            word(out, &account.address);
            number(out, bits);
            number(out, account.nonce);
            word(out, &account.balance);
            let code = account.code.as_ref().filter(|_| changed.code);
            number(out, code.map_or(0, |code| code.size as u64));
            if let Some(code) = code {
                out.extend_from_slice(code.bytes());
            }
        }
        out[count..count + 8].copy_from_slice(&(written as u64).to_le_bytes());
    }

    fn write_slots(&self, out: &mut Vec<u8>) {
        let count = place_for_count(out);
        let mut written: u64 = 0;
        let mut by_account: Vec<&Slot> = self.slots.iter().filter(|slot| slot.warm).collect();
        by_account.sort_by_key(|slot| slot.account);
        for slot in by_account {
            written += 1;
            word(out, &self.accounts[slot.account as usize].address);
            word(out, &slot.key);
            word(out, &slot.current);
        }
        out[count..count + 8].copy_from_slice(&written.to_le_bytes());
    }

    fn write_transient(&mut self, out: &mut Vec<u8>) {
        self.transient_written.sort();
        self.transient_written.dedup();
        number(out, self.transient_written.len() as u64);
        for (at, key) in &self.transient_written {
            word(out, &self.accounts[*at as usize].address);
            word(out, key);
            word(out, &self.transient.get(&(*at, Key(*key))).copied().unwrap_or(words::ZERO));
        }
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn word(out: &mut Vec<u8>, word: &U256) {
    word.as_limbs().iter().for_each(|limb| number(out, *limb));
}

fn place_for_count(out: &mut Vec<u8>) -> usize {
    number(out, 0);
    out.len() - 8
}
