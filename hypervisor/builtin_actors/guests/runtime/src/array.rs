//! The AMT of built-in actors: a sparse array of 2^64 places, each user with a bit width of its own.

use cid::Cid;
use fvm_ipld_amt::Amt;

use crate::ActorError;
use crate::store::ActorStore;

pub type Array<V> = Amt<V, ActorStore>;

pub fn empty<V>(bit_width: u32) -> Array<V> {
    Amt::new_with_bit_width(ActorStore, bit_width)
}

/// The bit width is written in the array's root.
pub fn load<V>(root: &Cid) -> Result<Array<V>, ActorError>
where
    V: serde::Serialize + serde::de::DeserializeOwned,
{
    Ok(Amt::load(root, ActorStore)?)
}
