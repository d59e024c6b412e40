//! CBOR by hand: parameters of official actors, and blocks that no encoder would write.

use cid::Cid;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;

fn head(major: u8, value: u64) -> Vec<u8> {
    let major = major << 5;
    match value {
        0..=23 => vec![major | value as u8],
        24..=0xff => vec![major | 24, value as u8],
        0x100..=0xffff => [&[major | 25], (value as u16).to_be_bytes().as_slice()].concat(),
        0x1_0000..=0xffff_ffff => [&[major | 26], (value as u32).to_be_bytes().as_slice()].concat(),
        _ => [&[major | 27], value.to_be_bytes().as_slice()].concat(),
    }
}

pub fn number(value: u64) -> Vec<u8> {
    head(0, value)
}

pub fn bytes(content: &[u8]) -> Vec<u8> {
    [head(2, content.len() as u64).as_slice(), content].concat()
}

pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

/// Tag 42 over a zero byte and the CID.
pub fn link(cid: &Cid) -> Vec<u8> {
    tagged(&[&[0], cid.to_bytes().as_slice()].concat())
}

/// Tag 42 over these bytes.
pub fn tagged(content: &[u8]) -> Vec<u8> {
    [head(6, 42), bytes(content)].concat()
}

pub fn address(address: &Address) -> Vec<u8> {
    bytes(&address.to_bytes())
}

pub fn id(id: u64) -> Vec<u8> {
    address(&Address::new_id(id))
}

/// An amount in attoFIL.
pub fn amount(value: &TokenAmount) -> Vec<u8> {
    fvm_ipld_encoding::to_vec(value).expect("an amount can be encoded")
}

pub fn atto(value: i128) -> Vec<u8> {
    amount(&TokenAmount::from_atto(value))
}

pub fn fil(value: i64) -> Vec<u8> {
    amount(&TokenAmount::from_whole(value))
}
