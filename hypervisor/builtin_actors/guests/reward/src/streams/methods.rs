//! The methods of v19: writes of the stream-weight authority, of a stream's writer, and claims. All are exported, so that
//! contracts can call them.

use actor_runtime::kind::code_of;
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Kind, Reply, address, caller, ids, params};
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{METHOD_SEND, MethodNum};

use crate::state::State;
use crate::streams::queue::{self, Assignment, Changes, FirstDistribution, Key, Registration, WeightUpdates, Write};
use crate::streams::shares::{check_count, stored_map};
use crate::streams::table::Table;
use crate::streams::weight::Weight;
use crate::streams::{Ledger, StreamID, Wallet, events};

const SET_WEIGHT_RECORDS: MethodNum = frc42_dispatch::method_hash!("SetWeightRecords");
const STEP_WEIGHT_RECORDS: MethodNum = frc42_dispatch::method_hash!("StepWeightRecords");
const REGISTER_STREAM: MethodNum = frc42_dispatch::method_hash!("RegisterStream");
const REMOVE_STREAM: MethodNum = frc42_dispatch::method_hash!("RemoveStream");
const SET_DISTRIBUTION: MethodNum = frc42_dispatch::method_hash!("SetDistribution");
const CANCEL_PENDING: MethodNum = frc42_dispatch::method_hash!("CancelPending");
const SET_SHARES: MethodNum = frc42_dispatch::method_hash!("SetShares");
const REPLACE_ADDRESS: MethodNum = frc42_dispatch::method_hash!("ReplaceAddress");
const CLAIM: MethodNum = frc42_dispatch::method_hash!("Claim");

#[derive(Deserialize_tuple)]
struct ShareRow {
    recipient: Address,
    share: u64,
}

#[derive(Deserialize_tuple)]
struct DistributionParams {
    writer: Address,
    shares: Vec<ShareRow>,
}

#[derive(Deserialize_tuple)]
struct RegisterStreamParams {
    id: StreamID,
    weight: Weight,
    distribution: Option<DistributionParams>,
    activation_epoch: ChainEpoch,
}

#[derive(Deserialize_tuple)]
struct RemoveStreamParams {
    id: StreamID,
}

#[derive(Deserialize_tuple)]
struct SetDistributionParams {
    id: StreamID,
    writer: Address,
}

#[derive(Deserialize_tuple)]
struct CancelPendingParams {
    id: Option<StreamID>,
    op: u8,
}

#[derive(Deserialize_tuple)]
struct SetSharesParams {
    id: StreamID,
    shares: Vec<ShareRow>,
}

#[derive(Deserialize_tuple)]
struct ReplaceAddressParams {
    id: StreamID,
    old: Address,
    new: Address,
}

#[derive(Deserialize_tuple)]
struct ClaimParams {
    id: StreamID,
    wallets: Vec<Address>,
}

#[derive(Serialize_tuple)]
struct ClaimReturn {
    amounts: Vec<TokenAmount>,
}

/// What `ReplaceAddress` answers: the address was replaced, or it has no share.
const REPLACED: u64 = 0;
const HAS_NO_SHARE: u64 = 1;

