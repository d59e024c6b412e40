//! The system actor, f00: its state names the manifest of built-in actors. It has a constructor and nothing else.

use actor_runtime::{ActorError, Call, Reply, caller, entrypoint, ids, params, state, store};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{DAG_CBOR, to_vec};

entrypoint!(dispatch);

#[derive(Serialize_tuple, Deserialize_tuple)]
struct State {
    /// The manifest data: a list of `[name, code CID]`. The constructor writes an empty one; a genesis the real one.
    builtin_actors: Cid,
}

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn construct(call: Call) -> Reply {
    call.params.expect_none()?;
    caller::must_be(ids::SYSTEM)?;
    let no_actors: Vec<(String, Cid)> = Vec::new();
    let builtin_actors = store::put(DAG_CBOR, &to_vec(&no_actors)?)?;
    state::create(&State { builtin_actors })?;
    params::done()
}
