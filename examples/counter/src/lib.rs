//! A user's own actor: it counts, takes deposits, emits events, calls contracts and is called by them.
//!
//! Method numbers are those of FRC-42, the hash of the name. Parameters and answers are CBOR:
//!
//! | method       | parameters                                   | returns                                       |
//! |--------------|----------------------------------------------|-----------------------------------------------|
//! | Constructor  | none                                         | nothing                                       |
//! | Increment    | `by`                                         | the new count; event `incremented`            |
//! | Get          | none                                         | the count                                     |
//! | Deposit      | none, with value                             | the sum of deposits; event `deposited`        |
//! | Deposits     | none                                         | the sum of deposits                           |
//! | CallContract | `[20-byte address, calldata, value]`         | `[exit, return bytes]`, kept in the state     |
//! | LastCall     | none                                         | `[exit, return bytes]`                        |
//! | Fail         | `[exit code, message, data]`                 | never: writes state, emits, then aborts       |
//! | Recurse      | `depth`                                      | `[levels, exit]`                              |
//! | PingPong     | `[20-byte address, depth]`                   | `[levels, exit]`                              |
//! | Spin, Trap   | none                                         | never                                         |
//!
//! An `exit` is 0 or the callee's exit code; below zero it is the error number of a send that reached nobody.

mod contract;
mod recursion;

use actor_runtime::{ActorError, Call, Reply, entrypoint, ids, params, state};
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{CBOR, strict_bytes, to_vec};
use fvm_shared::MethodNum;
use fvm_shared::econ::TokenAmount;
use fvm_shared::event::{ActorEvent, Entry, Flags};

use crate::contract::{EthAddress, Outcome};

const INCREMENT: MethodNum = method_hash!("Increment");
const GET: MethodNum = method_hash!("Get");
const DEPOSIT: MethodNum = method_hash!("Deposit");
const DEPOSITS: MethodNum = method_hash!("Deposits");
const CALL_CONTRACT: MethodNum = method_hash!("CallContract");
const LAST_CALL: MethodNum = method_hash!("LastCall");
const FAIL: MethodNum = method_hash!("Fail");
const RECURSE: MethodNum = method_hash!("Recurse");
const PING_PONG: MethodNum = method_hash!("PingPong");
const SPIN: MethodNum = method_hash!("Spin");
const TRAP: MethodNum = method_hash!("Trap");

entrypoint!(dispatch);

#[derive(Default, Serialize_tuple, Deserialize_tuple)]
struct State {
    count: u64,
    deposits: TokenAmount,
    last_call: Outcome,
}

#[derive(Deserialize_tuple)]
struct CallContractParams {
    contract: EthAddress,
    #[serde(with = "strict_bytes")]
    calldata: Vec<u8>,
    value: TokenAmount,
}

#[derive(Deserialize_tuple)]
struct FailParams {
    exit_code: u32,
    message: String,
    #[serde(with = "strict_bytes")]
    data: Vec<u8>,
}

fn dispatch(call: Call) -> Reply {
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        INCREMENT => increment(call),
        GET => get(call),
        DEPOSIT => deposit(call),
        DEPOSITS => deposits(call),
        CALL_CONTRACT => call_contract(call),
        LAST_CALL => last_call(call),
        FAIL => fail(call),
        RECURSE => recursion::recurse(call.params.decode()?),
        PING_PONG => recursion::ping_pong(call.params.decode()?),
        SPIN => spin(),
        TRAP => trap(),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

/// Only the system (f00) and Init (f01) construct actors.
fn construct(call: Call) -> Reply {
    call.params.expect_none()?;
    if !matches!(fvm_sdk::message::caller(), ids::SYSTEM | ids::INIT) {
        return Err(ActorError::forbidden("an actor is constructed once, by the system"));
    }
    state::create(&State::default())?;
    params::done()
}

fn increment(call: Call) -> Reply {
    let by: u64 = call.params.decode()?;
    let mut state: State = state::load()?;
    state.count = state.count.checked_add(by).ok_or_else(|| ActorError::illegal_argument("the count would overflow"))?;
    state::save(&state)?;
    emit("incremented", &[("by", to_vec(&by)?), ("count", to_vec(&state.count)?)])?;
    params::reply(&state.count)
}

fn get(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&state::load::<State>()?.count)
}

fn deposit(call: Call) -> Reply {
    call.params.expect_none()?;
    let amount = fvm_sdk::message::value_received();
    if amount.is_zero() {
        return Err(ActorError::illegal_argument("a deposit needs value"));
    }
    let mut state: State = state::load()?;
    state.deposits += &amount;
    state::save(&state)?;
    emit("deposited", &[("from", to_vec(&fvm_sdk::message::caller())?), ("amount", to_vec(&amount)?)])?;
    params::reply(&state.deposits)
}

fn deposits(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&state::load::<State>()?.deposits)
}

/// Calls a contract and keeps what came of it, failures too. The state is read after the call: the contract may have
/// called back and changed it.
fn call_contract(call: Call) -> Reply {
    let CallContractParams { contract, calldata, value } = call.params.decode()?;
    let outcome = contract::invoke(&contract, calldata, value);
    let state = State { last_call: outcome, ..state::load()? };
    state::save(&state)?;
    params::reply(&state.last_call)
}

fn last_call(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&state::load::<State>()?.last_call)
}

/// Changes everything that an actor can change, and aborts: none of it may remain.
fn fail(call: Call) -> Reply {
    let FailParams { exit_code, message, data } = call.params.decode()?;
    let mut state: State = state::load()?;
    state.count += 1_000;
    state::save(&state)?;
    emit("failed", &[("count", to_vec(&state.count)?)])?;
    let data = (!data.is_empty()).then_some(IpldBlock { codec: CBOR, data });
    fvm_sdk::vm::exit(exit_code, data, Some(&message))
}

/// Runs until the gas is gone.
fn spin() -> Reply {
    let mut turns: u64 = 0;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn trap() -> Reply {
    core::arch::wasm32::unreachable()
}

/// An event in the form of native actors: `$type` names it, all values are CBOR.
fn emit(kind: &str, values: &[(&str, Vec<u8>)]) -> Result<(), ActorError> {
    let mut entries = vec![entry("$type", to_vec(kind)?)];
    entries.extend(values.iter().map(|(key, value)| entry(key, value.clone())));
    let event = ActorEvent::from(entries);
    fvm_sdk::event::emit_event(&event).map_err(|_| ActorError::assertion_failed("the event was refused"))
}

fn entry(key: &str, value: Vec<u8>) -> Entry {
    Entry { flags: Flags::FLAG_INDEXED_ALL, key: key.into(), codec: CBOR, value }
}
