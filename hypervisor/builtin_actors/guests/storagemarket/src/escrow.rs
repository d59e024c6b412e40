//! Paying in and out. A miner's money goes to its owner; owner and worker may ask for it.

use actor_runtime::kind::code_of;
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Kind, Reply, address, caller, params, state};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{ActorID, METHOD_SEND, MethodNum};

use crate::state::State;

const MINER_CONTROL_ADDRESSES: MethodNum = 2;

#[derive(Deserialize_tuple)]
struct WithdrawParams {
    account: Address,
    amount: TokenAmount,
}

#[derive(Serialize_tuple)]
struct Balance {
    balance: TokenAmount,
    locked: TokenAmount,
}

#[derive(Deserialize_tuple)]
struct MinerAddresses {
    owner: Address,
    worker: Address,
    _control: Vec<Address>,
}

/// Under what address money is kept, to whom it is paid, and who may ask for it.
struct Account {
    address: Address,
    recipient: Address,
    approved: Vec<Address>,
}

/// Parameters: the bare address of whom the value is for.
pub fn add_balance(call: Call) -> Reply {
    let who: Address = call.params.decode()?;
    let value = fvm_sdk::message::value_received();
    if !value.is_positive() {
        return Err(ActorError::illegal_argument("there is nothing to pay in"));
    }
    let account = account(&who)?;
    let mut state: State = state::load()?;
    let mut balances = state.load_balances()?;
    balances.deposit(&account.address, &value)?;
    state.save_balances(balances)?;
    state::save(&state)?;
    params::done()
}

/// Pays out as much as there is unlocked, up to the amount; returns the bare amount.
pub fn withdraw_balance(call: Call) -> Reply {
    let wanted: WithdrawParams = call.params.decode()?;
    if wanted.amount.is_negative() {
        return Err(ActorError::illegal_argument("the amount is negative"));
    }
    let account = account(&wanted.account)?;
    caller::must_be_one_of(&account.approved)?;
    let mut state: State = state::load()?;
    let mut balances = state.load_balances()?;
    let amount = balances.withdraw(&account.address, &wanted.amount)?;
    state.save_balances(balances)?;
    state::save(&state)?;
    send(&account.recipient, METHOD_SEND, None, amount.clone())?;
    params::reply(&amount)
}

/// Parameters: a bare address.
pub fn get_balance(call: Call) -> Reply {
    let who: Address = call.params.decode()?;
    let who = Address::new_id(resolve(&who)?);
    let balances = state::load::<State>()?.load_balances()?;
    params::reply(&Balance { balance: balances.escrow_of(&who)?, locked: balances.locked_of(&who)? })
}

fn account(who: &Address) -> Result<Account, ActorError> {
    let id = resolve(who)?;
    let code = code_of(id).ok_or_else(|| ActorError::illegal_argument(format!("there is no actor f0{id}")))?;
    let address = Address::new_id(id);
    if Kind::of_code(&code) != Some(Kind::StorageMiner) {
        return Ok(Account { address, recipient: address, approved: vec![address] });
    }
    let answer = send(&address, MINER_CONTROL_ADDRESSES, None, TokenAmount::default())?;
    let MinerAddresses { owner, worker, .. } = params::returned(answer)?;
    Ok(Account { address, recipient: owner, approved: vec![owner, worker] })
}

fn resolve(who: &Address) -> Result<ActorID, ActorError> {
    address::resolve(who).ok_or_else(|| ActorError::illegal_argument(format!("nobody has the address {who}")))
}