pub fn dispatch(call: Call) -> Reply {
    match call.method {
        SET_WEIGHT_RECORDS => write_weights(call, queue::SET_WEIGHT_RECORDS),
        STEP_WEIGHT_RECORDS => write_weights(call, queue::STEP_WEIGHT_RECORDS),
        REGISTER_STREAM => register_stream(call),
        REMOVE_STREAM => remove_stream(call),
        SET_DISTRIBUTION => set_distribution(call),
        CANCEL_PENDING => cancel_pending(call),
        SET_SHARES => set_shares(call),
        REPLACE_ADDRESS => replace_address(call),
        CLAIM => claim(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

// ---- the stream-weight authority's

fn write_weights(call: Call, op: u8) -> Reply {
    let WeightUpdates { mut updates } = call.params.decode()?;
    let state = of_authority()?;
    updates.sort_by_key(|update| update.id);
    file(&state, (None, op), Write::Weights(updates), None)
}

fn register_stream(call: Call) -> Reply {
    let RegisterStreamParams { id, weight, distribution, activation_epoch } = call.params.decode()?;
    let state = of_authority()?;
    let distribution = match distribution {
        None => None,
        Some(first) => {
            let rows = resolve_map(first.shares)?;
            let writer = existing(&first.writer)?;
            Some(FirstDistribution { writer, shares: stored_map(rows)? })
        }
    };
    let registration = Write::Register(Registration { weight, distribution });
    file(&state, (Some(id), queue::REGISTER_STREAM), registration, Some(activation_epoch))
}

fn remove_stream(call: Call) -> Reply {
    let RemoveStreamParams { id } = call.params.decode()?;
    file(&of_authority()?, (Some(id), queue::REMOVE_STREAM), Write::Remove, None)
}

fn set_distribution(call: Call) -> Reply {
    let SetDistributionParams { id, writer } = call.params.decode()?;
    let state = of_authority()?;
    let assignment = Write::SetDistribution(Assignment { writer: existing(&writer)? });
    file(&state, (Some(id), queue::SET_DISTRIBUTION), assignment, None)
}

fn cancel_pending(call: Call) -> Reply {
    let CancelPendingParams { id, op } = call.params.decode()?;
    if op > queue::SET_DISTRIBUTION {
        return Err(ActorError::serialization(format!("there is no operation {op}")));
    }
    of_authority()?;
    if op == queue::STEP_WEIGHT_RECORDS {
        return Err(ActorError::illegal_argument("a step of weights cannot be cancelled"));
    }
    queue::check_key((id, op))?;
    let cancelled = transact(|ledger, _, _| Ok(ledger.cancel((id, op))))?;
    if let Some(write) = cancelled {
        events::cancelled(&write)?;
    }
    params::done()
}

/// The state, for its authority only.
fn of_authority() -> Result<State, ActorError> {
    let state: State = actor_runtime::state::load()?;
    caller::must_be_one_of(&[state.swa])?;
    Ok(state)
}

/// Files a write for the end of the timelock or, not before that, for the epoch that it names.
fn file(state: &State, key: Key, write: Write, named: Option<ChainEpoch>) -> Reply {
    let timelock = state.timelock;
    let filed = transact(|ledger, _, now| {
        let earliest = now
            .checked_add(timelock)
            .filter(|_| timelock >= 0)
            .ok_or_else(|| ActorError::illegal_argument("the timelock is negative or goes beyond all epochs"))?;
        let due = named.unwrap_or(earliest);
        if due < earliest {
            return Err(ActorError::illegal_argument(format!(
                "epoch {due} is before the timelock's end at {earliest}"
            )));
        }
        ledger.admit(key, write, now, due)
    })?;
    events::queued(&filed)?;
    params::done()
}

// ---- a stream's writer's

fn set_shares(call: Call) -> Reply {
    let SetSharesParams { id, shares } = call.params.decode()?;
    check_count(shares.len())?;
    transact(|ledger, changes, _| {
        ledger.written_by(id, calling())?;
        let map = stored_map(resolve_map(shares)?)?;
        changes.folds.push(ledger.install(id, map.clone(), "SetShares")?);
        changes.maps.push((id, map));
        Ok(())
    })?;
    params::done()
}

fn replace_address(call: Call) -> Reply {
    let ReplaceAddressParams { id, old, new } = call.params.decode()?;
    let replaced = transact(|ledger, changes, _| {
        let shares = ledger.written_by(id, calling())?.shares.clone();
        let (old, new) = (existing(&old)?, recipient(&new)?);
        let Some(share) = shares.get(old).copied() else { return Ok(None) };
        if shares.has(new) {
            return Err(ActorError::illegal_argument(format!("f0{} has a share of stream {id} already", new.0)));
        }
        let others = shares.rows().iter().copied().filter(|(wallet, _)| *wallet != old);
        let heir = (new != Wallet::FIRE).then_some((new, share));
        changes.folds.push(ledger.install(id, Table::of(others.chain(heir)), "ReplaceAddress")?);
        Ok(Some((old, new)))
    })?;
    match replaced {
        Some((old, new)) => {
            events::replaced(id, old, new)?;
            params::reply(&REPLACED)
        }
        None => params::reply(&HAS_NO_SHARE),
    }
}

// ---- anyone's

fn claim(call: Call) -> Reply {
    let ClaimParams { id, wallets } = call.params.decode()?;
    check_count(wallets.len())?;
    let wallets: Vec<Option<Wallet>> = wallets.iter().map(|wallet| address::resolve(wallet).map(Wallet)).collect();
    let amounts = transact(|ledger, _, _| ledger.claim(id, &wallets))?;
    for (wallet, amount) in wallets.into_iter().zip(&amounts) {
        if let Some(wallet) = wallet.filter(|_| amount.is_positive()) {
            send(&Address::new_id(wallet.0), METHOD_SEND, None, amount.clone())?;
            events::paid(id, wallet, amount)?;
        }
    }
    params::reply(&ClaimReturn { amounts })
}

// ---- what they share

/// Loads the ledger, applies what is due, does the work, checks and stores the whole; then emits the events of what
/// changed and burns what folds left.
fn transact<T>(
    work: impl FnOnce(&mut Ledger, &mut Changes, ChainEpoch) -> Result<T, ActorError>,
) -> Result<T, ActorError> {
    let mut state: State = actor_runtime::state::load()?;
    let mut ledger = Ledger::load(&state)?;
    let now = fvm_sdk::network::curr_epoch();
    let mut changes = ledger.apply_due(now)?;
    let result = work(&mut ledger, &mut changes, now)?;
    ledger.check()?;
    ledger.store(&mut state)?;
    actor_runtime::state::save(&state)?;
    changes.emit()?;
    let dust = changes.dust();
    if dust.is_positive() {
        send(&Address::new_id(ids::BURNT_FUNDS), METHOD_SEND, None, dust)?;
    }
    Ok(result)
}

fn calling() -> Wallet {
    Wallet(fvm_sdk::message::caller())
}

/// The rows of a map with their recipients' ids: 16 for too many, else as `recipient`.
fn resolve_map(rows: Vec<ShareRow>) -> Result<Vec<(Wallet, u64)>, ActorError> {
    check_count(rows.len())?;
    rows.into_iter().map(|row| Ok((recipient(&row.recipient)?, row.share))).collect()
}

/// The actor behind an address: 17 if there is none.
fn existing(address: &Address) -> Result<Wallet, ActorError> {
    address::resolve(address)
        .filter(|id| code_of(*id).is_some())
        .map(Wallet)
        .ok_or_else(|| ActorError::not_found(format!("no actor has the address {address}")))
}

/// An actor that can get a share: 16 for a payment channel, from which it could not be taken.
fn recipient(address: &Address) -> Result<Wallet, ActorError> {
    let wallet = existing(address)?;
    if code_of(wallet.0).as_ref().and_then(Kind::of_code) == Some(Kind::PaymentChannel) {
        return Err(ActorError::illegal_argument(format!("{address} is a payment channel, which gets no share")));
    }
    Ok(wallet)
}
