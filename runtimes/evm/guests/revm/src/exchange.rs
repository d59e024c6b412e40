//! Exchanges of the whole state within a transaction, such as a change of forks: Python gives the state tree what the
//! transaction has changed, changes the tree, and the guest forgets what it holds. The failure of a frame that has begun
//! before restores what was held; Python goes back, too, by the number of exchanges that are left.

use crate::database::State;
use crate::native::KERNEL;
use crate::protocol::{self, Exit, mode, warm_flag};
use crate::session::{Changes, Frames, Session};
use crate::wire::{Reader, Write};
use revm::context::JournalEntry;
use revm::context_interface::journaled_state::JournalCheckpoint;
use revm::interpreter::interpreter_types::InputsTr;
use revm::primitives::{Address, AddressMap, HashMap, HashSet, U256};
use revm::state::{Account, AccountStatus, EvmState, EvmStorageSlot, TransientStorage};
use std::mem;

/// What is held of the state, and what the transaction has beside it.
#[derive(Clone, Default)]
pub struct Held {
    pub state: EvmState,
    pub journal: Vec<JournalEntry>,
    pub changes: HashMap<Address, Changes>,
    pub positions: u32,
    pub access_list: AddressMap<HashSet<U256>>,
    pub transient: TransientStorage,
    /// Accounts whose slots in the state tree are cleared.
    pub cleared: HashSet<Address>,
}

/// Return about how many bytes a copy of what is held takes.
pub fn bytes_of(
    state: &EvmState,
    journal: &[JournalEntry],
    transient: &TransientStorage,
    cleared: &HashSet<Address>,
) -> usize {
    let table = |capacity: usize, entry: usize| capacity * 8 / 7 * (entry + 1);
    let slots = |account: &Account| table(account.storage.capacity(), size_of::<(U256, EvmStorageSlot)>());
    state.values().map(slots).sum::<usize>()
        + table(state.capacity(), size_of::<(Address, Account)>())
        + size_of_val(journal)
        + table(transient.capacity(), size_of::<((Address, U256), U256)>())
        + table(cleared.capacity(), size_of::<Address>())
}

/// What was held before an exchange, and what was known of the state tree, if that was changed.
pub struct Exchanged {
    held: Held,
    database: Option<State>,
    /// Frames that have begun with a journal of at most this size go back to what was held.
    position: usize,
}

impl Exchanged {
    /// True if the state tree was changed.
    pub fn is_of_tree(&self) -> bool {
        self.database.is_some()
    }
}

