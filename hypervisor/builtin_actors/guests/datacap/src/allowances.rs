//! Allowances: what an owner lets an operator move. They may be of any fineness, since only amounts that move have to
//! be whole bytes.

use actor_runtime::{ActorError, Call, Reply, address, params, state};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;

use crate::{known, load};

#[derive(Deserialize_tuple)]
struct PairParams {
    owner: Address,
    operator: Address,
}

#[derive(Deserialize_tuple)]
pub struct ChangeParams {
    operator: Address,
    change: TokenAmount,
}

#[derive(Deserialize_tuple)]
pub struct RevokeParams {
    operator: Address,
}

/// What is left; nothing between addresses that nobody has.
pub fn allowance(call: Call) -> Reply {
    let PairParams { owner, operator } = call.params.decode()?;
    let ledger = load()?.ledger;
    let allowance = match (address::resolve(&owner), address::resolve(&operator)) {
        (Some(owner), Some(operator)) => ledger.allowance(owner, operator)?,
        _ => TokenAmount::default(),
    };
    params::reply(&allowance)
}

pub fn increase(call: Call) -> Reply {
    let ChangeParams { operator, change } = call.params.decode()?;
    change_by(operator, &change, &change)
}

pub fn decrease(call: Call) -> Reply {
    let ChangeParams { operator, change } = call.params.decode()?;
    change_by(operator, &change, &-&change)
}

fn change_by(operator: Address, size: &TokenAmount, change: &TokenAmount) -> Reply {
    let mut state = load()?;
    if size.is_negative() {
        return Err(ActorError::illegal_argument("the change is negative"));
    }
    let allowance = state.ledger.change_allowance(fvm_sdk::message::caller(), known(&operator)?, change)?;
    state::save(&state)?;
    params::reply(&allowance)
}

/// Returns the allowance that was, where the text of the standard has nothing.
pub fn revoke(call: Call) -> Reply {
    let RevokeParams { operator } = call.params.decode()?;
    let mut state = load()?;
    let owner = fvm_sdk::message::caller();
    let mut before = TokenAmount::default();
    if let Some(operator) = address::resolve(&operator) {
        state.ledger.update_allowance(owner, operator, |allowance| {
            before = allowance;
            Ok(TokenAmount::default())
        })?;
    }
    state::save(&state)?;
    params::reply(&before)
}
