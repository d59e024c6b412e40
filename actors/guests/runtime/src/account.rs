//! What is asked of accounts.

use frc42_dispatch::method_hash;
use fvm_ipld_encoding::strict_bytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::MethodNum;
use fvm_shared::address::Address;

use crate::send::ask;
use crate::{ActorError, params};

const AUTHENTICATE_MESSAGE: MethodNum = method_hash!("AuthenticateMessage");

#[derive(Serialize_tuple)]
struct AuthenticateParams {
    #[serde(with = "strict_bytes")]
    signature: Vec<u8>,
    #[serde(with = "strict_bytes")]
    message: Vec<u8>,
}

/// Whether an actor says that it has signed a message. An error if it cannot say, or if it knows better: accounts
/// answer true or break off with 16. `signature` is without its type.
pub fn has_signed(signer: &Address, signature: Vec<u8>, message: Vec<u8>) -> Result<bool, ActorError> {
    let order = params::cbor(&AuthenticateParams { signature, message })?;
    params::returned(ask(signer, AUTHENTICATE_MESSAGE, order)?)
}
