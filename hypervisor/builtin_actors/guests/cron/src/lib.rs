//! The cron actor, f03: at the end of each epoch the system has it call every entry of its table.

use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Reply, caller, entrypoint, ids, params, state};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;

const EPOCH_TICK: MethodNum = 2;

entrypoint!(dispatch);

/// Both the state and the constructor's parameters.
#[derive(Serialize_tuple, Deserialize_tuple)]
struct Table {
    entries: Vec<Entry>,
}

#[derive(Serialize_tuple, Deserialize_tuple)]
struct Entry {
    receiver: Address,
    method: MethodNum,
}

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        EPOCH_TICK => epoch_tick(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn construct(call: Call) -> Reply {
    let table: Table = call.params.decode()?;
    caller::must_be(ids::SYSTEM)?;
    state::create(&table)?;
    params::done()
}

fn epoch_tick(call: Call) -> Reply {
    call.params.expect_none()?;
    caller::must_be(ids::SYSTEM)?;
    for entry in state::load::<Table>()?.entries {
        // An entry that fails has undone itself, and must not keep the others from running.
        let _ = send(&entry.receiver, entry.method, None, TokenAmount::default());
    }
    params::done()
}
