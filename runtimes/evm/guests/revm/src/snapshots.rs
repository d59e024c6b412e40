//! Snapshots of the state within a transaction: copies of what is held. One can be restored as long as the state tree is
//! the same, also by a later transaction; Python gets it to write it to the tree otherwise (`read_snapshot`).
//!
//! To restore one is an exchange: the journal below suspended frames stays, and their failure restores what was held.

use crate::exchange::{Held, bytes_of};
use crate::protocol::{self, ChainTime, Exit, SnapshotTime, mode};
use crate::session::Session;
use crate::wire::{Reader, Write};
use revm::primitives::HashSet;
use revm::state::TransactionId;
use std::mem;

/// Bytes that all copies may take.
const MAX_COPIED: usize = 512 << 20;
/// Bytes of a copy of nothing.
const SNAPSHOT_BYTES: usize = 1536;

pub struct Snapshot {
    held: Held,
    /// Bytes that it takes, about.
    size: usize,
    /// The transaction for which accounts and slots were warm.
    id: TransactionId,
    /// Number of times that Python had set the environment, and number of the state tree.
    environment: (u32, u32),
    time: ChainTime,
}

impl Session {
    fn environment(&self) -> (u32, u32) {
        (self.environments, self.evm.ctx.journaled_state.database.number)
    }

    /// Take a snapshot; return the number of its copy, or None if all copies would take too much memory.
    pub fn take_snapshot(&mut self) -> Option<u32> {
        let (environment, time) = (self.environment(), self.time());
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, cleared) = (&journal.inner, journal.database.cleared());
        let size = SNAPSHOT_BYTES + bytes_of(&inner.state, &inner.journal, &inner.transient_storage, cleared);
        if self.copied + size > MAX_COPIED {
            return None;
        }
        journal.database.is_kept = true;
        let held = Held {
            state: inner.state.clone(),
            journal: inner.journal.clone(),
            changes: self.changes.clone(),
            positions: self.positions,
            access_list: inner.warm_addresses.access_list().clone(),
            transient: inner.transient_storage.clone(),
            cleared: journal.database.cleared().clone(),
        };
        self.copied += size;
        self.last_snapshot += 1;
        let id = inner.transaction_id;
        self.snapshots.insert(self.last_snapshot, Snapshot { held, size, id, environment, time });
        Some(self.last_snapshot)
    }

    fn remove_snapshot(&mut self, number: u32) -> Option<Snapshot> {
        let removed = self.snapshots.remove(&number)?;
        self.copied -= removed.size;
        Some(removed)
    }

    /// Restore a snapshot with its chain ID, number and time; return false if there is no copy for it, the kernel takes part,
    /// or Python has set other values of the block or the transaction. Fails as `load` does; it may then be repeated.
    pub fn revert_to(&mut self, number: u32, output: &mut Vec<u8>) -> Result<bool, Exit> {
        let environment = self.environment();
        let Some(snapshot) = self.snapshots.get(&number) else { return Ok(false) };
        if self.running.mode & mode::HAS_KERNEL != 0 || snapshot.environment != environment {
            return Ok(false);
        }
        let time = snapshot.time.clone();
        self.restore_snapshot(number);
        self.load_open(output)?;
        self.set_time(time);
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
        if self.own_snapshots.is_empty() {
            return;
        }
        let used: HashSet<u32> = self.cheats.snapshots.iter().map(|(_, copy)| *copy).collect();
        let (kept, unused) = mem::take(&mut self.own_snapshots).into_iter().partition(|copy| used.contains(copy));
        self.own_snapshots = kept;
        self.forget_snapshots(unused);
    }

    /// Forget copies that Python does not use any more.
    pub fn forget_snapshots(&mut self, copies: Vec<u32>) {
        for copy in copies {
            self.remove_snapshot(copy);
        }
    }

    /// Give Python the copies that it has not got: their numbers, and the block's numbers and times. Later ones have larger
    /// numbers than `last`.
    pub fn write_snapshots(&mut self, last: u32, output: &mut Vec<u8>) {
        self.last_snapshot = self.last_snapshot.max(last);
        for copy in mem::take(&mut self.own_snapshots) {
            output.put(SnapshotTime { copy, time: self.snapshots[&copy].time.clone() });
        }
    }

    /// Write the changes of a snapshot, as `write_all` does, and its warmth.
    pub fn read_snapshot(&mut self, input: &[u8], output: &mut Vec<u8>) -> u32 {
        let number = Reader(input).get::<protocol::Count>().count;
        let Snapshot { held, id, .. } = self.remove_snapshot(number).expect("a snapshot that was taken");
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
