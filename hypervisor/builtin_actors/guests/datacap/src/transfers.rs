//! What moves tokens. Whoever gets some is called (`Receive`) after the state is saved, and can refuse by failing.

use actor_runtime::receiver::{FUNGIBLE_TOKENS, RECEIVE, ReceiveParams, TokensReceived};
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Reply, address, caller, params, state};
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::address::Address;
use fvm_shared::bigint::BigInt;
use fvm_shared::econ::TokenAmount;

use crate::state::{State, no_allowance};
use crate::{UNITS_PER_BYTE, known, load, must_be_whole};

/// What the operators named at minting may move, more bytes than there are. It counts down like any other allowance.
const INFINITE_BYTES: u128 = 1_000_000_000_000_000_000_000;

#[derive(Deserialize_tuple)]
pub struct MintParams {
    to: Address,
    amount: TokenAmount,
    operators: Vec<Address>,
}

#[derive(Serialize_tuple)]
struct MintReturn {
    balance: TokenAmount,
    supply: TokenAmount,
    recipient_data: RawBytes,
}

#[derive(Deserialize_tuple)]
pub struct OwnerParams {
    owner: Address,
    amount: TokenAmount,
}

#[derive(Deserialize_tuple)]
pub struct TransferParams {
    to: Address,
    amount: TokenAmount,
    operator_data: RawBytes,
}

#[derive(Serialize_tuple)]
struct TransferReturn {
    from_balance: TokenAmount,
    to_balance: TokenAmount,
    recipient_data: RawBytes,
}

#[derive(Deserialize_tuple)]
pub struct TransferFromParams {
    from: Address,
    to: Address,
    amount: TokenAmount,
    operator_data: RawBytes,
}

#[derive(Serialize_tuple)]
struct TransferFromReturn {
    from_balance: TokenAmount,
    to_balance: TokenAmount,
    allowance: TokenAmount,
    recipient_data: RawBytes,
}

#[derive(Deserialize_tuple)]
pub struct BurnParams {
    amount: TokenAmount,
}

#[derive(Serialize_tuple)]
struct BurnReturn {
    balance: TokenAmount,
}

#[derive(Serialize_tuple)]
struct BurnFromReturn {
    balance: TokenAmount,
    allowance: TokenAmount,
}

pub fn mint(call: Call) -> Reply {
    let MintParams { to, amount, operators } = call.params.decode()?;
    let mut state = load()?;
    must_be_governor(&state)?;
    let minted = mint_to(&mut state, &to, &amount);
    for operator in &operators {
        if let Err(error) = let_move_everything(&mut state, &to, operator) {
            // The network's actor breaks off if a transfer is under way and fails at anything else.
            return Err(if minted.is_ok() { broken_off(error) } else { error });
        }
    }
    let owner = minted?;
    let operator = state.governor.id().expect("the governor is an id address");
    let received = TokensReceived {
        from: fvm_sdk::message::receiver(),
        to: owner,
        operator,
        amount,
        operator_data: RawBytes::default(),
        token_data: RawBytes::default(),
    };
    let recipient_data = save_and_call(&state, &to, received)?;
    let balance = state.ledger.balance(owner)?;
    params::reply(&MintReturn { balance, supply: state.ledger.supply, recipient_data })
}

fn mint_to(state: &mut State, to: &Address, amount: &TokenAmount) -> Result<ActorID, ActorError> {
    must_be_whole(amount)?;
    let owner = known(to)?;
    state.ledger.mint(owner, amount)?;
    Ok(owner)
}

fn let_move_everything(state: &mut State, owner: &Address, operator: &Address) -> Result<(), ActorError> {
    let everything = TokenAmount::from_atto(BigInt::from(INFINITE_BYTES) * UNITS_PER_BYTE);
    state.ledger.update_allowance(known(owner)?, known(operator)?, |_| Ok(everything))?;
    Ok(())
}

/// Burns somebody's tokens by the governor's word.
pub fn destroy(call: Call) -> Reply {
    let OwnerParams { owner, amount } = call.params.decode()?;
    let mut state = load()?;
    must_be_governor(&state)?;
    must_be_whole(&amount)?;
    let balance = state.ledger.burn(known(&owner)?, &amount)?;
    state::save(&state)?;
    params::reply(&BurnReturn { balance })
}

