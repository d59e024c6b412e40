//! Blocks through the VM's syscalls: a put, and the blockstore that the map library works on.

use cid::Cid;
use fvm_ipld_blockstore::{Block, Blockstore};
use fvm_ipld_encoding::{DAG_CBOR, from_slice, to_vec};
use fvm_shared::error::ErrorNumber;
use multihash_codetable::Code;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ActorError;

const BLAKE2B_256: u64 = 0xb220;
const DIGEST_LENGTH: u32 = 32;

/// Stores a block and gives its CID.
pub fn put(codec: u64, data: &[u8]) -> Result<Cid, ActorError> {
    write(codec, data).map_err(|error| ActorError::illegal_state(format!("put failed: error number {}", error as u32)))
}

fn write(codec: u64, data: &[u8]) -> Result<Cid, ErrorNumber> {
    fvm_sdk::ipld::put(BLAKE2B_256, DIGEST_LENGTH, codec, data)
}

/// Stores an object as a block of DAG-CBOR and gives its CID.
pub fn put_object<T: Serialize>(object: &T) -> Result<Cid, ActorError> {
    put(DAG_CBOR, &to_vec(object)?)
}

/// The object in a block of the actor's state; 20 if it is not there or something else.
pub fn get_object<T: DeserializeOwned>(cid: &Cid) -> Result<T, ActorError> {
    let block =
        fvm_sdk::ipld::get(cid).map_err(|_| ActorError::illegal_state("a block of the state cannot be read"))?;
    from_slice(&block).map_err(|_| ActorError::illegal_state("a block of the state cannot be decoded"))
}

pub struct ActorStore;

impl Blockstore for ActorStore {
    fn get(&self, cid: &Cid) -> anyhow::Result<Option<Vec<u8>>> {
        fvm_sdk::ipld::get(cid).map(Some).map_err(|_| anyhow::Error::msg("block cannot be read"))
    }

    fn put_keyed(&self, _: &Cid, _: &[u8]) -> anyhow::Result<()> {
        Err(anyhow::Error::msg("the VM computes CIDs itself"))
    }

    /// The VM stores blake2b-256 blocks only, which is also what the map library asks for.
    fn put<D: AsRef<[u8]>>(&self, _: Code, block: &Block<D>) -> anyhow::Result<Cid> {
        write(block.codec, block.data.as_ref()).map_err(|_| anyhow::Error::msg("block cannot be written"))
    }
}
