//! The keys of maps: addresses and CIDs as their bytes, unsigned numbers as LEB128, signed ones zigzagged first.

use cid::Cid;
use fvm_ipld_hamt::BytesKey;
use fvm_shared::address::Address;

pub fn address(address: &Address) -> BytesKey {
    BytesKey(address.to_bytes())
}

pub fn cid(cid: &Cid) -> BytesKey {
    BytesKey(cid.to_bytes())
}

pub fn unsigned(mut number: u64) -> BytesKey {
    let mut bytes = Vec::with_capacity(10);
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    BytesKey(bytes)
}

pub fn signed(number: i64) -> BytesKey {
    unsigned(zigzag(number))
}

/// The number behind a key that `unsigned` made.
pub fn to_unsigned(key: &BytesKey) -> u64 {
    key.0.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f))
}

/// The number behind a key that `signed` made.
pub fn to_signed(key: &BytesKey) -> i64 {
    let number = to_unsigned(key);
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}
