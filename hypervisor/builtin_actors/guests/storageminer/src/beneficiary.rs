//! Who gets what a miner earns: its owner, or for a time and up to a quota somebody else. A change is proposed by the
//! owner and agreed to by the old beneficiary, if it has a right left, and the new one (FIP-0029).

use actor_runtime::{ActorError, Call, Reply, params};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;

use crate::info::{BeneficiaryChange, Info, Term, resolve};
use crate::state::State;

#[derive(Deserialize_tuple)]
struct ChangeParams {
    beneficiary: Address,
    quota: TokenAmount,
    expiration: ChainEpoch,
}

#[derive(Serialize_tuple)]
struct Active {
    beneficiary: Address,
    term: Term,
}

#[derive(Serialize_tuple)]
struct GetReturn {
    active: Active,
    proposed: Option<BeneficiaryChange>,
}

pub fn change(call: Call) -> Reply {
    let mut wanted: ChangeParams = call.params.decode()?;
    wanted.beneficiary = Address::new_id(resolve(&wanted.beneficiary)?);
    let caller = Address::new_id(fvm_sdk::message::caller());
    let mut state = State::load()?;
    let mut info = state.load_info()?;
    let mut change = if caller == info.owner { propose(&info, wanted)? } else { confirm(&info, wanted, &caller)? };
    change.approved_by_beneficiary |= caller == info.beneficiary;
    change.approved_by_nominee |= caller == change.beneficiary;
    if change.approved_by_beneficiary && change.approved_by_nominee {
        enact(&mut info, change);
    } else {
        info.next_beneficiary = Some(change);
    }
    state.save_info(&info)?;
    state.save()?;
    params::done()
}

/// A proposal of the owner's, which replaces an earlier one.
fn propose(info: &Info, wanted: ChangeParams) -> Result<BeneficiaryChange, ActorError> {
    if wanted.beneficiary != info.owner {
        if !wanted.quota.is_positive() {
            return Err(ActorError::illegal_argument("a beneficiary's quota is positive"));
        }
    } else if wanted.quota != TokenAmount::default() || wanted.expiration != 0 {
        return Err(ActorError::illegal_argument("an owner has neither quota nor expiration"));
    }
    Ok(BeneficiaryChange {
        beneficiary: wanted.beneficiary,
        quota: wanted.quota,
        expiration: wanted.expiration,
        approved_by_beneficiary: info.term.left(fvm_sdk::network::curr_epoch()) == TokenAmount::default(),
        approved_by_nominee: false,
    })
}

/// The proposal that there is, repeated by one of the two whom it concerns.
fn confirm(info: &Info, wanted: ChangeParams, caller: &Address) -> Result<BeneficiaryChange, ActorError> {
    let Some(change) = info.next_beneficiary.clone() else {
        return Err(ActorError::forbidden("no change of the beneficiary is proposed"));
    };
    if *caller != info.beneficiary && *caller != change.beneficiary {
        return Err(ActorError::forbidden(format!("{caller} has no say in who is the beneficiary")));
    }
    let asked = (wanted.beneficiary, &wanted.quota, wanted.expiration);
    if asked != (change.beneficiary, &change.quota, change.expiration) {
        return Err(ActorError::illegal_argument("another change of the beneficiary is proposed"));
    }
    Ok(change)
}

fn enact(info: &mut Info, change: BeneficiaryChange) {
    if change.beneficiary != info.beneficiary {
        info.term.used = TokenAmount::default();
    }
    info.beneficiary = change.beneficiary;
    info.term.quota = change.quota;
    info.term.expiration = change.expiration;
    info.next_beneficiary = None;
}

pub fn get(call: Call) -> Reply {
    call.params.expect_none()?;
    let info = State::load()?.load_info()?;
    let active = Active { beneficiary: info.beneficiary, term: info.term };
    params::reply(&GetReturn { active, proposed: info.next_beneficiary })
}
