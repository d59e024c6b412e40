//! Random numbers, repeatable by a seed: xoshiro256** of Blackman and Vigna.

use revm::primitives::{B256, U256};

pub struct Random([u64; 4]);

impl Random {
    /// Begin with a seed, which is a hash.
    pub fn new(seed: B256) -> Self {
        Self(std::array::from_fn(|at| u64::from_le_bytes(seed[8 * at..8 * at + 8].try_into().expect("eight bytes"))))
    }

    pub fn number(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let (e, f) = (c ^ a, d ^ b);
        self.0 = [a ^ f, b ^ e, e ^ (b << 17), f.rotate_left(45)];
        b.wrapping_mul(5).rotate_left(7).wrapping_mul(9)
    }

    /// Return a number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.below_u64(bound as u64) as usize
    }

    pub fn below_u64(&mut self, bound: u64) -> u64 {
        ((self.number() as u128 * bound as u128) >> 64) as u64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.number() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    pub fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Return a word with random bits up to a size.
    pub fn word(&mut self, bits: usize) -> U256 {
        U256::from_limbs(std::array::from_fn(|_| self.number())) >> (256 - bits)
    }

    pub fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| self.number() as u8).collect()
    }
}
