//! Who a miner is and who may run it: made by the power actor, changed by its owner.

use actor_runtime::policy::MINIMUM_CONSENSUS_POWER;
use actor_runtime::{ActorError, Call, Reply, caller, ids, params};
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{BytesDe, strict_bytes, to_vec};
use fvm_shared::address::{Address, Protocol};
use fvm_shared::bigint::BigInt;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::sector::RegisteredPoStProof;

use crate::economy::initial_pledge;
use crate::info::{Info, WorkerChange, check_control, check_multiaddrs, check_peer, check_proof};
use crate::info::{resolve, resolve_all, resolve_worker};
use crate::state::State;
use crate::{network, schedule};

/// A new miner deposits the pledge for so many bytes.
const DEPOSIT_POWER: u64 = MINIMUM_CONSENSUS_POWER / 10;
/// Epochs until a new worker takes over.
const WORKER_DELAY: ChainEpoch = 900;

#[derive(Deserialize_tuple)]
struct ConstructorParams {
    owner: Address,
    worker: Address,
    control: Vec<Address>,
    proof: RegisteredPoStProof,
    #[serde(with = "strict_bytes")]
    peer: Vec<u8>,
    multiaddrs: Vec<BytesDe>,
}

#[derive(Deserialize_tuple)]
struct ChangeWorkerParams {
    worker: Address,
    control: Vec<Address>,
}

#[derive(Deserialize_tuple)]
struct ChangePeerParams {
    #[serde(with = "strict_bytes")]
    peer: Vec<u8>,
}

#[derive(Deserialize_tuple)]
struct ChangeMultiaddrsParams {
    multiaddrs: Vec<BytesDe>,
}

pub fn construct(call: Call) -> Reply {
    let wanted: ConstructorParams = call.params.decode()?;
    caller::must_be(ids::INIT)?;
    check_control(&wanted.control)?;
    check_peer(&wanted.peer)?;
    check_multiaddrs(&wanted.multiaddrs)?;
    check_proof(wanted.proof)?;

    let balance = fvm_sdk::sself::current_balance();
    let deposit = initial_pledge(&network::ask()?, &BigInt::from(DEPOSIT_POWER));
    if balance < deposit {
        return Err(ActorError::insufficient_funds(format!("a miner deposits {deposit} FIL, not {balance}")));
    }
    let owner = resolve(&wanted.owner)?;
    let worker = resolve_worker(&wanted.worker)?;
    let control = resolve_all(&wanted.control)?;
    let info = Info::new(owner, worker, control, wanted.peer, wanted.multiaddrs, wanted.proof)?;

    let now = fvm_sdk::network::curr_epoch();
    let start = schedule::first_period(now, period_offset(now)?);
    let mut state = State::new(&info, start, schedule::index_at(now, start))?;
    state.lock(&deposit, now)?;
    actor_runtime::state::create(&state)?;
    params::done()
}

/// Spreads the miners' proving periods over the day: out of a hash of the miner's address and the epoch.
fn period_offset(now: ChainEpoch) -> Result<ChainEpoch, ActorError> {
    let mut seed = to_vec(&Address::new_id(fvm_sdk::message::receiver()))?;
    seed.extend(now.to_be_bytes());
    let hash = fvm_sdk::crypto::hash_blake2b(&seed);
    let number = hash[..8].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    Ok((number % schedule::PERIOD as u64) as ChainEpoch)
}

/// New control addresses, at once, and a new worker, with a delay. A worker that waits already is not replaced.
pub fn change_worker(call: Call) -> Reply {
    let ChangeWorkerParams { worker, control } = call.params.decode()?;
    check_control(&control)?;
    let worker = Address::new_id(resolve_worker(&worker)?);
    let control = resolve_all(&control)?;
    let state = State::load()?;
    let mut info = state.load_info()?;
    info.caller_must_be_owner()?;
    info.control = control;
    if worker != info.worker && info.next_worker.is_none() {
        let effective = fvm_sdk::network::curr_epoch() + WORKER_DELAY;
        info.next_worker = Some(WorkerChange { worker, effective });
    }
    keep(state, info)
}

/// Puts the new worker into office, if it is time; does nothing if not.
pub fn confirm_worker(call: Call) -> Reply {
    call.params.expect_none()?;
    let mut state = State::load()?;
    let mut info = state.load_info()?;
    info.caller_must_be_owner()?;
    if info.take_over(fvm_sdk::network::curr_epoch()) {
        state.save_info(&info)?;
    }
    state.save()?;
    params::done()
}

/// The owner names a new owner, who has to confirm it. Parameters: the new owner's id address, bare.
pub fn change_owner(call: Call) -> Reply {
    let wanted: Address = call.params.decode()?;
    if wanted.protocol() != Protocol::ID {
        return Err(ActorError::illegal_argument("an owner is named by its id address"));
    }
    let state = State::load()?;
    let mut info = state.load_info()?;
    match info.next_owner {
        Some(next) if fvm_sdk::message::caller() != info.owner.id().expect("owners have id addresses") => {
            caller::must_be_one_of(&[next])?;
            if wanted != next {
                return Err(ActorError::illegal_argument(format!("{next} is to be the owner, not {wanted}")));
            }
            if info.beneficiary == info.owner {
                info.beneficiary = next;
            }
            info.next_beneficiary = None;
            info.owner = next;
        }
        _ => {
            info.caller_must_be_owner()?;
            info.next_owner = Some(wanted);
        }
    }
    // Who names itself takes back what it had said.
    if info.next_owner == Some(info.owner) {
        info.next_owner = None;
    }
    keep(state, info)
}

pub fn change_peer(call: Call) -> Reply {
    let ChangePeerParams { peer } = call.params.decode()?;
    check_peer(&peer)?;
    let state = State::load()?;
    let mut info = state.load_info()?;
    info.caller_must_control()?;
    info.peer = peer;
    keep(state, info)
}

pub fn change_multiaddrs(call: Call) -> Reply {
    let ChangeMultiaddrsParams { multiaddrs } = call.params.decode()?;
    check_multiaddrs(&multiaddrs)?;
    let state = State::load()?;
    let mut info = state.load_info()?;
    info.caller_must_control()?;
    info.multiaddrs = multiaddrs;
    keep(state, info)
}

fn keep(mut state: State, info: Info) -> Reply {
    state.save_info(&info)?;
    state.save()?;
    params::done()
}
