//! Transactions: proposed by a signer, approved by others, and executed as soon as the threshold is met. What the
//! executed call answers is told to the last approver; the proposal is used up even if that call fails.

use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Reply, key, params, state};
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{RawBytes, strict_bytes, to_vec};
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;

use crate::state::{State, Transaction};

#[derive(Deserialize_tuple)]
struct ProposeParams {
    to: Address,
    value: TokenAmount,
    method: MethodNum,
    params: RawBytes,
}

#[derive(Serialize_tuple)]
struct ProposeReturn {
    transaction: i64,
    applied: bool,
    /// How the call exited, and what it returned, if it was made.
    code: ExitCode,
    answer: RawBytes,
}

#[derive(Deserialize_tuple)]
struct ChoiceParams {
    transaction: i64,
    /// The hash of the proposal that is meant; empty to trust the number.
    #[serde(with = "strict_bytes")]
    proposal_hash: Vec<u8>,
}

#[derive(Serialize_tuple)]
struct ApproveReturn {
    applied: bool,
    code: ExitCode,
    answer: RawBytes,
}

/// What a proposal is hashed over.
#[derive(Serialize_tuple)]
struct Proposal<'a> {
    proposer: Option<&'a Address>,
    to: &'a Address,
    value: &'a TokenAmount,
    method: MethodNum,
    params: &'a RawBytes,
}

pub fn propose(call: Call) -> Reply {
    let ProposeParams { to, value, method, params } = call.params.decode()?;
    if value.is_negative() {
        return Err(ActorError::illegal_argument("the value is negative"));
    }
    let mut state: State = state::load()?;
    state.must_be_signer(&own_caller())?;
    let number = state.next_transaction;
    state.next_transaction += 1;
    let transaction = Transaction { to, value, method, params, approved: Vec::new() };
    let ApproveReturn { applied, code, answer } = add_approval(state, number, transaction)?;
    params::reply(&ProposeReturn { transaction: number, applied, code, answer })
}

/// If the threshold has been lowered in the meantime, the approvals that are there already may do, and any signer's
/// word sets the call off.
pub fn approve(call: Call) -> Reply {
    let choice: ChoiceParams = call.params.decode()?;
    let state: State = state::load()?;
    state.must_be_signer(&own_caller())?;
    let transaction = state.transactions()?.get(&key::signed(choice.transaction))?.cloned();
    let transaction = transaction.ok_or_else(|| unknown(choice.transaction))?;
    if !is_meant(&transaction, &choice.proposal_hash)? {
        return Err(ActorError::illegal_argument("this is not the proposal with that hash"));
    }
    let done = if is_approved(&state, &transaction) {
        execute(state, choice.transaction, transaction)?
    } else {
        add_approval(state, choice.transaction, transaction)?
    };
    params::reply(&done)
}

pub fn cancel(call: Call) -> Reply {
    let choice: ChoiceParams = call.params.decode()?;
    let mut state: State = state::load()?;
    state.must_be_signer(&own_caller())?;
    let mut transactions = state.transactions()?;
    let deleted = transactions.delete(&key::signed(choice.transaction))?;
    let (_, transaction) = deleted.ok_or_else(|| unknown(choice.transaction))?;
    if transaction.approved.first() != Some(&own_caller()) {
        return Err(ActorError::forbidden("only the proposer may cancel"));
    }
    if !is_meant(&transaction, &choice.proposal_hash)? {
        // Not the code that an approval gives for the same: the network's rule.
        return Err(ActorError::illegal_state("this is not the proposal with that hash"));
    }
    state.pending = transactions.flush()?;
    state::save(&state)?;
    params::done()
}

fn add_approval(mut state: State, number: i64, mut transaction: Transaction) -> Result<ApproveReturn, ActorError> {
    let approver = own_caller();
    if transaction.approved.contains(&approver) {
        return Err(ActorError::forbidden(format!("{approver} has approved already")));
    }
    transaction.approved.push(approver);
    if is_approved(&state, &transaction) {
        return execute(state, number, transaction);
    }
    let mut transactions = state.transactions()?;
    transactions.set(key::signed(number), transaction)?;
    state.pending = transactions.flush()?;
    state::save(&state)?;
    Ok(ApproveReturn { applied: false, code: ExitCode::OK, answer: RawBytes::default() })
}

fn is_approved(state: &State, transaction: &Transaction) -> bool {
    transaction.approved.len() as u64 >= state.threshold
}

/// Makes the call. The proposal is gone before, so that whoever is called cannot approve it again.
fn execute(mut state: State, number: i64, transaction: Transaction) -> Result<ApproveReturn, ActorError> {
    let Transaction { to, value, method, params, .. } = transaction;
    state.must_afford(&value, &fvm_sdk::sself::current_balance(), fvm_sdk::network::curr_epoch())?;
    let mut transactions = state.transactions()?;
    transactions.delete(&key::signed(number))?;
    state.pending = transactions.flush()?;
    state::save(&state)?;
    let (code, block) = match send(&to, method, params.into(), value) {
        Ok(block) => (ExitCode::OK, block),
        Err(error) => (error.code, error.data),
    };
    let answer = RawBytes::new(block.map(|block| block.data).unwrap_or_default());
    Ok(ApproveReturn { applied: true, code, answer })
}

fn is_meant(transaction: &Transaction, hash: &[u8]) -> Result<bool, ActorError> {
    let Transaction { to, value, method, params, approved } = transaction;
    let proposal = Proposal { proposer: approved.first(), to, value, method: *method, params };
    Ok(hash.is_empty() || hash == fvm_sdk::crypto::hash_blake2b(&to_vec(&proposal)?))
}

fn unknown(transaction: i64) -> ActorError {
    ActorError::not_found(format!("there is no transaction {transaction}"))
}

fn own_caller() -> Address {
    Address::new_id(fvm_sdk::message::caller())
}
