//! Fixed keys, their addresses and their signatures.

use bls_signatures::{PrivateKey, Serialize};
use fvm_shared::address::Address;
use k256::ecdsa::SigningKey;
use multihash_codetable::{Code, MultihashDigest};

pub fn secp_key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("a small number is a key")
}

/// The uncompressed public key, 65 bytes.
pub fn secp_public(seed: u8) -> Vec<u8> {
    secp_key(seed).verifying_key().to_encoded_point(false).as_bytes().to_vec()
}

pub fn secp_address(seed: u8) -> Address {
    Address::new_secp256k1(&secp_public(seed)).expect("65 bytes make an address")
}

/// r, s and v over a 32-byte digest.
pub fn secp_sign_digest(seed: u8, digest: &[u8]) -> Vec<u8> {
    let (signature, recovery) = secp_key(seed).sign_prehash_recoverable(digest).expect("a digest can be signed");
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(recovery.to_byte());
    bytes
}

/// A signature as Filecoin's accounts make it: over the plaintext's blake2b-256.
pub fn secp_sign(seed: u8, plaintext: &[u8]) -> Vec<u8> {
    secp_sign_digest(seed, Code::Blake2b256.digest(plaintext).digest())
}

pub fn bls_key(seed: u8) -> PrivateKey {
    PrivateKey::new([seed; 32])
}

pub fn bls_public(seed: u8) -> Vec<u8> {
    bls_key(seed).public_key().as_bytes()
}

pub fn bls_address(seed: u8) -> Address {
    Address::new_bls(&bls_public(seed)).expect("48 bytes make an address")
}

pub fn bls_sign(seed: u8, plaintext: &[u8]) -> Vec<u8> {
    bls_key(seed).sign(plaintext).as_bytes()
}

pub fn bls_aggregate(signatures: &[Vec<u8>]) -> Vec<u8> {
    let parsed: Vec<_> = signatures
        .iter()
        .map(|bytes| bls_signatures::Signature::from_bytes(bytes).expect("our own signature"))
        .collect();
    bls_signatures::aggregate(&parsed).expect("at least one").as_bytes()
}

/// An f410 address of twenty equal bytes.
pub fn eth_address(byte: u8) -> Address {
    Address::new_delegated(10, &[byte; 20]).expect("20 bytes make an address")
}
