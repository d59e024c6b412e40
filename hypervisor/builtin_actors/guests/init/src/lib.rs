//! The init actor, f01: it gives out actor ids, keeps the map from addresses to ids, and creates actors.

#[cfg(feature = "m2-native")]
mod install;
mod state;

use actor_runtime::kind::code_of;
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Kind, Reply, caller, entrypoint, ids, params};
use cid::Cid;
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::error::ErrorNumber;
use fvm_shared::{ActorID, MethodNum};

use crate::state::State;

const EXEC: MethodNum = 2;
const EXEC4: MethodNum = 3;

entrypoint!(dispatch);

#[derive(Deserialize_tuple)]
struct ConstructorParams {
    network_name: String,
}

#[derive(Deserialize_tuple)]
struct ExecParams {
    code: Cid,
    /// Encoded already; empty means none.
    constructor_params: RawBytes,
}

#[derive(Deserialize_tuple)]
struct Exec4Params {
    code: Cid,
    constructor_params: RawBytes,
    /// What follows the namespace in the f4 address: 20 bytes for an Ethereum address.
    subaddress: RawBytes,
}

#[derive(Serialize_tuple)]
struct ExecReturn {
    id_address: Address,
    robust_address: Address,
}

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        EXEC => exec(call),
        EXEC4 => exec4(call),
        #[cfg(feature = "m2-native")]
        install::INSTALL_CODE | install::INSTALL_CODE_EXPORTED => install::install_code(call),
        #[cfg(feature = "m2-native")]
        install::EXEC_EXPORTED => exec(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn construct(call: Call) -> Reply {
    let ConstructorParams { network_name } = call.params.decode()?;
    caller::must_be(ids::SYSTEM)?;
    actor_runtime::state::create(&State::new(network_name)?)?;
    params::done()
}

/// Creates an actor for anyone, of the few types that anyone may create.
fn exec(call: Call) -> Reply {
    let ExecParams { code, constructor_params } = call.params.decode()?;
    let creator = fvm_sdk::message::caller();
    let creator_code = code_of(creator).ok_or_else(|| ActorError::illegal_state("the caller has no code"))?;
    if !may_create(&creator_code, &code) && !is_installed(&code)? {
        return Err(ActorError::forbidden(format!("f0{creator} may not create an actor of this code")));
    }
    let robust_address = fvm_sdk::actor::next_actor_address();
    let mut state: State = actor_runtime::state::load()?;
    let id = state.assign(&robust_address)?;
    actor_runtime::state::save(&state)?;
    start(id, &code, None, constructor_params, robust_address)
}

/// Creates an actor at a delegated address in the caller's namespace. The EAM, which alone may call, has seen to it
/// that the address is right; a placeholder that lies there is built over and keeps its id and balance.
fn exec4(call: Call) -> Reply {
    let Exec4Params { code, constructor_params, subaddress } = call.params.decode()?;
    caller::must_be(ids::EAM)?;
    let delegated_address = Address::new_delegated(ids::EAM, subaddress.bytes())
        .map_err(|_| ActorError::illegal_argument("the subaddress is too long"))?;
    let robust_address = fvm_sdk::actor::next_actor_address();
    let mut state: State = actor_runtime::state::load()?;
    let (id, known) = state.assign_delegated(&robust_address, &delegated_address)?;
    actor_runtime::state::save(&state)?;
    if known {
        match code_of(id) {
            None => return Err(ActorError::forbidden("the actor at this address is deleted")),
            Some(old) if old != Kind::Placeholder.code() => {
                return Err(ActorError::forbidden("an actor lies at this address"));
            }
            Some(_) => {}
        }
    }
    start(id, &code, Some(delegated_address), constructor_params, robust_address)
}

/// Makes the actor and runs its constructor with the value that came along. If that fails, all of it is undone with
/// this message.
fn start(id: ActorID, code: &Cid, delegated: Option<Address>, constructor_params: RawBytes, robust: Address) -> Reply {
    fvm_sdk::actor::create_actor(id, code, delegated).map_err(|error| match error {
        ErrorNumber::IllegalArgument => ActorError::illegal_argument("the actor cannot be created"),
        ErrorNumber::Forbidden => ActorError::forbidden("an actor has this id already"),
        other => ActorError::assertion_failed(format!("create failed: error number {}", other as u32)),
    })?;
    let id_address = Address::new_id(id);
    send(&id_address, ids::CONSTRUCTOR, constructor_params.into(), fvm_sdk::message::value_received())
        .map_err(|error| error.during("constructor"))?;
    params::reply(&ExecReturn { id_address, robust_address: robust })
}

/// Of installed code anyone may create actors.
#[cfg(feature = "m2-native")]
fn is_installed(code: &Cid) -> Result<bool, ActorError> {
    let state: State = actor_runtime::state::load()?;
    Ok(state.installed()?.contains(code))
}

#[cfg(not(feature = "m2-native"))]
fn is_installed(_: &Cid) -> Result<bool, ActorError> {
    Ok(false)
}

/// Multisigs and payment channels are for everyone, miners for the power actor; all else is made by other ways.
fn may_create(creator: &Cid, code: &Cid) -> bool {
    match Kind::of_code(code) {
        Some(Kind::Multisig | Kind::PaymentChannel) => true,
        Some(Kind::StorageMiner) => Kind::of_code(creator) == Some(Kind::StoragePower),
        _ => false,
    }
}
