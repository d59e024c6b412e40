//! The actor's own state: one DAG-CBOR block, addressed by the state root.

use cid::Cid;
use fvm_ipld_encoding::{DAG_CBOR, from_slice, to_vec};
use fvm_sdk::error::StateUpdateError;
use fvm_shared::error::ExitCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ActorError;
use crate::store;

/// The state of a new actor: the empty tuple, one byte 0x80.
const EMPTY_TUPLE: [u8; 32] = [
    0x45, 0xb0, 0xcf, 0xc2, 0x20, 0xce, 0xec, 0x5b, 0x7c, 0x1c, 0x62, 0xc4, 0xd4, 0x19, 0x3d, 0x38, 0xe4, 0xeb, 0xa4,
    0x8e, 0x88, 0x15, 0x72, 0x9c, 0xe7, 0x5f, 0x9c, 0x0a, 0xb0, 0xe4, 0xc1, 0xc0,
];

/// The first write of a constructor: 20 if there is a state already.
pub fn create<S: Serialize>(state: &S) -> Result<(), ActorError> {
    if root()?.hash().digest() != EMPTY_TUPLE {
        return Err(ActorError::illegal_state("this actor has a state already"));
    }
    save(state)
}

pub fn load<S: DeserializeOwned>() -> Result<S, ActorError> {
    let block = fvm_sdk::ipld::get(&root()?).map_err(|_| ActorError::illegal_argument("the state cannot be read"))?;
    from_slice(&block).map_err(|_| ActorError::illegal_argument("the state cannot be decoded"))
}

/// Writes the state block and makes it the root; 25 in a read-only call.
pub fn save<S: Serialize>(state: &S) -> Result<(), ActorError> {
    let root = store::put(DAG_CBOR, &to_vec(state)?)?;
    fvm_sdk::sself::set_root(&root).map_err(|error| {
        let code = match error {
            StateUpdateError::ActorDeleted => ExitCode::USR_ILLEGAL_STATE,
            StateUpdateError::ReadOnly => ExitCode::USR_READ_ONLY,
        };
        ActorError::new(code, error.to_string())
    })
}

fn root() -> Result<Cid, ActorError> {
    fvm_sdk::sself::root().map_err(|error| ActorError::illegal_state(error.to_string()))
}
