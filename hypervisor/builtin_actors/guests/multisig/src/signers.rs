//! Who may sign, and how many of them have to: changed by the wallet's own transactions only.

use actor_runtime::address::{resolve_existing, resolve_or_create};
use actor_runtime::{ActorError, Call, Reply, caller, params, state};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;

use crate::state::State;

const MOST_SIGNERS: usize = 256;

#[derive(Deserialize_tuple)]
struct AddParams {
    signer: Address,
    increase_threshold: bool,
}

#[derive(Deserialize_tuple)]
struct RemoveParams {
    signer: Address,
    decrease_threshold: bool,
}

#[derive(Deserialize_tuple)]
struct SwapParams {
    from: Address,
    to: Address,
}

#[derive(Deserialize_tuple)]
struct ThresholdParams {
    threshold: u64,
}

/// The first signers of a wallet, as id addresses; accounts that do not exist are created.
pub fn resolve_all(addresses: &[Address]) -> Result<Vec<Address>, ActorError> {
    if addresses.is_empty() || addresses.len() > MOST_SIGNERS {
        return Err(ActorError::illegal_argument(format!("a multisig has 1 to {MOST_SIGNERS} signers")));
    }
    let mut signers = Vec::with_capacity(addresses.len());
    for address in addresses {
        let signer = Address::new_id(resolve_existing(address)?);
        if signers.contains(&signer) {
            return Err(ActorError::illegal_argument(format!("{address} is a signer twice")));
        }
        signers.push(signer);
    }
    Ok(signers)
}

pub fn add(call: Call) -> Reply {
    let wanted: AddParams = call.params.decode()?;
    caller::must_be(fvm_sdk::message::receiver())?;
    let signer = Address::new_id(resolve_existing(&wanted.signer)?);
    let mut state: State = state::load()?;
    if state.signers.len() >= MOST_SIGNERS {
        return Err(ActorError::forbidden(format!("there are {MOST_SIGNERS} signers already")));
    }
    if state.is_signer(&signer) {
        return Err(ActorError::forbidden(format!("{signer} is a signer already")));
    }
    state.signers.push(signer);
    if wanted.increase_threshold {
        state.threshold += 1;
    }
    state::save(&state)?;
    params::done()
}

pub fn remove(call: Call) -> Reply {
    let wanted: RemoveParams = call.params.decode()?;
    caller::must_be(fvm_sdk::message::receiver())?;
    let signer = Address::new_id(resolve_or_create(&wanted.signer)?);
    let mut state: State = state::load()?;
    state.must_be_signer(&signer)?;
    let left = state.signers.len() as u64 - 1;
    if left == 0 {
        return Err(ActorError::forbidden("the only signer stays"));
    }
    if wanted.decrease_threshold {
        if state.threshold < 2 {
            return Err(ActorError::illegal_argument("the threshold cannot be less than 1"));
        }
        state.threshold -= 1;
    } else if left < state.threshold {
        return Err(ActorError::illegal_argument(format!("{left} signers are less than the threshold")));
    }
    state.forget_approvals(&signer)?;
    state.signers.retain(|other| *other != signer);
    state::save(&state)?;
    params::done()
}

/// The new signer goes to the end of the list.
pub fn swap(call: Call) -> Reply {
    let SwapParams { from, to } = call.params.decode()?;
    caller::must_be(fvm_sdk::message::receiver())?;
    let old = Address::new_id(resolve_or_create(&from)?);
    let new = Address::new_id(resolve_existing(&to)?);
    let mut state: State = state::load()?;
    state.must_be_signer(&old)?;
    if state.is_signer(&new) {
        return Err(ActorError::illegal_argument(format!("{new} is a signer already")));
    }
    state.signers.retain(|signer| *signer != old);
    state.signers.push(new);
    state.forget_approvals(&old)?;
    state::save(&state)?;
    params::done()
}

pub fn change_threshold(call: Call) -> Reply {
    let ThresholdParams { threshold } = call.params.decode()?;
    caller::must_be(fvm_sdk::message::receiver())?;
    let mut state: State = state::load()?;
    if threshold == 0 || threshold > state.signers.len() as u64 {
        return Err(ActorError::illegal_argument("the threshold has to be between 1 and the number of signers"));
    }
    state.threshold = threshold;
    state::save(&state)?;
    params::done()
}
