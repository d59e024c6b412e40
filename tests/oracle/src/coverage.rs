//! Which syscalls the reference answered with which error number, heard from its log.
//!
//! A syscall that ends its actor (exit, out of gas, fatal) or whose result pointer is bad is not logged; the cases that
//! are about those say so themselves.

use std::cell::RefCell;
use std::collections::BTreeMap;

use log::{LevelFilter, Log, Metadata, Record};

/// How often each (`module.name`, error number) was seen.
pub type Seen = BTreeMap<(String, u32), u64>;

thread_local!(static SEEN: RefCell<Seen> = const { RefCell::new(Seen::new()) });

struct Ear;

impl Log for Ear {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target() == "fvm::syscalls::linker"
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        let Some((name, outcome)) = text.strip_prefix("syscall ").and_then(|rest| rest.split_once(": ")) else {
            return;
        };
        let number = outcome.strip_prefix("fail (").map_or(0, |rest| rest.trim_end_matches(')').parse().unwrap_or(0));
        SEEN.with_borrow_mut(|seen| *seen.entry((name.replace("::", "."), number)).or_default() += 1);
    }

    fn flush(&self) {}
}

/// Listen from now on.
pub fn listen() {
    log::set_logger(&Ear).expect("there is one logger");
    log::set_max_level(LevelFilter::Trace);
}

/// What this thread has seen since the last call.
pub fn take() -> Seen {
    SEEN.take()
}
