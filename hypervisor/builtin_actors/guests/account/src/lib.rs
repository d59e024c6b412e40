//! The account of a key: f1 (secp256k1) or f3 (BLS). Its state is the key address; it vouches for signatures of that
//! key, and accepts every other exported method without doing anything.

use actor_runtime::{ActorError, Call, Reply, caller, entrypoint, ids, params, state};
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::strict_bytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::MethodNum;
use fvm_shared::address::{Address, Protocol};
use fvm_shared::crypto::signature::{Signature, SignatureType};

const PUBKEY_ADDRESS: MethodNum = 2;
const AUTHENTICATE_MESSAGE: MethodNum = method_hash!("AuthenticateMessage");

entrypoint!(dispatch);

#[derive(Serialize_tuple, Deserialize_tuple)]
struct State {
    address: Address,
}

#[derive(Deserialize_tuple)]
struct AuthenticateMessageParams {
    /// The bare signature: its type follows from the account's address.
    #[serde(with = "strict_bytes")]
    signature: Vec<u8>,
    #[serde(with = "strict_bytes")]
    message: Vec<u8>,
}

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        PUBKEY_ADDRESS => pubkey_address(call),
        AUTHENTICATE_MESSAGE => authenticate_message(call),
        exported if exported >= ids::FIRST_EXPORTED => params::done(),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

/// Parameters: the bare address.
fn construct(call: Call) -> Reply {
    let address: Address = call.params.decode()?;
    caller::must_be(ids::SYSTEM)?;
    match address.protocol() {
        Protocol::Secp256k1 | Protocol::BLS => state::create(&State { address })?,
        _ => return Err(ActorError::illegal_argument("an account needs an f1 or f3 address")),
    }
    params::done()
}

/// Returns the bare address.
fn pubkey_address(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&state::load::<State>()?.address)
}

/// Returns true, or aborts with 16: it never answers false.
fn authenticate_message(call: Call) -> Reply {
    let AuthenticateMessageParams { signature, message } = call.params.decode()?;
    let signer = state::load::<State>()?.address;
    let sig_type = match signer.protocol() {
        Protocol::Secp256k1 => SignatureType::Secp256k1,
        Protocol::BLS => SignatureType::BLS,
        _ => return Err(ActorError::illegal_state("this account's address has no key")),
    };
    let signature = Signature { sig_type, bytes: signature };
    match fvm_sdk::crypto::verify_signature(&signature, &signer, &message) {
        Ok(true) => params::reply(&true),
        _ => Err(ActorError::illegal_argument("the signature is not by this account's key")),
    }
}
