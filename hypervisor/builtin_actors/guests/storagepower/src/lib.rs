//! The storage power actor, f04: it creates miners, keeps what power each claims, and calls them when they asked for it.

mod queue;
mod state;

use actor_runtime::estimate::{EpochReward, TotalPower};
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Kind, Reply, caller, entrypoint, ids, key, params};
use cid::Cid;
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{BytesDe, RawBytes, strict_bytes};
use fvm_shared::address::Address;
use fvm_shared::bigint::bigint_ser::BigIntSer;
use fvm_shared::bigint::{BigInt, bigint_ser};
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sector::RegisteredPoStProof;
use fvm_shared::{ActorID, MethodNum};

use crate::queue::Event;
use crate::state::{Claim, State};

const CREATE_MINER: MethodNum = 2;
const UPDATE_CLAIMED_POWER: MethodNum = 3;
const ENROLL_CRON_EVENT: MethodNum = 4;
const ON_EPOCH_TICK_END: MethodNum = 5;
const UPDATE_PLEDGE_TOTAL: MethodNum = 6;
const CURRENT_TOTAL_POWER: MethodNum = 9;
const CREATE_MINER_EXPORTED: MethodNum = method_hash!("CreateMiner");
const NETWORK_RAW_POWER: MethodNum = method_hash!("NetworkRawPower");
const MINER_RAW_POWER: MethodNum = method_hash!("MinerRawPower");
const MINER_COUNT: MethodNum = method_hash!("MinerCount");
const MINER_CONSENSUS_COUNT: MethodNum = method_hash!("MinerConsensusCount");
const MINER_POWER: MethodNum = method_hash!("MinerPower");

const INIT_EXEC: MethodNum = 2;
const REWARD_THIS_EPOCH_REWARD: MethodNum = 3;
const REWARD_UPDATE_NETWORK_KPI: MethodNum = 4;

entrypoint!(dispatch);

#[derive(Deserialize_tuple)]
struct CreateMinerParams {
    owner: Address,
    worker: Address,
    proof: RegisteredPoStProof,
    #[serde(with = "strict_bytes")]
    peer: Vec<u8>,
    multiaddrs: Vec<BytesDe>,
}

/// What the miner's constructor takes.
#[derive(Serialize_tuple)]
struct MinerParams {
    owner: Address,
    worker: Address,
    control: Vec<Address>,
    proof: RegisteredPoStProof,
    #[serde(with = "strict_bytes")]
    peer: Vec<u8>,
    multiaddrs: Vec<BytesDe>,
}

#[derive(Serialize_tuple)]
struct ExecParams {
    code: Cid,
    constructor_params: RawBytes,
}

/// What Init answers, and what is answered here.
#[derive(Serialize_tuple, Deserialize_tuple)]
struct Created {
    id_address: Address,
    robust_address: Address,
}

#[derive(Deserialize_tuple)]
struct UpdateClaimedPowerParams {
    #[serde(with = "bigint_ser")]
    raw: BigInt,
    #[serde(with = "bigint_ser")]
    quality: BigInt,
}

#[derive(Deserialize_tuple)]
struct EnrollCronEventParams {
    epoch: ChainEpoch,
    payload: RawBytes,
}

#[derive(Serialize_tuple)]
struct MinerRawPower {
    #[serde(with = "bigint_ser")]
    raw: BigInt,
    counts: bool,
}

