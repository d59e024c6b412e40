//! Snapshots of the state within a transaction: copies of what is held. One can be restored as long as the state tree is
//! the same, also by a later transaction; Python gets it to write it to the tree otherwise (`read_snapshot`).
//!
//! To restore one is an exchange: the journal below suspended frames stays, and their failure restores what was held.

use crate::exchange::Held;
use crate::protocol::{self, Exit, SnapshotTime, mode};
use crate::session::Session;
use crate::wire::{Reader, Write};
use revm::primitives::{HashSet, U256};
use revm::state::TransactionId;
use std::mem;

pub struct Snapshot {
    held: Held,
    /// The transaction for which accounts and slots were warm.
    id: TransactionId,
    /// Number of times that Python had set the environment, and number of the state tree.
    environment: (u32, u32),
    /// The block's number and time.
    time: (U256, U256),
}

impl Session {
    fn environment(&self) -> (u32, u32) {
        (self.environments, self.evm.ctx.journaled_state.database.number)
    }

    /// Take a snapshot; return the number of its copy.
    pub fn take_snapshot(&mut self) -> u32 {
        let environment = self.environment();
        let (block, journal) = (&self.evm.ctx.block, &mut self.evm.ctx.journaled_state);
        let time = (block.number, block.timestamp);
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
        let id = inner.transaction_id;
        self.snapshots.insert(self.last_snapshot, Snapshot { held, id, environment, time });
        self.last_snapshot
    }

    /// Restore a snapshot with the block's number and time; return false if there is no copy for it, the kernel takes part,
    /// or Python has set other values of the block or the transaction. Fails as `load` does; it may then be repeated.
    pub fn revert_to(&mut self, number: u32, output: &mut Vec<u8>) -> Result<bool, Exit> {
        let environment = self.environment();
        let Some(snapshot) = self.snapshots.get(&number) else { return Ok(false) };
        if self.running.mode & mode::HAS_KERNEL != 0 || snapshot.environment != environment {
            return Ok(false);
        }
        let (block, timestamp) = snapshot.time;
        self.restore_snapshot(number);
        self.load_open(output)?;
        self.set_time(block, timestamp);
        Ok(true)
    }

    /// Restore a snapshot. The accounts of frames must be loaded then (`load_open`).
    pub fn restore_snapshot(&mut self, number: u32) {
        let Snapshot { held, id, .. } = &self.snapshots[&number];
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

    /// Forget copies that neither cheatcodes nor Python have.
    pub fn forget_unused(&mut self) {
        if self.snapshots.len() <= self.sent_snapshots.len() + self.cheats.snapshots.len() {
            return; // so that it takes no time while all are used
        }
        let used: HashSet<u32> = self.cheats.snapshots.iter().map(|(_, copy)| *copy).collect();
        let sent = &self.sent_snapshots;
        self.snapshots.retain(|copy, _| sent.contains(copy) || used.contains(copy));
    }

    /// Forget copies that Python does not use any more.
    pub fn forget_snapshots(&mut self, copies: Vec<u32>) {
        for copy in copies {
            self.snapshots.remove(&copy);
            self.sent_snapshots.remove(&copy);
        }
    }

    /// Give Python the copies after this one: their numbers, and the block's numbers and times. Later ones have larger
    /// numbers, also in another guest.
    pub fn write_snapshots(&mut self, last: u32, output: &mut Vec<u8>) {
        self.last_snapshot = self.last_snapshot.max(last);
        for copy in last + 1..=self.last_snapshot {
            if let Some(Snapshot { time: (number, timestamp), .. }) = self.snapshots.get(&copy) {
                self.sent_snapshots.insert(copy);
                output.put(SnapshotTime { copy, number: *number, timestamp: *timestamp });
            }
        }
    }

    /// Write the changes of a snapshot, as `write_all` does, and its warmth.
    pub fn read_snapshot(&mut self, input: &[u8], output: &mut Vec<u8>) -> u32 {
        let number = Reader(input).get::<protocol::Count>().count;
        let Snapshot { held, id, .. } = self.snapshots.remove(&number).expect("a snapshot that was taken");
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
