//! The payment channel between two parties: one has paid in, the other collects what signed vouchers say in the end.

mod state;
mod voucher;

use actor_runtime::address::resolve_existing;
use actor_runtime::policy::HOUR;
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Kind, Reply, caller, entrypoint, ids, params};
use fvm_ipld_encoding::strict_bytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::error::ExitCode;
use fvm_shared::{METHOD_SEND, MethodNum};

use crate::state::State;
use crate::voucher::Voucher;

const UPDATE_CHANNEL_STATE: MethodNum = 2;
const SETTLE: MethodNum = 3;
const COLLECT: MethodNum = 4;

/// Twelve hours, in which the other party can still show vouchers.
const SETTLE_DELAY: ChainEpoch = 12 * HOUR;
const LONGEST_SECRET: usize = 256;
const SETTLED: ExitCode = ExitCode::new(32);

entrypoint!(dispatch);

#[derive(Deserialize_tuple)]
struct ConstructorParams {
    from: Address,
    to: Address,
}

#[derive(Deserialize_tuple)]
struct UpdateParams {
    voucher: Voucher,
    #[serde(with = "strict_bytes")]
    secret: Vec<u8>,
}

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        UPDATE_CHANNEL_STATE => update_channel_state(call),
        SETTLE => settle(call),
        COLLECT => collect(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn construct(call: Call) -> Reply {
    let parties: ConstructorParams = call.params.decode()?;
    caller::must_be_kind(Kind::Init)?;
    let to = resolve_existing(&parties.to)?;
    let from = resolve_existing(&parties.from)?;
    actor_runtime::state::create(&State::new(from, to)?)?;
    params::done()
}

/// Either party shows a voucher that the other has signed.
fn update_channel_state(call: Call) -> Reply {
    let UpdateParams { mut voucher, secret } = call.params.decode()?;
    let state: State = actor_runtime::state::load()?;
    let signer = state.other_party()?;
    let signature = voucher.signature.take();
    let signature = signature.ok_or_else(|| ActorError::illegal_argument("the voucher is not signed"))?;
    if state.settling_at != 0 && fvm_sdk::network::curr_epoch() >= state.settling_at {
        return Err(ActorError::new(SETTLED, "the channel is settled: it takes no more vouchers"));
    }
    if secret.len() > LONGEST_SECRET {
        return Err(ActorError::illegal_argument(format!("a secret has {LONGEST_SECRET} bytes at most")));
    }
    voucher.must_be_signed_by(&signer, signature.bytes)?;
    voucher.must_be_valid_now(&secret)?;
    voucher.make_extra_call()?;
    let mut state: State = actor_runtime::state::load()?; // again: the call may have come back to this channel
    voucher.redeem(&mut state)?;
    actor_runtime::state::save(&state)?;
    params::done()
}

fn settle(call: Call) -> Reply {
    call.params.expect_none()?;
    let mut state: State = actor_runtime::state::load()?;
    state.other_party()?;
    if state.settling_at != 0 {
        return Err(ActorError::illegal_state("the channel is settling already"));
    }
    state.settling_at = state.min_settle_height.max(fvm_sdk::network::curr_epoch() + SETTLE_DELAY);
    actor_runtime::state::save(&state)?;
    params::done()
}

/// Pays both parties out, and ends the channel.
fn collect(call: Call) -> Reply {
    call.params.expect_none()?;
    let state: State = actor_runtime::state::load()?;
    state.other_party()?;
    if state.settling_at == 0 || fvm_sdk::network::curr_epoch() < state.settling_at {
        return Err(ActorError::forbidden("the channel is not settled yet"));
    }
    send(&state.to, METHOD_SEND, None, state.owed).map_err(|error| error.during("paying `to`"))?;
    let rest = fvm_sdk::sself::current_balance();
    send(&state.from, METHOD_SEND, None, rest).map_err(|error| error.during("paying `from`"))?;
    fvm_sdk::sself::self_destruct(false).map_err(|error| ActorError::illegal_argument(error.to_string()))?;
    params::done()
}
