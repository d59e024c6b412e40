//! The hash of the maps whose keys a contract chooses: strongly universal under a seed that the host draws for each
//! instance, so that nobody can make keys that collide. Nothing depends on the order of a map.
//!
//! The family is Multilinear-HM of Lemire and Kaser, "Strongly universal string hashing is fast" (2014): 32 bits, which
//! is what a map looks at where addresses have 32 bits.

use revm_primitives::U256;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

/// The start of the sum, the factor of an account's number, one number for each half of a word's limbs.
const NUMBERS: usize = 2 + 8;
const ACCOUNT: usize = 1;
const FIRST: usize = 2;

/// The length of a seed in bytes.
pub const SEED: usize = 8 * NUMBERS;

static mut NUMBERS_DRAWN: [u64; NUMBERS] = [0; NUMBERS];

/// Take the seed of this instance, before any map holds anything.
pub fn seed(bytes: &[u8]) {
    // SAFETY: one thread, and no hasher is alive
    let numbers = unsafe { &mut *(&raw mut NUMBERS_DRAWN) };
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = bytes.iter().rev().fold(0, |number, byte| number << 8 | *byte as u64);
    }
}

/// A word as the key of a map.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub U256);

impl Hash for Key {
    #[inline(always)]
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.0.as_limbs().iter().for_each(|limb| state.write_u64(*limb));
    }
}

pub type Map<K, V> = HashMap<K, V, Keyed>;

#[derive(Default)]
pub struct Keyed;

impl BuildHasher for Keyed {
    type Hasher = Sum;

    #[inline(always)]
    fn build_hasher(&self) -> Sum {
        // SAFETY: written once, before any map holds anything
        let numbers = unsafe { &*(&raw const NUMBERS_DRAWN) };
        Sum { numbers, sum: numbers[0], at: FIRST }
    }
}

/// The sum of products so far. Keys are one word, with the number of an account before it or without.
pub struct Sum {
    numbers: &'static [u64; NUMBERS],
    sum: u64,
    at: usize,
}

impl Hasher for Sum {
    #[inline(always)]
    fn write_u64(&mut self, limb: u64) {
        let low = self.numbers[self.at].wrapping_add(limb & 0xffff_ffff);
        let high = self.numbers[self.at + 1].wrapping_add(limb >> 32);
        self.sum = self.sum.wrapping_add(low.wrapping_mul(high));
        self.at += 2;
    }

    #[inline(always)]
    fn write_u32(&mut self, account: u32) {
        self.sum = self.sum.wrapping_add(self.numbers[ACCOUNT].wrapping_mul(account as u64));
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("no key is made of bytes");
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        self.sum >> 32
    }
}
