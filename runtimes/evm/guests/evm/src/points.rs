//! The precompiles of the curve alt_bn128 (EIP-196, EIP-197), of input of any length; for both guests.

use crate::bn254;

/// A point, of an input that is cut or extended with zeros.
pub fn point(input: &[u8], size: usize, work: fn(&mut [u8]) -> Result<(), bn254::Refusal>) -> Option<Vec<u8>> {
    let mut data = vec![0; size];
    let length = size.min(input.len());
    data[..length].copy_from_slice(&input[..length]);
    work(&mut data).ok()?;
    data.truncate(bn254::POINT);
    Some(data)
}

/// A word with 1 if the product of the pairings is one; None if the input is invalid.
pub fn pairing(input: &[u8]) -> Option<Vec<u8>> {
    if input.len() % bn254::PAIR != 0 {
        return None;
    }
    let mut word = vec![0; 32];
    let mut data = input.to_vec();
    if !data.is_empty() {
        bn254::pairing(&mut data).ok()?;
    }
    word[31] = data.first().map_or(1, |is_one| *is_one);
    Some(word)
}
