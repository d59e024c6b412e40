//! Division, remainders and powers of 256-bit words: zero where EVM says so, machine words where both operands are
//! small, and otherwise a call, so that the loop's own code stays short.

use crate::words::{self, ZERO};
use revm_interpreter::instructions::i256;
use revm_primitives::U256;

#[inline(always)]
pub fn divide(a: &U256, b: &U256) -> U256 {
    match (words::small(a), words::small(b)) {
        (_, Some(0)) => ZERO,
        (Some(a), Some(b)) => U256::from_limbs([a / b, 0, 0, 0]),
        _ => long_divide(a, b),
    }
}

#[inline(never)]
fn long_divide(a: &U256, b: &U256) -> U256 {
    a.wrapping_div(*b)
}

#[inline(always)]
pub fn remainder(a: &U256, b: &U256) -> U256 {
    match (words::small(a), words::small(b)) {
        (_, Some(0)) => ZERO,
        (Some(a), Some(b)) => U256::from_limbs([a % b, 0, 0, 0]),
        _ => long_remainder(a, b),
    }
}

#[inline(never)]
fn long_remainder(a: &U256, b: &U256) -> U256 {
    a.wrapping_rem(*b)
}

#[inline(never)]
pub fn divide_signed(a: &U256, b: &U256) -> U256 {
    i256::i256_div(*a, *b)
}

#[inline(never)]
pub fn remainder_signed(a: &U256, b: &U256) -> U256 {
    i256::i256_mod(*a, *b)
}

#[inline(never)]
pub fn add_modulo(a: &U256, b: &U256, modulus: &U256) -> U256 {
    a.add_mod(*b, *modulus)
}

#[inline(never)]
pub fn multiply_modulo(a: &U256, b: &U256, modulus: &U256) -> U256 {
    a.mul_mod(*b, *modulus)
}

#[inline(never)]
pub fn power(number: &U256, exponent: &U256) -> U256 {
    number.pow(*exponent)
}
