//! Exchanges of the whole state within a transaction, such as a change of forks: Python gives the state tree what the
//! transaction has changed, changes the tree, and the guest forgets what it holds. The failure of a frame that has begun
//! before restores what was held; Python goes back, too, by the number of exchanges that are left.

use crate::database::State;
use crate::native::KERNEL;
use crate::session::{Changes, Exit, Frames, Session, mode};
use crate::wire::{Reader, Write};
use revm::context::JournalEntry;
use revm::context_interface::journaled_state::JournalCheckpoint;
use revm::interpreter::interpreter_types::InputsTr;
use revm::primitives::{Address, AddressMap, HashMap, HashSet, U256};
use revm::state::{AccountStatus, EvmState, TransientStorage};
use std::mem;

/// What was held before an exchange.
pub struct Exchanged {
    state: EvmState,
    journal: Vec<JournalEntry>,
    database: State,
    changes: HashMap<Address, Changes>,
    positions: u32,
    access_list: AddressMap<HashSet<U256>>,
    transient: TransientStorage,
}

/// What the transaction has made of an account, in `write_warmth`.
mod status {
    pub const CREATED: u32 = 1;
    pub const DESTROYED: u32 = 2;
}

impl Session {
    /// Write all changes since `drained`, also those of the transaction in execution.
    pub fn write_all(&mut self, output: &mut Vec<u8>) {
        let before = (self.changes.clone(), self.positions);
        let (_, cleared, _) = self.note_changes();
        self.drain(output);
        cleared.into_iter().for_each(|address| self.evm.ctx.journaled_state.database.restore_slots(address));
        (self.changes, self.positions) = before;
    }

    /// Write what the transaction has beside the state, for `exchange`: transient words, and the warm accounts and slots,
    /// with what it has made of the accounts and the slots' original words.
    pub fn write_warmth(&self, output: &mut Vec<u8>) {
        let inner = &self.evm.ctx.journaled_state.inner;
        let id = inner.transaction_id;
        let words: Vec<_> = inner
            .transient_storage
            .iter()
            .filter(|(address, _)| **address != KERNEL)
            .flat_map(|(address, words)| words.iter().map(move |(key, word)| (address, key, word)))
            .collect();
        output.u32(words.len() as u32);
        for (address, key, word) in words {
            output.raw(address.as_slice());
            output.word(*key);
            output.word(*word);
        }
        for (address, account) in inner.state.iter().filter(|(_, account)| !account.is_cold_transaction_id(id)) {
            let slots = account.storage.iter().filter(|(_, slot)| !slot.is_cold_transaction_id(id));
            output.raw(address.as_slice());
            let created = if account.is_created_locally() { status::CREATED } else { 0 };
            output.u32(created | if account.is_selfdestructed_locally() { status::DESTROYED } else { 0 });
            output.u32(slots.clone().count() as u32);
            for (slot, word) in slots {
                output.word(*slot);
                output.u32((word.original_value != word.present_value) as u32);
                output.word(word.original_value);
            }
        }
    }

    /// Forget what is held, but not what the transaction has beside the state (`write_warmth`). The accounts of frames must
    /// be loaded then (`load_open`).
    pub fn exchange(&mut self, warmth: &[u8]) {
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let access_list = inner.warm_addresses.access_list().clone();
        let mut warm = access_list.clone();
        let mut read = Reader(warmth);
        self.originals.clear();
        self.statuses.clear();
        let mut transient = TransientStorage::default();
        if let Some(own) = inner.transient_storage.get(&KERNEL) {
            transient.insert(KERNEL, own.clone());
        }
        for _ in 0..read.u32() {
            transient.insert_value(read.address(), read.word(), read.word());
        }
        while !read.0.is_empty() {
            let address = read.address();
            let status = read.u32();
            if status != 0 && self.running.mode & mode::ISOLATES == 0 {
                self.statuses.push((address, status));
            }
            let slots = warm.entry(address).or_default();
            for _ in 0..read.u32() {
                let (slot, is_changed, original) = (read.word(), read.u32() != 0, read.word());
                slots.insert(slot);
                if is_changed {
                    self.originals.push((address, slot, original));
                }
            }
        }
        inner.warm_addresses.set_access_list(warm);
        // Frames go back to positions in the journal: entries without effect stand for those before.
        let nothing = JournalEntry::TransientStorageChange { address: KERNEL, key: U256::MAX, had_value: U256::ZERO };
        let journal = vec![nothing; inner.journal.len() + 1];
        let before = Exchanged {
            state: mem::take(&mut inner.state),
            journal: mem::replace(&mut inner.journal, journal),
            database: self.evm.ctx.journaled_state.database.exchange(State::default()),
            changes: mem::take(&mut self.changes),
            positions: mem::take(&mut self.positions),
            access_list,
            transient: mem::replace(&mut inner.transient_storage, transient),
        };
        self.exchanged.push(before);
    }

