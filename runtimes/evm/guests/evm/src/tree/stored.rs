//! Words that lay in storages before any message: what a storage's root stands for never changes, so they hold for later
//! trees as well.

use crate::keyed::{Key, Map};
use crate::words::ZERO;
use revm_primitives::U256;

/// So many words, or roots, are kept; then all are forgotten.
const MOST_WORDS: usize = 1 << 14;
const MOST_ROOTS: usize = 1 << 10;
/// The number of ranges of absent keys that are kept, the newest ones.
const RANGES: usize = 8;

/// The keys of a storage that equal `first` in the bits of `mask`: none of them has a word.
struct Absent {
    storage: u32,
    first: U256,
    mask: U256,
}

impl Absent {
    fn includes(&self, storage: u32, key: &U256) -> bool {
        let (key, first, mask) = (key.as_limbs(), self.first.as_limbs(), self.mask.as_limbs());
        storage == self.storage && (0..4).all(|at| (key[at] ^ first[at]) & mask[at] == 0)
    }
}

/// Storages have numbers here, which are not given twice.
#[derive(Default)]
pub struct Stored {
    numbers: Map<Key, u32>,
    words: Map<(u32, Key), U256>,
    absent: Vec<Absent>,
    /// The range to replace next.
    oldest: usize,
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

    pub fn get(&mut self, storage: u32, key: U256) -> Option<U256> {
        let word = self.words.get(&(storage, Key(key))).copied();
        if word.is_none() && self.absent.iter().any(|range| range.includes(storage, &key)) {
            self.keep(storage, key, ZERO); // so that a later tree finds the word after the range is replaced
            return Some(ZERO);
        }
        word
    }

    pub fn keep(&mut self, storage: u32, key: U256, word: U256) {
        if self.words.len() >= MOST_WORDS {
            self.forget();
        }
        self.words.insert((storage, Key(key)), word);
    }

    /// Record that no key that equals `key` above its lowest `bits` bits has a word.
    pub fn keep_absent(&mut self, storage: u32, key: U256, bits: usize) {
        let range = Absent { storage, first: key, mask: U256::MAX << bits };
        if self.absent.len() < RANGES {
            self.absent.push(range);
        } else {
            self.absent[self.oldest] = range;
            self.oldest = (self.oldest + 1) % RANGES;
        }
    }

    fn forget(&mut self) {
        self.numbers.clear();
        self.words.clear();
        self.absent.clear();
        self.oldest = 0;
    }
}
