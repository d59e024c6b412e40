//! The multisig: a wallet whose transactions need the approval of several signers, and part of whose balance can be
//! locked for a time. It changes its own signers and threshold by transactions to itself.

mod proposals;
mod signers;
mod state;

use actor_runtime::receiver::{RECEIVE, ReceiveParams};
use actor_runtime::{ActorError, Call, Reply, caller, entrypoint, ids, map, params};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;

use crate::state::{State, Transaction};

const PROPOSE: MethodNum = 2;
const APPROVE: MethodNum = 3;
const CANCEL: MethodNum = 4;
const ADD_SIGNER: MethodNum = 5;
const REMOVE_SIGNER: MethodNum = 6;
const SWAP_SIGNER: MethodNum = 7;
const CHANGE_THRESHOLD: MethodNum = 8;
const LOCK_BALANCE: MethodNum = 9;

entrypoint!(dispatch);

#[derive(Deserialize_tuple)]
struct ConstructorParams {
    signers: Vec<Address>,
    threshold: u64,
    /// Epochs over which the value that came along unlocks; 0 locks nothing.
    unlock_duration: ChainEpoch,
    start_epoch: ChainEpoch,
}

#[derive(Deserialize_tuple)]
struct LockBalanceParams {
    start_epoch: ChainEpoch,
    unlock_duration: ChainEpoch,
    amount: TokenAmount,
}

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        PROPOSE => proposals::propose(call),
        APPROVE => proposals::approve(call),
        CANCEL => proposals::cancel(call),
        ADD_SIGNER => signers::add(call),
        REMOVE_SIGNER => signers::remove(call),
        SWAP_SIGNER => signers::swap(call),
        CHANGE_THRESHOLD => signers::change_threshold(call),
        LOCK_BALANCE => lock_balance(call),
        RECEIVE => receive(call),
        exported if exported >= ids::FIRST_EXPORTED => params::done(),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn construct(call: Call) -> Reply {
    let wanted: ConstructorParams = call.params.decode()?;
    caller::must_be(ids::INIT)?;
    let signers = signers::resolve_all(&wanted.signers)?;
    if wanted.threshold < 1 || wanted.threshold > signers.len() as u64 {
        return Err(ActorError::illegal_argument("the threshold has to be between 1 and the number of signers"));
    }
    if wanted.unlock_duration < 0 {
        return Err(ActorError::illegal_argument("the unlock duration is negative"));
    }
    let mut state = State {
        signers,
        threshold: wanted.threshold,
        next_transaction: 0,
        initial_balance: TokenAmount::default(),
        start_epoch: 0,
        unlock_duration: 0,
        pending: map::empty::<Transaction>().flush()?,
    };
    if wanted.unlock_duration != 0 {
        state.lock(wanted.start_epoch, wanted.unlock_duration, fvm_sdk::message::value_received());
    }
    actor_runtime::state::create(&state)?;
    params::done()
}

/// Locks an amount, once in the wallet's life.
fn lock_balance(call: Call) -> Reply {
    let wanted: LockBalanceParams = call.params.decode()?;
    caller::must_be(fvm_sdk::message::receiver())?;
    if wanted.unlock_duration <= 0 {
        return Err(ActorError::illegal_argument("the unlock duration has to be positive"));
    }
    if wanted.amount.is_negative() {
        return Err(ActorError::illegal_argument("the amount to lock is negative"));
    }
    let mut state: State = actor_runtime::state::load()?;
    if state.unlock_duration != 0 {
        return Err(ActorError::forbidden("a balance is locked already"));
    }
    state.lock(wanted.start_epoch, wanted.unlock_duration, wanted.amount);
    actor_runtime::state::save(&state)?;
    params::done()
}

/// Takes tokens of every kind.
fn receive(call: Call) -> Reply {
    call.params.decode::<ReceiveParams>()?;
    params::done()
}
