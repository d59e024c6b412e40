//! The HAMT of built-in actors: bit width 5 unless said otherwise, keys hashed with sha-256 by the VM, which is cheaper
//! than in WASM. What the keys are made of is in `key`.

use std::hash::Hasher;

use cid::Cid;
use fvm_ipld_hamt::{BytesKey, Hamt, HashAlgorithm};
use fvm_shared::crypto::hash::SupportedHashes;

use crate::ActorError;
use crate::store::ActorStore;

const BIT_WIDTH: u32 = 5;

pub type Map<V> = Hamt<ActorStore, V, BytesKey, HostSha256>;

pub fn empty<V>() -> Map<V>
where
    V: serde::Serialize + serde::de::DeserializeOwned,
{
    empty_of_width(BIT_WIDTH)
}

pub fn empty_of_width<V>(bit_width: u32) -> Map<V>
where
    V: serde::Serialize + serde::de::DeserializeOwned,
{
    Map::new_with_bit_width(ActorStore, bit_width)
}

pub fn load<V>(root: &Cid) -> Result<Map<V>, ActorError>
where
    V: serde::Serialize + serde::de::DeserializeOwned,
{
    load_of_width(root, BIT_WIDTH)
}

pub fn load_of_width<V>(root: &Cid, bit_width: u32) -> Result<Map<V>, ActorError>
where
    V: serde::Serialize + serde::de::DeserializeOwned,
{
    Ok(Map::load_with_bit_width(root, ActorStore, bit_width)?)
}

pub enum HostSha256 {}

impl HashAlgorithm for HostSha256 {
    fn hash<X: fvm_ipld_hamt::Hash + ?Sized>(key: &X) -> [u8; 32] {
        let mut collected = Collect(Vec::new());
        key.hash(&mut collected);
        let mut digest = [0; 32];
        fvm_sdk::crypto::hash_into(SupportedHashes::Sha2_256, &collected.0, &mut digest);
        digest
    }
}

/// Keeps what a key writes, so that the VM can hash it in one call.
struct Collect(Vec<u8>);

impl Hasher for Collect {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
