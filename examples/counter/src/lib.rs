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

mod actor;
mod contract;
mod recursion;

use frc42_dispatch::method_hash;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{CBOR, strict_bytes, to_vec};
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use fvm_shared::event::{ActorEvent, Entry, Flags};
use fvm_shared::{METHOD_CONSTRUCTOR, MethodNum};

use crate::actor::{Abort, Answer, Params, answer};
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

/// The VM's way in: the handle of the parameter block, 0 for none; answers the handle of the return block.
#[unsafe(no_mangle)]
pub extern "C" fn invoke(params: u32) -> u32 {
    actor::run(params, dispatch)
}

fn dispatch(method: MethodNum, params: Params) -> Answer {
    match method {
        METHOD_CONSTRUCTOR => construct(params),
        INCREMENT => increment(params),
        GET => get(params),
        DEPOSIT => deposit(params),
        DEPOSITS => deposits(params),
        CALL_CONTRACT => call_contract(params),
        LAST_CALL => last_call(params),
        FAIL => fail(params),
        RECURSE => recursion::recurse(params.decode()?),
        PING_PONG => recursion::ping_pong(params.decode()?),
        SPIN => spin(),
        TRAP => trap(),
        _ => Err(Abort::new(ExitCode::USR_UNHANDLED_MESSAGE, "this actor has no such method")),
    }
}

/// Only the system (f00) and Init (f01) construct actors.
fn construct(params: Params) -> Answer {
    params.expect_none()?;
    if !matches!(fvm_sdk::message::caller(), 0 | 1) {
        return Err(Abort::new(ExitCode::USR_FORBIDDEN, "an actor is constructed once, by the system"));
    }
    actor::save(&State::default())?;
    Ok(None)
}

fn increment(params: Params) -> Answer {
    let by: u64 = params.decode()?;
    let mut state: State = actor::load()?;
    state.count += by; // an overflow panics, and a panic is an abort
    actor::save(&state)?;
    emit("incremented", &[("by", to_vec(&by)?), ("count", to_vec(&state.count)?)])?;
    answer(&state.count)
}

fn get(params: Params) -> Answer {
    params.expect_none()?;
    answer(&actor::load::<State>()?.count)
}

fn deposit(params: Params) -> Answer {
    params.expect_none()?;
    let amount = fvm_sdk::message::value_received();
    if amount.is_zero() {
        return Err(Abort::new(ExitCode::USR_ILLEGAL_ARGUMENT, "a deposit needs value"));
    }
    let mut state: State = actor::load()?;
    state.deposits += &amount;
    actor::save(&state)?;
    emit("deposited", &[("from", to_vec(&fvm_sdk::message::caller())?), ("amount", to_vec(&amount)?)])?;
    answer(&state.deposits)
}

fn deposits(params: Params) -> Answer {
    params.expect_none()?;
    answer(&actor::load::<State>()?.deposits)
}

/// Calls a contract and keeps what came of it, failures too. The state is read after the call: the contract may have
/// called back and changed it.
fn call_contract(params: Params) -> Answer {
    let CallContractParams { contract, calldata, value } = params.decode()?;
    let outcome = contract::invoke(&contract, calldata, value);
    let state = State { last_call: outcome, ..actor::load()? };
    actor::save(&state)?;
    answer(&state.last_call)
}

fn last_call(params: Params) -> Answer {
    params.expect_none()?;
    answer(&actor::load::<State>()?.last_call)
}

/// Changes everything that an actor can change, and aborts: none of it may remain.
fn fail(params: Params) -> Answer {
    let FailParams { exit_code, message, data } = params.decode()?;
    let mut state: State = actor::load()?;
    state.count += 1_000;
    actor::save(&state)?;
    emit("failed", &[("count", to_vec(&state.count)?)])?;
    let data = (!data.is_empty()).then_some(IpldBlock { codec: CBOR, data });
    fvm_sdk::vm::exit(exit_code, data, Some(&message))
}

/// Runs until the gas is gone.
fn spin() -> Answer {
    let mut turns: u64 = 0;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn trap() -> Answer {
    core::arch::wasm32::unreachable()
}

/// An event in the form of native actors: `$type` names it, all values are CBOR.
fn emit(kind: &str, values: &[(&str, Vec<u8>)]) -> Result<(), Abort> {
    let mut entries = vec![entry("$type", to_vec(kind)?)];
    entries.extend(values.iter().map(|(key, value)| entry(key, value.clone())));
    fvm_sdk::event::emit_event(&ActorEvent::from(entries))
        .map_err(|_| Abort::new(ExitCode::USR_ASSERTION_FAILED, "the event was refused"))
}

fn entry(key: &str, value: Vec<u8>) -> Entry {
    Entry { flags: Flags::FLAG_INDEXED_ALL, key: key.into(), codec: CBOR, value }
}
