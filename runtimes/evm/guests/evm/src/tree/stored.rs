//! Words that lay in storages before any message: what a storage's root stands for never changes, so they hold for later
//! trees as well.

use crate::keyed::{Key, Map};
use revm_primitives::U256;

/// So many words, or roots, are kept; then all are forgotten.
const MOST_WORDS: usize = 1 << 14;
const MOST_ROOTS: usize = 1 << 10;

/// Storages have numbers here, which are not given twice.
#[derive(Default)]
pub struct Stored {
    numbers: Map<Key, u32>,
    words: Map<(u32, Key), U256>,
    next: u32,
}

impl Stored {
    /// The number of the storage under a root.
    pub fn number(&mut self, root: U256) -> u32 {
        if let Some(number) = self.numbers.get(&Key(root)) {
            return *number;
        }
        if self.numbers.len() >= MOST_ROOTS {
            self.forget();
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.numbers.insert(Key(root), number);
        number
    }

    pub fn get(&self, storage: u32, key: U256) -> Option<U256> {
        self.words.get(&(storage, Key(key))).copied()
    }

    pub fn keep(&mut self, storage: u32, key: U256, word: U256) {
        if self.words.len() >= MOST_WORDS {
            self.forget();
        }
        self.words.insert((storage, Key(key)), word);
    }

    fn forget(&mut self) {
        self.numbers.clear();
        self.words.clear();
    }
}
