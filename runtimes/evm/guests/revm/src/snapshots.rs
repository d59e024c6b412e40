//! Snapshots of the state within a transaction: copies of what is held. One can be restored as long as the state tree is
//! the same, also by a later transaction; Python gets it to write it to the tree otherwise (`read_snapshot`).
//!
//! To restore one is an exchange: the journal below suspended frames stays, and their failure restores what was held.

use crate::exchange::Held;
use crate::protocol;
use crate::session::Session;
use crate::wire::{Reader, Write};
use revm::state::TransactionId;
use std::mem;

pub struct Snapshot {
    held: Held,
    /// The transaction for which accounts and slots were warm.
    id: TransactionId,
}

impl Session {
    /// Take a snapshot, and write its number; forget others.
    pub fn take_snapshot(&mut self, read: &mut Reader<'_>, output: &mut Vec<u8>) {
        for number in read.list::<u32>() {
            self.snapshots.remove(&number);
        }
        let journal = &mut self.evm.ctx.journaled_state;
        journal.database.is_kept = true;
        let inner = &journal.inner;
        let held = Held {
            state: inner.state.clone(),
            journal: inner.journal.clone(),
            changes: self.changes.clone(),
            positions: self.positions,
            access_list: inner.warm_addresses.access_list().clone(),
            transient: inner.transient_storage.clone(),
            cleared: journal.database.cleared().clone(),
        };
        self.last_snapshot += 1;
        self.snapshots.insert(self.last_snapshot, Snapshot { held, id: inner.transaction_id });
        output.put(self.last_snapshot);
    }

    /// Restore a snapshot. The accounts of frames must be loaded then (`load_open`).
    pub fn restore_snapshot(&mut self, number: u32) {
        let Snapshot { held, id } = &self.snapshots[&number];
        let (mut held, now) = (held.clone(), self.evm.ctx.journaled_state.inner.transaction_id);
        for account in held.state.values_mut().filter(|_| *id != now) {
            if account.transaction_id == *id {
                account.transaction_id = now;
            }
            for slot in account.storage.values_mut().filter(|slot| slot.transaction_id == *id) {
                slot.transaction_id = now;
            }
        }
        self.exchange_held(held);
    }

    /// Write the changes of a snapshot, as `write_all` does, and its warmth.
    pub fn read_snapshot(&mut self, input: &[u8], output: &mut Vec<u8>) -> u32 {
        let number = Reader(input).get::<protocol::Count>().count;
        let Snapshot { held, id } = self.snapshots.remove(&number).expect("a snapshot that was taken");
        let before = self.hold_other(held);
        let now = mem::replace(&mut self.evm.ctx.journaled_state.inner.transaction_id, id);
        let mut changes = Vec::new();
        self.write_all(&mut changes);
        output.put(changes.len() as u32);
        output.raw(&changes);
        self.write_warmth(output);
        self.evm.ctx.journaled_state.inner.transaction_id = now;
        self.hold_other(before);
        0
    }
}