/// An entry without effect: frames go back to positions in the journal.
pub const NOTHING: JournalEntry =
    JournalEntry::TransientStorageChange { address: KERNEL, key: U256::MAX, had_value: U256::ZERO };

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
        output.put(words.len() as u32);
        for (address, key, word) in words {
            output.put(protocol::TransientWord { address: *address, slot: *key, word: *word });
        }
        for (address, account) in inner.state.iter().filter(|(_, account)| !account.is_cold_transaction_id(id)) {
            let slots = account.storage.iter().filter(|(_, slot)| !slot.is_cold_transaction_id(id));
            let created = if account.is_created_locally() { warm_flag::CREATED } else { 0 };
            let flags = created | if account.is_selfdestructed_locally() { warm_flag::DESTROYED } else { 0 };
            let count = slots.clone().count() as u32;
            output.put(protocol::WarmAccount { address: *address, flags, slots: count });
            for (slot, word) in slots {
                let is_changed = word.original_value != word.present_value;
                output.put(protocol::WarmSlot { slot: *slot, is_changed, original: word.original_value });
            }
        }
    }

    /// Forget what is held, but not what the transaction has beside the state (`write_warmth`). The accounts of frames must
    /// be loaded then (`load_open`).
    pub fn exchange(&mut self, warmth: &[u8]) {
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let mut warm = inner.warm_addresses.access_list().clone();
        let mut read = Reader(warmth);
        self.originals.clear();
        self.statuses.clear();
        let mut transient = TransientStorage::default();
        if let Some(own) = inner.transient_storage.get(&KERNEL) {
            transient.insert(KERNEL, own.clone());
        }
        for given in read.list::<protocol::TransientWord>() {
            transient.insert_value(given.address, given.slot, given.word);
        }
        while !read.0.is_empty() {
            let protocol::WarmAccount { address, flags, slots } = read.get();
            if flags != 0 && self.running.mode & mode::ISOLATES == 0 {
                self.statuses.push((address, flags));
            }
            let warm = warm.entry(address).or_default();
            for _ in 0..slots {
                let given: protocol::WarmSlot = read.get();
                warm.insert(given.slot);
                if given.is_changed {
                    self.originals.push((address, given.slot, given.original));
                }
            }
        }
        let position = inner.journal.len();
        let journal = vec![NOTHING; position + 1];
        let held = self.hold_other(Held { journal, access_list: warm, transient, ..Held::default() });
        self.trees += 1;
        let state = &mut self.evm.ctx.journaled_state.database;
        let database = Some(state.exchange(State::default()));
        state.number = self.trees;
        self.exchanged.push(Exchanged { held, database, position });
    }

    /// Hold the state of a snapshot, as `exchange` does.
    pub fn exchange_held(&mut self, mut held: Held) {
        let frames = &mut self.evm.frame_stack;
        let begun = if frames.index().is_some() { frames.get().checkpoint.journal_i } else { 0 };
        let last = self.exchanged.last().map(|last| last.position);
        let position = begun.max(self.borders.isolation.position()).max(last.unwrap_or_default());
        held.journal.resize(held.journal.len().max(position + 1), NOTHING);
        self.originals.clear();
        self.statuses.clear();
        let held = self.hold_other(held);
        // All frames that have begun before the last exchange go back to what was held before that.
        if last.is_none_or(|last| begun > last) {
            self.exchanged.push(Exchanged { held, database: None, position });
        }
    }

    /// Hold something else; return what was held.
    pub fn hold_other(&mut self, other: Held) -> Held {
        let journal = &mut self.evm.ctx.journaled_state;
        let inner = &mut journal.inner;
        let access_list = inner.warm_addresses.access_list().clone();
        inner.warm_addresses.set_access_list(other.access_list);
        Held {
            state: mem::replace(&mut inner.state, other.state),
            journal: mem::replace(&mut inner.journal, other.journal),
            changes: mem::replace(&mut self.changes, other.changes),
            positions: mem::replace(&mut self.positions, other.positions),
            access_list,
            transient: mem::replace(&mut inner.transient_storage, other.transient),
            cleared: mem::replace(journal.database.cleared(), other.cleared),
        }
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
            if status & warm_flag::CREATED != 0 {
                account.status |= AccountStatus::CreatedLocal; // not `Created`: the state has its slots
            }
            if status & warm_flag::DESTROYED != 0 {
                account.mark_selfdestructed_locally();
                inner.touch(address); // so that it is removed at the end
            }
        }
        Ok(())
    }

    /// Restore what was held before exchanges that a failed frame has undone.
    pub fn undo_exchanges(&mut self) {
        let position = self.evm.ctx.journaled_state.inner.journal.len();
        while let Some(last) = self.exchanged.pop_if(|last| position <= last.position) {
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

    /// Restore what was held before an exchange.
    pub fn restore(&mut self, before: Exchanged) {
        if let Some(database) = before.database {
            self.evm.ctx.journaled_state.database.exchange(database);
        }
        self.hold_other(before.held);
    }

    /// Write the addresses of the contracts that the transaction has created.
    pub fn write_creations(&self, output: &mut Vec<u8>) {
        let state = &self.evm.ctx.journaled_state.inner.state;
        for (address, _) in state.iter().filter(|(_, account)| account.is_created_locally()) {
            output.put(*address);
        }
    }

    /// Write the number of changes of the state tree that the transaction still has.
    pub fn write_exchanges(&self, output: &mut Vec<u8>) {
        output.put(self.exchanged.iter().filter(|exchanged| exchanged.is_of_tree()).count() as u32);
    }
}
