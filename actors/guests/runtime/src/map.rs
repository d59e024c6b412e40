//! The HAMT of built-in actors: bit width 5, keys hashed with sha-256 by the VM, which is cheaper than in WASM.

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
    Map::new_with_bit_width(ActorStore, BIT_WIDTH)
}

pub fn load<V>(root: &Cid) -> Result<Map<V>, ActorError>
where
    V: serde::Serialize + serde::de::DeserializeOwned,
{
    Map::load_with_bit_width(root, ActorStore, BIT_WIDTH).map_err(broken)
}

/// A map that cannot be read or written is broken state.
pub fn broken(error: fvm_ipld_hamt::Error) -> ActorError {
    ActorError::illegal_state(format!("map: {error}"))
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
