//! Verifiers, whom the root makes, and clients, to whom verifiers give datacap. With two verifiers' word the root can
//! take a client's datacap away.

use actor_runtime::account::has_signed;
use actor_runtime::address::{resolve_existing, resolve_or_create};
use actor_runtime::policy::MINIMUM_VERIFIED_SIZE;
use actor_runtime::{ActorError, Call, Reply, caller, ids, params, state};
use fvm_ipld_encoding::to_vec;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::address::Address;
use fvm_shared::bigint::{BigInt, bigint_ser};
use fvm_shared::crypto::signature::Signature;
use num_traits::{Signed, Zero};

use crate::state::{RemovalNumber, State};
use crate::{events, token};

/// What is put in front of a removal before it is signed.
const REMOVAL_DOMAIN: &[u8] = b"fil_removedatacap:";

#[derive(Deserialize_tuple)]
pub struct GrantParams {
    address: Address,
    /// Bytes.
    #[serde(with = "bigint_ser")]
    allowance: BigInt,
}

#[derive(Deserialize_tuple)]
pub struct RemovalParams {
    client: Address,
    #[serde(with = "bigint_ser")]
    bytes: BigInt,
    first: Approval,
    second: Approval,
}

/// A verifier's word for a removal.
#[derive(Deserialize_tuple)]
struct Approval {
    verifier: Address,
    signature: Signature,
}

/// What verifiers sign.
#[derive(Serialize_tuple)]
struct Removal<'a> {
    client: Address,
    #[serde(with = "bigint_ser")]
    bytes: &'a BigInt,
    number: RemovalNumber,
}

#[derive(Serialize_tuple)]
struct RemovalReturn {
    client: Address,
    #[serde(with = "bigint_ser")]
    removed: BigInt,
}

/// Makes a verifier, or sets one's allowance anew.
pub fn add_verifier(call: Call) -> Reply {
    let GrantParams { address, allowance } = call.params.decode()?;
    must_be_worth_it(&allowance)?;
    let verifier = resolve_existing(&address)?;
    let mut state: State = state::load()?;
    must_be_root(&state)?;
    if is_root(&state, verifier) {
        return Err(ActorError::illegal_argument("the root cannot be a verifier"));
    }
    if token::balance(verifier)?.is_positive() {
        return Err(ActorError::illegal_argument(format!("f0{verifier} has datacap: a client cannot be a verifier")));
    }
    state.set_allowance(verifier, allowance.clone())?;
    state::save(&state)?;
    events::verifier_balance(verifier, &allowance, None)?;
    params::done()
}

/// Parameters: the verifier's bare address.
pub fn remove_verifier(call: Call) -> Reply {
    let address: Address = call.params.decode()?;
    let verifier = resolve_or_create(&address)?;
    let mut state: State = state::load()?;
    must_be_root(&state)?;
    state.remove_verifier(verifier)?;
    state::save(&state)?;
    events::verifier_balance(verifier, &BigInt::zero(), None)?;
    params::done()
}

/// The calling verifier gives datacap out of its allowance.
pub fn add_verified_client(call: Call) -> Reply {
    let GrantParams { address, allowance } = call.params.decode()?;
    must_be_worth_it(&allowance)?;
    let client = resolve_existing(&address)?;
    let mut state: State = state::load()?;
    if is_root(&state, client) {
        return Err(ActorError::illegal_argument("the root cannot be a client"));
    }
    let verifier = fvm_sdk::message::caller();
    let left = state.allowance(verifier)?.ok_or_else(|| no_verifier(verifier))?;
    if state.allowance(client)?.is_some() {
        return Err(ActorError::illegal_argument(format!("f0{client} is a verifier: it cannot be a client")));
    }
    if left < allowance {
        return Err(ActorError::illegal_argument(format!("{left} bytes are left to give away, not {allowance}")));
    }
    let left = left - &allowance;
    state.set_allowance(verifier, left.clone())?;
    events::verifier_balance(verifier, &left, Some(client))?;
    state::save(&state)?;
    token::mint(client, &allowance)?;
    params::done()
}

/// The numbers are used up before anybody is called; if a signature is wrong, all of this is undone.
pub fn remove_datacap(call: Call) -> Reply {
    let wanted: RemovalParams = call.params.decode()?;
    let client = resolve_or_create(&wanted.client)?;
    let first = resolve_existing(&wanted.first.verifier)?;
    let second = resolve_existing(&wanted.second.verifier)?;
    if first == second {
        return Err(ActorError::illegal_argument("a removal needs the word of two verifiers"));
    }
    let mut state: State = state::load()?;
    must_be_root(&state)?;
    if wanted.client == Address::new_id(ids::VERIFIED_REGISTRY) {
        return Err(ActorError::illegal_argument("the registry's own datacap stays"));
    }
    for verifier in [first, second] {
        state.allowance(verifier)?.ok_or_else(|| no_verifier(verifier))?;
    }
    let numbers = [state.use_removal(first, client)?, state.use_removal(second, client)?];
    state::save(&state)?;

    let client_address = Address::new_id(client);
    for (approval, number) in [wanted.first, wanted.second].into_iter().zip(numbers) {
        let removal = Removal { client: client_address, bytes: &wanted.bytes, number };
        let message = [REMOVAL_DOMAIN, &to_vec(&removal)?].concat();
        if !has_signed(&approval.verifier, approval.signature.bytes, message)? {
            return Err(ActorError::illegal_argument(format!("{} has not signed this", approval.verifier)));
        }
    }
    let removed = token::balance(client)?.min(wanted.bytes);
    token::destroy(client, &removed)?;
    params::reply(&RemovalReturn { client: client_address, removed })
}

fn must_be_worth_it(allowance: &BigInt) -> Result<(), ActorError> {
    if *allowance < BigInt::from(MINIMUM_VERIFIED_SIZE) {
        return Err(ActorError::illegal_argument(format!("{allowance} bytes are less than the smallest piece")));
    }
    Ok(())
}

fn must_be_root(state: &State) -> Result<(), ActorError> {
    caller::must_be(state.root.id().expect("the root is an id address"))
}

fn is_root(state: &State, id: ActorID) -> bool {
    state.root == Address::new_id(id)
}

fn no_verifier(id: ActorID) -> ActorError {
    ActorError::not_found(format!("f0{id} is no verifier"))
}
