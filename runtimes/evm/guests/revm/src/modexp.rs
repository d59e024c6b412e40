//! The precompile of EIP-198: a number to a power, modulo another.

use crate::precompiles::Outcome;
use aurora_engine_modexp::modexp;

const HEAD: usize = 96;
/// No part may be longer under EIP-7823.
const BOUND: usize = 1024;
/// Longer parts are the host's affair.
const LONGEST: usize = 4096;

/// The proposal that prices the precompile: EIP-198, EIP-2565, or EIP-7883, which comes with the bounds of EIP-7823.
#[derive(Clone, Copy, PartialEq)]
pub enum ModexpPrice {
    First,
    Repriced,
    Bounded,
}

/// What an input asks for. Bytes that it lacks are zeros.
pub struct Modexp<'a> {
    input: &'a [u8],
    lengths: [usize; 3],
    rule: ModexpPrice,
    pub price: u64,
}

impl<'a> Modexp<'a> {
    /// None where the host must answer.
    pub fn of(input: &'a [u8], rule: ModexpPrice) -> Option<Modexp<'a>> {
        let mut lengths = [0; 3];
        for (place, length) in lengths.iter_mut().enumerate() {
            let word = part(input, 32 * place, 32);
            if word[..30].iter().any(|byte| *byte != 0) {
                return None;
            }
            *length = usize::from(word[30]) << 8 | usize::from(word[31]);
        }
        if lengths.iter().any(|length| *length > LONGEST) {
            return None;
        }
        let [base, exponent, modulus] = lengths;
        let first = part(input, HEAD + base, exponent.min(32));
        let price = price(base.max(modulus) as u64, exponent as u64, bits(&first), rule);
        Some(Modexp { input, lengths, rule, price })
    }

    /// None where a part is too long for these rules.
    pub fn run(&self, limit: u64) -> Outcome {
        let [base, exponent, modulus] = self.lengths;
        if (self.rule == ModexpPrice::Bounded && self.lengths.iter().any(|length| *length > BOUND))
            || self.price > limit
        {
            return None;
        }
        let divisor = part(self.input, HEAD + base + exponent, modulus);
        let mut output = vec![0; modulus];
        if divisor.iter().any(|byte| *byte != 0) {
            let number = part(self.input, HEAD, base);
            let power = part(self.input, HEAD + base, exponent);
            let result = modexp(&number, &power, &divisor);
            let digits = &result[result.len().saturating_sub(modulus)..];
            output[modulus - digits.len()..].copy_from_slice(digits);
        }
        Some((self.price, output))
    }
}

fn part(input: &[u8], start: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let there = &input[start.min(input.len())..(start + length).min(input.len())];
    bytes[..there.len()].copy_from_slice(there);
    bytes
}

/// How many bits a number has behind its highest one.
fn bits(number: &[u8]) -> u64 {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros).map_or(0, |byte| 8 * (number.len() - zeros) as u64 - u64::from(byte.leading_zeros()) - 1)
}

fn price(longest: u64, exponent: u64, bits: u64, rule: ModexpPrice) -> u64 {
    let words = longest.div_ceil(8);
    let rounds = |each: u64| (each * exponent.saturating_sub(32) + bits).max(1);
    match rule {
        ModexpPrice::First => first_complexity(longest) * rounds(8) / 20,
        ModexpPrice::Repriced => (words * words * rounds(8) / 3).max(200),
        ModexpPrice::Bounded if longest > 32 => (2 * words * words * rounds(16)).max(500),
        ModexpPrice::Bounded => (16 * rounds(16)).max(500),
    }
}

fn first_complexity(longest: u64) -> u64 {
    match longest {
        ..=64 => longest * longest,
        65..=1024 => longest * longest / 4 + 96 * longest - 3072,
        _ => longest * longest / 16 + 480 * longest - 199_680,
    }
}
