//! What cheatcodes have set, in the form in which Python stores it between the calls of a test.

use crate::wire::{Field, Reader, Write, layouts};
use revm::primitives::{Address, B256, Bytes, U256};
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// A value that is only copied when one of its owners changes it: each call remembers what was set before it.
#[derive(Clone, Debug, Default)]
pub struct Shared<T>(Rc<T>);

impl<T> Shared<T> {
    pub fn new(value: T) -> Self {
        Self(Rc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Rc::make_mut(&mut self.0)
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<T: Field> Field for Shared<T> {
    fn read(read: &mut Reader<'_>) -> Self {
        Self::new(read.get())
    }
    fn write(&self, output: &mut Vec<u8>) {
        self.0.write(output);
    }
}

impl Field for Bytes {
    fn read(read: &mut Reader<'_>) -> Self {
        Self::copy_from_slice(read.data())
    }
    fn write(&self, output: &mut Vec<u8>) {
        output.data(self);
    }
}

impl<T: Field> Field for Option<T> {
    fn read(read: &mut Reader<'_>) -> Self {
        bool::read(read).then(|| read.get())
    }
    fn write(&self, output: &mut Vec<u8>) {
        self.is_some().write(output);
        self.iter().for_each(|value| value.write(output));
    }
}

macro_rules! lists {
    ($($name:ident $($bound:ident)?),*) => { $(
        impl<T: Field $(+ $bound)?> Field for $name<T> {
            fn read(read: &mut Reader<'_>) -> Self {
                read.list().into_iter().collect()
            }
            fn write(&self, output: &mut Vec<u8>) {
                (self.len() as u32).write(output);
                self.iter().for_each(|value| value.write(output));
            }
        }
    )* };
}

lists!(Vec, VecDeque);

impl<K: Field + Ord, V: Field> Field for BTreeMap<K, V> {
    fn read(read: &mut Reader<'_>) -> Self {
        read.list_of(|read| (read.get(), read.get())).into_iter().collect()
    }
    fn write(&self, output: &mut Vec<u8>) {
        (self.len() as u32).write(output);
        for (key, value) in self {
            key.write(output);
            value.write(output);
        }
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn read(read: &mut Reader<'_>) -> Self {
        (read.get(), read.get())
    }
    fn write(&self, output: &mut Vec<u8>) {
        self.0.write(output);
        self.1.write(output);
    }
}

layouts! {
    /// Calls from `caller` at `depth` are made as `sender`; nested ones see `origin` too, if it is set.
    Prank {
        caller: Address,
        sender: Address,
        origin: Option<Address>,
        old_origin: Address,
        depth: u32,
        once: bool,
        delegates: bool,
        broadcasts: bool,
        is_used: bool,
    }

    /// The next call reverts; without a reason, with any. `of_cheatcode`: a cheatcode reverts.
    ExpectedRevert {
        depth: u32,
        reason: Option<Bytes>,
        is_partial: bool,
        reverter: Option<Address>,
        count: u64,
        of_cheatcode: bool,
        reverted_by: Option<Address>,
        /// Largest depth of a frame since then.
        max_depth: u32,
        /// Number of reverts that matched.
        actual_count: u64,
    }

    /// A revert that rejects the inputs of a run.
    Acceptable { reverter: Option<Address>, is_partial: bool, reason: Bytes }

    /// The next call does not revert, or the inputs of the run are rejected; without reasons, for any revert.
    Assumed { depth: u32, reasons: Vec<Acceptable>, reverted_by: Option<Address> }

    Emitted { emitter: Address, topics: Vec<B256>, data: Bytes }

    /// An expected log, which the next one that the test emits defines.
    ExpectedEmit {
        depth: u32,
        /// What is compared: a bit for each topic, and one for the data.
        checks: u32,
        emitter: Option<Address>,
        is_anonymous: bool,
        count: u64,
        log: Option<Emitted>,
        is_found: bool,
        /// The last log that did not match.
        other: Option<Emitted>,
        /// Number of logs that matched, by emitter.
        counts: Vec<(Address, u64)>,
    }

    /// Expected calls: `count` if it `is_exact`, else at least. `delegates` is true for delegate calls only.
    ExpectedCall {
        data: Bytes,
        delegates: bool,
        value: Option<U256>,
        gas: Option<u64>,
        min_gas: Option<u64>,
        count: u64,
        is_exact: bool,
        actual_count: u64,
    }

    ExpectedCreate { deployer: Address, code: Bytes, second: bool }

    /// Answers to calls in turn, the last one repeatedly.
    Mock { data: Bytes, value: Option<U256>, answers: VecDeque<Bytes>, reverts: bool }

    /// A balance or nonce that a call has set, which stays if the call fails.
    Deal { account: Address, is_nonce: bool, amount: U256, depth: u32 }

    /// Why a call fails, which Python words: a number of `Failure`, and its values.
    Reason { kind: u32, numbers: Vec<u64>, addresses: Vec<Option<Address>>, texts: Vec<Option<Bytes>>, logs: Vec<Emitted> }

    /// What cheatcodes have set.
    Cheats {
        /// Number of the next snapshot, and the copy of each (`snapshots`); these come first, for Python to read.
        next_snapshot: u64,
        snapshots: Shared<Vec<(u64, u32)>>,
        pranks: BTreeMap<u32, Prank>,
        revert: Option<ExpectedRevert>,
        assumed: Option<Assumed>,
        emits: VecDeque<ExpectedEmit>,
        /// Expected calls, by callee.
        calls: BTreeMap<Address, Vec<ExpectedCall>>,
        creates: Vec<ExpectedCreate>,
        mocks: Shared<BTreeMap<Address, Vec<Mock>>>,
        /// Contracts whose code runs instead, by callee, and by calldata or selector.
        functions: BTreeMap<Address, BTreeMap<Bytes, Address>>,
        /// By account, apart for balances and nonces.
        deals: BTreeMap<(Address, bool), Deal>,
        logs: Option<Shared<Vec<Shared<Emitted>>>>,
        /// The call that is running fails at its end.
        failure: Option<Reason>,
        /// The last call that has ended was expected to revert.
        has_caught: bool,
        /// The expectation of the last failure, in case that its text is that of the reason (`accept`).
        unmet: Option<ExpectedRevert>,
        /// `expectRevert` also matches a revert of the frame that expects it (`allow_internal_expect_revert`).
        is_internal: bool,
        /// Frames use no gas.
        pauses_gas: bool,
        /// Bytes of calldata that cheatcodes have stored.
        stored: u64,
    }
}