    /// Load the accounts that frames use without loading them, those that the transaction has created or destroyed, and
    /// slots with other original words. Fails as `load` does.
    pub fn load_open(&mut self, output: &mut Vec<u8>) -> Result<(), Exit> {
        let mut open = Vec::new();
        let frames = &mut self.evm.frame_stack;
        if let Some(last) = frames.index() {
            let top: *const Frames = frames.get();
            for below in 0..=last {
                // The frames are one after the other in memory, up to this one.
                let input = unsafe { &(*top.sub(below)).interpreter.input };
                open.extend([input.target_address(), input.caller_address()]);
            }
        }
        open.into_iter().try_for_each(|address| self.load(address, output))?;
        for (address, slot, original) in self.originals.clone() {
            let journal = &mut self.evm.ctx.journaled_state;
            if journal.inner.sload(&mut journal.database, address, slot, false).is_err() {
                return Err(self.request(output));
            }
            let account = journal.inner.state.get_mut(&address).expect("it was loaded");
            account.storage.get_mut(&slot).expect("it was loaded").original_value = original;
        }
        for (address, status) in self.statuses.clone() {
            self.load(address, output)?;
            let inner = &mut self.evm.ctx.journaled_state.inner;
            let account = inner.state.get_mut(&address).expect("it was loaded");
            if status & status::CREATED != 0 {
                account.status |= AccountStatus::CreatedLocal; // not `Created`: the state has its slots
            }
            if status & status::DESTROYED != 0 {
                account.mark_selfdestructed_locally();
                inner.touch(address); // so that it is removed at the end
            }
        }
        Ok(())
    }

    /// Restore what was held before exchanges that a failed frame has undone.
    pub fn undo_exchanges(&mut self) {
        let position = self.evm.ctx.journaled_state.inner.journal.len();
        while let Some(last) = self.exchanged.pop_if(|last| position <= last.journal.len()) {
            self.restore(last);
            let inner = &mut self.evm.ctx.journaled_state.inner;
            inner.depth += 1; // that of the checkpoint
            let (log_i, selfdestructed_i) = (inner.logs.len(), inner.selfdestructed_addresses.len());
            inner.checkpoint_revert(JournalCheckpoint { log_i, journal_i: position, selfdestructed_i });
        }
    }

    /// Restore what was held before all exchanges.
    pub fn discard_exchanges(&mut self) {
        while let Some(last) = self.exchanged.pop() {
            self.restore(last);
        }
    }

    fn restore(&mut self, before: Exchanged) {
        let inner = &mut self.evm.ctx.journaled_state.inner;
        inner.state = before.state;
        inner.journal = before.journal;
        inner.warm_addresses.set_access_list(before.access_list);
        inner.transient_storage = before.transient;
        self.evm.ctx.journaled_state.database.exchange(before.database);
        self.changes = before.changes;
        self.positions = before.positions;
    }

    /// Write the addresses of the contracts that the transaction has created.
    pub fn write_creations(&self, output: &mut Vec<u8>) {
        let state = &self.evm.ctx.journaled_state.inner.state;
        for (address, _) in state.iter().filter(|(_, account)| account.is_created_locally()) {
            output.raw(address.as_slice());
        }
    }

    /// Write the number of exchanges that the transaction still has.
    pub fn write_exchanges(&self, output: &mut Vec<u8>) {
        output.u32(self.exchanged.len() as u32);
    }
}
