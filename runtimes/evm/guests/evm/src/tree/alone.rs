//! A tree that runs alone, without host calls: where it lacks data it stops, gets them, and continues.
//!
//! So a short transaction needs neither a callback into Python nor a thread of its own. An instruction that has done
//! nothing but ask runs again; else the tree begins anew: what it has changed is taken back, what it knows stays.

use super::{Ended, Level, Tree};
use crate::frame::*;
use crate::host::{Answer, mailbox};
use crate::keyed::Key;
use revm_primitives::U256;
use std::rc::Rc;

/// A tree that has begun anew so often is left.
const MOST_RESTARTS: u32 = 8;

/// The subject of the last host call, if its result can be supplied before the tree runs.
#[derive(Clone, Copy, Default)]
pub enum Untold {
    #[default]
    Nothing,
    Account(U256),
    Slot(u32, U256),
    Transient(u32, U256),
    Code(u32),
    Context,
}

impl Tree {
    /// The first of the frames that are at work; the others end here.
    pub(super) fn to_the_first(&mut self, last: Level) -> Level {
        let mut level = last;
        while let Some(caller) = self.levels.pop() {
            let child = core::mem::replace(&mut level, caller);
            self.keep_idle(child.frame);
        }
        level
    }

    /// Take what was asked for from the mailbox and go on, from the beginning where that must be. `code` came in where
    /// code was asked for.
    pub fn go_on_told(&mut self, code: &[u8]) -> Option<Ended> {
        if let Some(level) = self.paused.take() {
            return match self.be_told(code) {
                Ok(()) => self.run_level(level),
                Err(exit) => Some((level.frame, exit, self.gas)),
            };
        }
        let mut frame = self.first.take()?;
        self.journal.undo_all();
        frame.begin_again();
        self.restarts += 1;
        match self.be_told(code) {
            Ok(()) if self.restarts <= MOST_RESTARTS => self.run_first(frame),
            Ok(()) => Some((frame, LEFT, self.gas)),
            Err(exit) => Some((frame, exit, self.gas)),
        }
    }

    pub fn asks_for_code(&self) -> bool {
        matches!(self.untold, Untold::Code(_))
    }

    fn be_told(&mut self, code: &[u8]) -> Answer<()> {
        match core::mem::take(&mut self.untold) {
            Untold::Nothing => return Err(LEFT),
            Untold::Account(address) => drop(self.be_told_account(address)?),
            Untold::Slot(account, key) => drop(self.add_slot(account, key)),
            Untold::Transient(account, key) => {
                self.journal.transient.insert((account, Key(key)), mailbox().words[0]);
            }
            Untold::Code(account) => self.add_code(account, Rc::new(Code::new(code))),
            Untold::Context => self.context = Some(mailbox().words),
        }
        Ok(())
    }
}
