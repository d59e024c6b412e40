//! The registry's calls of the datacap token. Here amounts are bytes; the token counts 10^18 units for each.

use actor_runtime::send::{ask, send};
use actor_runtime::{ActorError, ids, params};
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::bigint::BigInt;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{ActorID, MethodNum};
use num_traits::Zero;
use serde::Serialize;

const BALANCE: MethodNum = method_hash!("Balance");
const MINT: MethodNum = method_hash!("Mint");
const BURN: MethodNum = method_hash!("Burn");
const DESTROY: MethodNum = method_hash!("Destroy");
const TRANSFER: MethodNum = method_hash!("Transfer");

const TOKEN: Address = Address::new_id(ids::DATACAP);
const UNITS_PER_BYTE: u64 = 1_000_000_000_000_000_000;

#[derive(Serialize_tuple)]
struct MintParams {
    to: Address,
    amount: TokenAmount,
    operators: Vec<Address>,
}

#[derive(Serialize_tuple)]
struct BurnParams {
    amount: TokenAmount,
}

#[derive(Serialize_tuple)]
struct DestroyParams {
    owner: Address,
    amount: TokenAmount,
}

#[derive(Serialize_tuple)]
struct TransferParams {
    to: Address,
    amount: TokenAmount,
    operator_data: RawBytes,
}

pub fn balance(owner: ActorID) -> Result<BigInt, ActorError> {
    let answer = ask(&TOKEN, BALANCE, params::cbor(&Address::new_id(owner))?)?;
    Ok(to_bytes(&params::returned(answer)?))
}

/// Gives a client datacap that the market may spend for it.
pub fn mint(to: ActorID, bytes: &BigInt) -> Result<(), ActorError> {
    let operators = vec![Address::new_id(ids::MARKET)];
    call(MINT, &MintParams { to: Address::new_id(to), amount: to_units(bytes), operators })
}

/// Burns datacap of the registry itself.
pub fn burn(bytes: &BigInt) -> Result<(), ActorError> {
    if bytes.is_zero() {
        return Ok(());
    }
    call(BURN, &BurnParams { amount: to_units(bytes) })
}

pub fn destroy(owner: ActorID, bytes: &BigInt) -> Result<(), ActorError> {
    if bytes.is_zero() {
        return Ok(());
    }
    call(DESTROY, &DestroyParams { owner: Address::new_id(owner), amount: to_units(bytes) })
}

pub fn transfer(to: ActorID, bytes: &BigInt) -> Result<(), ActorError> {
    let operator_data = RawBytes::default();
    call(TRANSFER, &TransferParams { to: Address::new_id(to), amount: to_units(bytes), operator_data })
}

/// Whole bytes of an amount of tokens.
pub fn to_bytes(units: &TokenAmount) -> BigInt {
    units.atto() / UNITS_PER_BYTE
}

fn to_units(bytes: &BigInt) -> TokenAmount {
    TokenAmount::from_atto(bytes * UNITS_PER_BYTE)
}

fn call<T: Serialize>(method: MethodNum, order: &T) -> Result<(), ActorError> {
    send(&TOKEN, method, params::cbor(order)?, TokenAmount::zero())?;
    Ok(())
}