#[derive(Serialize_tuple)]
struct MinerPower {
    #[serde(with = "bigint_ser")]
    raw: BigInt,
    #[serde(with = "bigint_ser")]
    quality: BigInt,
}

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        CREATE_MINER | CREATE_MINER_EXPORTED => create_miner(call),
        UPDATE_CLAIMED_POWER => update_claimed_power(call),
        ENROLL_CRON_EVENT => enroll_cron_event(call),
        ON_EPOCH_TICK_END => on_epoch_tick_end(call),
        UPDATE_PLEDGE_TOTAL => update_pledge_total(call),
        CURRENT_TOTAL_POWER => current_total_power(call),
        NETWORK_RAW_POWER => network_raw_power(call),
        MINER_RAW_POWER => miner_raw_power(call),
        MINER_COUNT => miner_count(call),
        MINER_CONSENSUS_COUNT => miner_consensus_count(call),
        MINER_POWER => miner_power(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn load() -> Result<State, ActorError> {
    actor_runtime::state::load()
}

fn construct(call: Call) -> Reply {
    call.params.expect_none()?;
    caller::must_be(ids::SYSTEM)?;
    actor_runtime::state::create(&State::new()?)?;
    params::done()
}

/// Makes a miner for anybody. The value that comes along is the miner's deposit.
fn create_miner(call: Call) -> Reply {
    let CreateMinerParams { owner, worker, proof, peer, multiaddrs } = call.params.decode()?;
    let miner = MinerParams { owner, worker, control: Vec::new(), proof, peer, multiaddrs };
    let order = ExecParams { code: Kind::StorageMiner.code(), constructor_params: RawBytes::serialize(miner)? };
    let value = fvm_sdk::message::value_received();
    let answer = send(&Address::new_id(ids::INIT), INIT_EXEC, params::cbor(&order)?, value)?;
    let created: Created = params::returned(answer)?;

    let mut state = load()?;
    let mut claims = state.load_claims()?;
    claims.set(key::address(&created.id_address), Claim::empty(proof))?;
    state.miners += 1;
    state.save_claims(claims)?;
    actor_runtime::state::save(&state)?;
    params::reply(&created)
}

/// Adds to the calling miner's claim, or takes away.
fn update_claimed_power(call: Call) -> Reply {
    let UpdateClaimedPowerParams { raw, quality } = call.params.decode()?;
    caller::must_be_kind(Kind::StorageMiner)?;
    let mut state = load()?;
    let mut claims = state.load_claims()?;
    state.add_power(&mut claims, &calling_miner(), &raw, &quality)?;
    state.save_claims(claims)?;
    actor_runtime::state::save(&state)?;
    params::done()
}

/// The calling miner wants to be called at the end of an epoch; of a past epoch, at the end of this one.
fn enroll_cron_event(call: Call) -> Reply {
    let EnrollCronEventParams { epoch, payload } = call.params.decode()?;
    caller::must_be_kind(Kind::StorageMiner)?;
    if epoch < 0 {
        return Err(ActorError::illegal_argument("an event's epoch is negative"));
    }
    let mut state = load()?;
    queue::add(&mut state, epoch, Event { miner: calling_miner(), payload })?;
    actor_runtime::state::save(&state)?;
    params::done()
}

/// The end of an epoch: due events, then the totals, then the reward actor is told.
fn on_epoch_tick_end(call: Call) -> Reply {
    call.params.expect_none()?;
    caller::must_be(ids::CRON)?;
    let reward_actor = Address::new_id(ids::REWARD);
    let answer = send(&reward_actor, REWARD_THIS_EPOCH_REWARD, None, TokenAmount::default())?;
    let EpochReward { reward, .. } = params::returned(answer)?;
    queue::run_due(fvm_sdk::network::curr_epoch(), &reward)?;

    let mut state = load()?;
    state.end_epoch();
    actor_runtime::state::save(&state)?;
    let power = params::cbor(&BigIntSer(&state.epoch_raw))?;
    send(&reward_actor, REWARD_UPDATE_NETWORK_KPI, power, TokenAmount::default())?;
    params::done()
}

/// The calling miner has locked more for its sectors, or less. Parameters: the change, bare.
fn update_pledge_total(call: Call) -> Reply {
    let change: TokenAmount = call.params.decode()?;
    caller::must_be_kind(Kind::StorageMiner)?;
    let mut state = load()?;
    if state.claim(fvm_sdk::message::caller())?.is_none() {
        return Err(ActorError::forbidden("this miner has no claim"));
    }
    state.total_pledge += change;
    if state.total_pledge.is_negative() {
        return Err(ActorError::illegal_state("the total of pledges is negative"));
    }
    actor_runtime::state::save(&state)?;
    params::done()
}

/// The totals as the last epoch left them.
fn current_total_power(call: Call) -> Reply {
    call.params.expect_none()?;
    let state = load()?;
    params::reply(&TotalPower {
        raw: state.epoch_raw,
        quality: state.epoch_quality,
        pledge: state.epoch_pledge,
        quality_smoothed: state.epoch_quality_smoothed,
        ramp_start: state.ramp_start,
        ramp_epochs: state.ramp_epochs,
    })
}

fn network_raw_power(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&BigIntSer(&load()?.epoch_raw))
}

/// Parameters: the miner's bare id. No claim is 16 here and 17 in `MinerPower`: the network's rule.
fn miner_raw_power(call: Call) -> Reply {
    let miner: ActorID = call.params.decode()?;
    let state = load()?;
    let claim = state.claim(miner)?.ok_or_else(|| ActorError::illegal_argument(no_claim(miner)))?;
    params::reply(&MinerRawPower { counts: state.counts(&claim)?, raw: claim.raw })
}

fn miner_count(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&load()?.miners)
}

fn miner_consensus_count(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&load()?.miners_above_minimum)
}

/// Parameters: the miner's bare id.
fn miner_power(call: Call) -> Reply {
    let miner: ActorID = call.params.decode()?;
    let claim = load()?.claim(miner)?.ok_or_else(|| ActorError::not_found(no_claim(miner)))?;
    params::reply(&MinerPower { raw: claim.raw, quality: claim.quality })
}

fn no_claim(miner: ActorID) -> String {
    format!("f0{miner} has no claim")
}

fn calling_miner() -> Address {
    Address::new_id(fvm_sdk::message::caller())
}
