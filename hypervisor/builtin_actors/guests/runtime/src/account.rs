//! What is asked of accounts.

use frc42_dispatch::method_hash;
use fvm_ipld_encoding::strict_bytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{ActorID, MethodNum};

use crate::send::{ask, send};
use crate::{ActorError, params};

const PUBKEY_ADDRESS: MethodNum = 2;
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

/// The f1 or f3 address of an account's key.
pub fn public_key(account: ActorID) -> Result<Address, ActorError> {
    params::returned(send(&Address::new_id(account), PUBKEY_ADDRESS, None, TokenAmount::default())?)
}
