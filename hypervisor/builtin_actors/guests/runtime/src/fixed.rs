//! Numbers with 128 binary digits after the point (Q.128), as big integers. Every division rounds down.

use fvm_shared::bigint::{BigInt, Integer};

/// The digits after the point.
pub const DIGITS: u32 = 128;

pub fn whole(number: impl Into<BigInt>) -> BigInt {
    number.into() << DIGITS
}

/// A constant out of its decimal digits: most are longer than any machine number. Reading one costs as much as some
/// multiplications, so that those in use are kept in statics.
pub fn constant(digits: &str) -> BigInt {
    digits.parse().expect("a constant is a number")
}

pub fn multiply(a: &BigInt, b: &BigInt) -> BigInt {
    (a * b) >> DIGITS
}

/// Coefficients from the highest power down.
pub struct Polynomial(Vec<BigInt>);

impl Polynomial {
    pub fn new(coefficients: &[&str]) -> Self {
        Self(coefficients.iter().map(|digits| constant(digits)).collect())
    }

    fn at(&self, place: &BigInt) -> BigInt {
        self.0.iter().fold(BigInt::default(), |sum, coefficient| multiply(&sum, place) + coefficient)
    }

    /// This polynomial divided by another one at a place.
    pub fn over(&self, denominator: &Polynomial, place: &BigInt) -> BigInt {
        (self.at(place) << DIGITS).div_floor(&denominator.at(place))
    }
}