pub fn transfer(call: Call) -> Reply {
    let TransferParams { to, amount, operator_data } = call.params.decode()?;
    let from = fvm_sdk::message::caller();
    let to = recipient(&to)?;
    let mut state = load()?;
    let governor = state.governor;
    if governor != Address::new_id(to) && governor != Address::new_id(from) {
        return Err(ActorError::forbidden("datacap moves to and from its governor only"));
    }
    must_be_whole(&amount)?;
    state.ledger.transfer(from, to, &amount)?;
    let token_data = RawBytes::default();
    let received = TokensReceived { from, to, operator: from, amount, operator_data, token_data };
    let recipient_data = save_and_call(&state, &Address::new_id(to), received)?;
    let (from_balance, to_balance) = (state.ledger.balance(from)?, state.ledger.balance(to)?);
    params::reply(&TransferReturn { from_balance, to_balance, recipient_data })
}

pub fn transfer_from(call: Call) -> Reply {
    let TransferFromParams { from, to, amount, operator_data } = call.params.decode()?;
    let operator = fvm_sdk::message::caller();
    let to = recipient(&to)?;
    let mut state = load()?;
    if state.governor != Address::new_id(to) {
        return Err(ActorError::forbidden("an operator moves datacap to its governor only"));
    }
    must_be_whole(&amount)?;
    let from = owner_of(&from, operator)?;
    state.ledger.use_allowance(from, operator, &amount)?;
    state.ledger.transfer(from, to, &amount)?;
    let token_data = RawBytes::default();
    let received = TokensReceived { from, to, operator, amount, operator_data, token_data };
    let recipient_data = save_and_call(&state, &Address::new_id(to), received)?;
    let (from_balance, to_balance) = (state.ledger.balance(from)?, state.ledger.balance(to)?);
    let allowance = state.ledger.allowance(from, operator)?;
    params::reply(&TransferFromReturn { from_balance, to_balance, allowance, recipient_data })
}

pub fn burn(call: Call) -> Reply {
    let BurnParams { amount } = call.params.decode()?;
    let mut state = load()?;
    must_be_whole(&amount)?;
    let balance = state.ledger.burn(fvm_sdk::message::caller(), &amount)?;
    state::save(&state)?;
    params::reply(&BurnReturn { balance })
}

pub fn burn_from(call: Call) -> Reply {
    let OwnerParams { owner, amount } = call.params.decode()?;
    let operator = fvm_sdk::message::caller();
    let mut state = load()?;
    must_be_whole(&amount)?;
    let owner = owner_of(&owner, operator)?;
    let allowance = state.ledger.use_allowance(owner, operator, &amount)?;
    let balance = state.ledger.burn(owner, &amount)?;
    state::save(&state)?;
    params::reply(&BurnFromReturn { balance, allowance })
}

fn must_be_governor(state: &State) -> Result<(), ActorError> {
    caller::must_be(state.governor.id().expect("the governor is an id address"))
}

fn recipient(to: &Address) -> Result<ActorID, ActorError> {
    address::resolve(to).ok_or_else(|| ActorError::illegal_argument(format!("nobody has the address {to}")))
}

/// Whose tokens an operator moves: somebody else's (16). Who does not exist has allowed nothing (19).
fn owner_of(address: &Address, operator: ActorID) -> Result<ActorID, ActorError> {
    match address::resolve(address) {
        Some(owner) if owner == operator => {
            Err(ActorError::illegal_argument("an operator moves the tokens of others, its own are to be transferred"))
        }
        Some(owner) => Ok(owner),
        None => Err(no_allowance(operator)),
    }
}

/// Saves the state, then tells the recipient, whose answer is returned. What the hook changes shows in no balance that
/// this call returns.
fn save_and_call(state: &State, to: &Address, received: TokensReceived) -> Result<RawBytes, ActorError> {
    state::save(state).map_err(broken_off)?;
    let payload = RawBytes::serialize(received)?;
    let answer =
        send(to, RECEIVE, params::cbor(&ReceiveParams { kind: FUNGIBLE_TOKENS, payload })?, TokenAmount::default())
            .map_err(|error| ActorError { data: None, ..error })?;
    Ok(RawBytes::new(answer.map(|block| block.data).unwrap_or_default()))
}

/// A transfer whose recipient could not be told is an assertion failure: the network's rule.
fn broken_off(error: ActorError) -> ActorError {
    ActorError::assertion_failed(error.message)
}
