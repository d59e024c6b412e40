//! Ethereum addresses: how new ones are computed, and which may never be given away.

use fvm_ipld_encoding::strict_bytes;
use fvm_shared::ActorID;
use fvm_shared::crypto::hash::SupportedHashes;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EthAddress(#[serde(with = "strict_bytes")] pub [u8; 20]);

impl EthAddress {
    /// Addresses that mean something else: precompiles (`00..XX`, `fe..XX`, the zero address with them) and ids
    /// (`ff`, eleven zeros, a 64-bit id).
    pub fn is_reserved(&self) -> bool {
        let [first, rest @ ..] = self.0;
        match first {
            0x00 | 0xfe => rest[..18] == [0; 18],
            0xff => rest[..11] == [0; 11],
            _ => false,
        }
    }
}

/// The form of an actor that has no Ethereum address of its own.
pub fn of_id(id: ActorID) -> EthAddress {
    let mut bytes = [0; 20];
    bytes[0] = 0xff;
    bytes[12..].copy_from_slice(&id.to_be_bytes());
    EthAddress(bytes)
}

/// The last 20 bytes of the keccak of anything.
pub fn of_bytes(data: &[u8]) -> EthAddress {
    let digest = keccak(data);
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&digest[12..]);
    EthAddress(bytes)
}

/// CREATE: keccak of the RLP list `[creator, nonce]`.
pub fn by_nonce(creator: &EthAddress, nonce: u64) -> EthAddress {
    let digits = nonce.to_be_bytes();
    let digits = &digits[nonce.leading_zeros() as usize / 8..];
    let mut item = Vec::with_capacity(9);
    if !matches!(digits, [small] if *small < 0x80) {
        item.push(0x80 + digits.len() as u8);
    }
    item.extend_from_slice(digits);
    let mut list = vec![0xc0 + 21 + item.len() as u8, 0x80 + 20];
    list.extend_from_slice(&creator.0);
    list.extend_from_slice(&item);
    of_bytes(&list)
}

/// CREATE2: keccak of `ff`, creator, salt and the hash of the initcode.
pub fn by_salt(creator: &EthAddress, salt: &[u8; 32], initcode: &[u8]) -> EthAddress {
    let mut data = vec![0xff];
    data.extend_from_slice(&creator.0);
    data.extend_from_slice(salt);
    data.extend_from_slice(&keccak(initcode));
    of_bytes(&data)
}

fn keccak(data: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    fvm_sdk::crypto::hash_into(SupportedHashes::Keccak256, data, &mut digest);
    digest
}
