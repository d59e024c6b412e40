//! The datacap token, f07: what verified clients pay storage deals with (FRC-46). It moves to and from the verified
//! registry only, which mints and destroys it. 10^18 units are one byte of datacap; less does not exist.
//!
//! From v19 on (FIP-0118) it is frozen: it tells what there is, every method that would change it decodes its parameters
//! and answers 18.

// What v19 no longer does is compiled only for its parameters' types.
#![cfg_attr(feature = "v19", allow(dead_code))]

mod allowances;
mod state;
mod transfers;

use actor_runtime::{ActorError, Call, Reply, address, caller, entrypoint, ids, params};
use frc42_dispatch::method_hash;
use fvm_shared::address::Address;
use fvm_shared::bigint::BigInt;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{ActorID, MethodNum};
use num_traits::Zero;

use crate::state::{Ledger, State};

const MINT: MethodNum = method_hash!("Mint");
const DESTROY: MethodNum = method_hash!("Destroy");
const NAME: MethodNum = method_hash!("Name");
const SYMBOL: MethodNum = method_hash!("Symbol");
const GRANULARITY: MethodNum = method_hash!("Granularity");
const TOTAL_SUPPLY: MethodNum = method_hash!("TotalSupply");
const BALANCE: MethodNum = method_hash!("Balance");
const ALLOWANCE: MethodNum = method_hash!("Allowance");
const TRANSFER: MethodNum = method_hash!("Transfer");
const TRANSFER_FROM: MethodNum = method_hash!("TransferFrom");
const INCREASE_ALLOWANCE: MethodNum = method_hash!("IncreaseAllowance");
const DECREASE_ALLOWANCE: MethodNum = method_hash!("DecreaseAllowance");
const REVOKE_ALLOWANCE: MethodNum = method_hash!("RevokeAllowance");
const BURN: MethodNum = method_hash!("Burn");
const BURN_FROM: MethodNum = method_hash!("BurnFrom");

/// Units of one byte of datacap; every amount that moves is a multiple.
const UNITS_PER_BYTE: u64 = 1_000_000_000_000_000_000;

entrypoint!(dispatch);

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        NAME => constant(call, "DataCap"),
        SYMBOL => constant(call, "DCAP"),
        GRANULARITY => constant(call, UNITS_PER_BYTE),
        TOTAL_SUPPLY => total_supply(call),
        BALANCE => balance(call),
        ALLOWANCE => allowances::allowance(call),
        _ => change(call),
    }
}

#[cfg(not(feature = "v19"))]
fn change(call: Call) -> Reply {
    match call.method {
        MINT => transfers::mint(call),
        DESTROY => transfers::destroy(call),
        TRANSFER => transfers::transfer(call),
        TRANSFER_FROM => transfers::transfer_from(call),
        INCREASE_ALLOWANCE => allowances::increase(call),
        DECREASE_ALLOWANCE => allowances::decrease(call),
        REVOKE_ALLOWANCE => allowances::revoke(call),
        BURN => transfers::burn(call),
        BURN_FROM => transfers::burn_from(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

#[cfg(feature = "v19")]
fn change(call: Call) -> Reply {
    use actor_runtime::caller::frozen;

    match call.method {
        MINT => frozen::<transfers::MintParams>(call),
        DESTROY | BURN_FROM => frozen::<transfers::OwnerParams>(call),
        TRANSFER => frozen::<transfers::TransferParams>(call),
        TRANSFER_FROM => frozen::<transfers::TransferFromParams>(call),
        INCREASE_ALLOWANCE | DECREASE_ALLOWANCE => frozen::<allowances::ChangeParams>(call),
        REVOKE_ALLOWANCE => frozen::<allowances::RevokeParams>(call),
        BURN => frozen::<transfers::BurnParams>(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

/// Parameters: the governor's bare address.
fn construct(call: Call) -> Reply {
    let governor: Address = call.params.decode()?;
    caller::must_be(ids::SYSTEM)?;
    if address::resolve(&governor).is_none() {
        return Err(ActorError::illegal_argument("nobody has the governor's address"));
    }
    actor_runtime::state::create(&State { governor, ledger: Ledger::new()? })?;
    params::done()
}

fn constant(call: Call, value: impl serde::Serialize) -> Reply {
    call.params.expect_none()?;
    params::reply(&value)
}

fn total_supply(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&load()?.ledger.supply)
}

/// Parameters: the owner's bare address; an address that nobody has holds nothing.
fn balance(call: Call) -> Reply {
    let owner: Address = call.params.decode()?;
    let state = load()?;
    let balance = match address::resolve(&owner) {
        Some(id) => state.ledger.balance(id)?,
        None => TokenAmount::zero(),
    };
    params::reply(&balance)
}

fn load() -> Result<State, ActorError> {
    actor_runtime::state::load()
}

/// An amount that can move: not negative, whole bytes of datacap.
fn must_be_whole(amount: &TokenAmount) -> Result<(), ActorError> {
    if amount.is_negative() || !(amount.atto() % BigInt::from(UNITS_PER_BYTE)).is_zero() {
        return Err(ActorError::illegal_argument(format!("{amount} is no number of bytes")));
    }
    Ok(())
}

/// The id of an owner or operator. Unlike other tokens this one creates no account for an address that nobody has.
fn known(address: &Address) -> Result<ActorID, ActorError> {
    address::resolve(address).ok_or_else(|| ActorError::not_found(format!("nobody has the address {address}")))
}
