//! A tip jar: anybody leaves FIL with a note, its owner takes the money out.
//!
//! `interface.ipldsch` declares state, parameters and answers: the types here have the same fields in the same order.

mod upgrade;
mod vm;

use frc42_dispatch::method_hash;
use fvm_ipld_encoding::to_vec;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use fvm_shared::sys::SendFlags;
use fvm_shared::{METHOD_CONSTRUCTOR, METHOD_SEND, MethodNum};

use crate::vm::{Abort, Answer, Params, answer, emit};

const TIP: MethodNum = method_hash!("Tip");
const TOTAL: MethodNum = method_hash!("Total");
const WITHDRAW: MethodNum = method_hash!("Withdraw");

#[derive(Serialize_tuple, Deserialize_tuple)]
struct State {
    owner: Address,
    tips: u64,
    received: TokenAmount,
    #[cfg(feature = "v2")]
    last_note: String,
}

#[derive(Deserialize_tuple)]
struct ConstructorParams {
    owner: Address,
}

#[derive(Deserialize_tuple)]
struct TipParams {
    note: String,
}

#[derive(Serialize_tuple)]
struct TotalReturn {
    tips: u64,
    received: TokenAmount,
}

#[derive(Deserialize_tuple)]
struct WithdrawParams {
    amount: TokenAmount,
}

/// The VM's way in: the handle of the parameter block, 0 for none; answers the handle of the return block.
#[unsafe(no_mangle)]
pub extern "C" fn invoke(params: u32) -> u32 {
    vm::run(params, dispatch)
}

fn dispatch(method: MethodNum, params: Params) -> Answer {
    match method {
        METHOD_CONSTRUCTOR => construct(params.decode()?),
        TIP => tip(params.decode()?),
        TOTAL => {
            params.expect_none()?;
            total()
        }
        WITHDRAW => withdraw(params.decode()?),
        #[cfg(feature = "upgradable")]
        upgrade::UPGRADE => upgrade::ask(params.decode()?),
        _ => Err(Abort::new(ExitCode::USR_UNHANDLED_MESSAGE, "this actor has no such method")),
    }
}

/// Runs once, when the actor is created: f01 is who creates actors.
fn construct(params: ConstructorParams) -> Answer {
    if fvm_sdk::message::caller() != 1 {
        return Err(Abort::new(ExitCode::USR_FORBIDDEN, "an actor is constructed once, by the init actor"));
    }
    let Some(owner) = fvm_sdk::actor::resolve_address(&params.owner) else {
        return Err(Abort::new(ExitCode::USR_ILLEGAL_ARGUMENT, "nobody has the owner's address"));
    };
    vm::save(&State {
        owner: Address::new_id(owner),
        tips: 0,
        received: TokenAmount::default(),
        #[cfg(feature = "v2")]
        last_note: String::new(),
    })?;
    Ok(None)
}

fn tip(params: TipParams) -> Answer {
    let amount = fvm_sdk::message::value_received();
    if amount.is_zero() {
        return Err(Abort::new(ExitCode::USR_ILLEGAL_ARGUMENT, "a tip is a message with value"));
    }
    let mut state: State = vm::load()?;
    state.tips += 1;
    state.received += &amount;
    #[cfg(feature = "v2")]
    state.last_note.clone_from(&params.note);
    vm::save(&state)?;
    let from = fvm_sdk::message::caller();
    emit("tipped", &[("from", to_vec(&from)?), ("amount", to_vec(&amount)?), ("note", to_vec(&params.note)?)])?;
    answer(&state.tips)
}

fn total() -> Answer {
    let state: State = vm::load()?;
    answer(&TotalReturn { tips: state.tips, received: state.received })
}

/// Sends the money last: whoever gets it may call back, and finds a state that is finished.
fn withdraw(params: WithdrawParams) -> Answer {
    let state: State = vm::load()?;
    if Address::new_id(fvm_sdk::message::caller()) != state.owner {
        return Err(Abort::new(ExitCode::USR_FORBIDDEN, "only the owner withdraws"));
    }
    match fvm_sdk::send::send(&state.owner, METHOD_SEND, None, params.amount, None, SendFlags::empty()) {
        Ok(response) if response.exit_code.is_success() => Ok(None),
        Ok(response) => Err(Abort::new(response.exit_code, "the owner refuses the money")),
        Err(error) => Err(Abort::new(ExitCode::USR_INSUFFICIENT_FUNDS, format!("the money cannot be sent: {error}"))),
    }
}
