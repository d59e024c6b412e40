//! The end of a deadline, when the power actor calls: missing proofs are faults, sectors expire, and all that is owed is
//! paid.

use actor_runtime::estimate::Estimate;
use actor_runtime::event::Event as Emitted;
use actor_runtime::policy::DAY;
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Reply, caller, ids, key, map, params};
use cid::Cid;
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{from_slice, strict_bytes};
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::deal::DealID;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sector::{RegisteredSealProof, SectorNumber};
use num_traits::{Signed, Zero};

use crate::deadline::Terminations;
use crate::economy::{expected_reward, fault_fee, payable_daily_fee, termination_fee};
use crate::network::{DEADLINE_EVENT, Event, TERMINATIONS_EVENT, burn, enroll, update_pledge, update_power};
use crate::power::Power;
use crate::queue::{EXACT, Queue};
use crate::schedule::{DEADLINES, LONGEST_FAULT, PERIOD, Window};
use crate::sector::bits;
use crate::state::State;

const MARKET_ON_MINER_SECTORS_TERMINATE: MethodNum = 7;

/// Of one epoch.
const MOST_PARTITIONS: u64 = 3000;
const MOST_SECTORS: u64 = 25_000;

#[derive(Deserialize_tuple)]
struct DeferredEventParams {
    #[serde(with = "strict_bytes")]
    payload: Vec<u8>,
    reward: Estimate,
    power: Estimate,
}

/// A sector that was promised, with what is lost if the promise is not kept.
#[derive(Clone, PartialEq, Serialize_tuple, Deserialize_tuple)]
struct Precommit {
    info: PrecommitInfo,
    deposit: TokenAmount,
    epoch: ChainEpoch,
}

#[derive(Clone, PartialEq, Serialize_tuple, Deserialize_tuple)]
struct PrecommitInfo {
    seal_proof: RegisteredSealProof,
    sector: SectorNumber,
    sealed: Cid,
    randomness: ChainEpoch,
    deals: Vec<DealID>,
    expiration: ChainEpoch,
    unsealed: Option<Cid>,
}

#[derive(Serialize_tuple)]
struct SectorsTerminateParams {
    epoch: ChainEpoch,
    sectors: BitField,
}

/// What the end of a deadline changes.
#[derive(Default)]
struct Closed {
    lost: Power,
    released: TokenAmount,
    /// Of the deadline: faulty before it closed, all that lives now, and what that costs a day.
    faulty_before: Power,
    live: Power,
    daily_fee: TokenAmount,
}

pub fn on_deferred_event(call: Call) -> Reply {
    let DeferredEventParams { payload, reward, power } = call.params.decode()?;
    caller::must_be(ids::POWER)?;
    let event = from_slice::<Event>(&payload);
    let Event { kind } = event.map_err(|error| ActorError::illegal_state(format!("no event of ours: {error}")))?;
    match kind {
        DEADLINE_EVENT => end_deadline(&reward, &power)?,
        TERMINATIONS_EVENT => go_on_paying(&reward, &power)?,
        // Events of earlier versions mean nothing any more.
        _ => (),
    }
    State::load()?.check_balance()?;
    params::done()
}

fn end_deadline(reward: &Estimate, power: &Estimate) -> Result<(), ActorError> {
    let (now, balance) = (fvm_sdk::network::curr_epoch(), fvm_sdk::sself::current_balance());
    let mut state = State::load()?;
    let mut info = state.load_info()?;
    if info.take_over(now) {
        state.save_info(&info)?;
    }
    let forfeited = drop_precommits(&mut state, now)?;
    state.owe(&forfeited)?;
    let had_terminations = !state.early_terminations.is_empty();
    let closed = close(&mut state, now)?;
    state.owe(&fault_fee(reward, power, &closed.faulty_before.quality))?;
    if closed.daily_fee.is_positive() {
        let day_reward = expected_reward(reward, power, &closed.live.quality, DAY);
        state.owe(&payable_daily_fee(&closed.daily_fee, &day_reward))?;
    }
    let (burnt, taken) = state.repay_what_can_be(now, &balance)?;
    let vested = state.vest(now)?;
    let bound = [&state.deposits, &state.pledge, &state.locked];
    let goes_on = bound.iter().any(|amount| !amount.is_zero());
    state.has_event &= goes_on;
    state.save()?;

    update_power(&-closed.lost)?;
    burn(burnt)?;
    update_pledge(&-(closed.released + taken + vested))?;
    if goes_on {
        enroll(Window::open_at(now + 1, state.period_start).last(), DEADLINE_EVENT)?;
    }
    if !had_terminations && !state.early_terminations.is_empty() {
        go_on_paying(reward, power)?;
    }
    Ok(())
}

/// Forgets promises that were not kept in time; what was deposited for them is lost.
fn drop_precommits(state: &mut State, now: ChainEpoch) -> Result<TokenAmount, ActorError> {
    let mut queue = Queue::load(&state.precommit_cleanup, EXACT)?;
    let due = queue.pop(now)?;
    let mut forfeited = TokenAmount::zero();
    if due.is_empty() {
        return Ok(forfeited);
    }
    state.precommit_cleanup = queue.flush()?;
    let mut precommitted = map::load::<Precommit>(&state.precommitted)?;
    for sector in due.iter() {
        if let Some((_, precommit)) = precommitted.delete(&key::unsigned(sector))? {
            forfeited += precommit.deposit;
        }
    }
    state.precommitted = precommitted.flush()?;
    state.deposits -= &forfeited;
    if state.deposits.is_negative() {
        return Err(ActorError::illegal_state("deposits are negative"));
    }
    Ok(forfeited)
}

fn close(state: &mut State, now: ChainEpoch) -> Result<Closed, ActorError> {
    let window = Window::open_at(now, state.period_start);
    if !window.has_begun() {
        return Ok(Closed::default());
    }
    state.current_deadline = (window.index + 1) % DEADLINES;
    if state.current_deadline == 0 {
        state.period_start = window.period_start + PERIOD;
    }
    let mut deadlines = state.load_deadlines()?;
    let mut deadline = deadlines.load(window.index)?;
    let faulty_before = deadline.faulty_power.clone();
    if !deadline.is_live() {
        return Ok(Closed { faulty_before, ..Closed::default() });
    }
    let mut lost = deadline.close(state.sectors, window.last() + LONGEST_FAULT, window.quantum())?;
    let ended = deadline.expire(window.last(), window.quantum())?;
    lost += &ended.active;
    // The pledge of sectors that end early stays until that is paid for.
    state.add_pledge(&-ended.pledge.clone())?;
    if !ended.early.is_empty() {
        state.early_terminations |= &bits([window.index])?;
    }
    deadlines.save(window.index, &deadline)?;
    state.save_deadlines(&deadlines)?;
    let (live, daily_fee) = (deadline.live_power, deadline.daily_fee);
    Ok(Closed { lost, released: ended.pledge, faulty_before, live, daily_fee })
}

// --- sectors that have ended early --------------------------------------------------------------------------------

/// Pays for early ends; for those that are too many for one epoch, in the next.
fn go_on_paying(reward: &Estimate, power: &Estimate) -> Result<(), ActorError> {
    if pay_for_terminations(reward, power)? {
        enroll(fvm_sdk::network::curr_epoch() + 1, TERMINATIONS_EVENT)?;
    }
    Ok(())
}

/// Fees, pledges, deals and events of sectors that have ended early; whether there are more of them.
fn pay_for_terminations(reward: &Estimate, power: &Estimate) -> Result<bool, ActorError> {
    let (now, balance) = (fvm_sdk::network::curr_epoch(), fvm_sdk::sself::current_balance());
    let mut state = State::load()?;
    let taken = take_terminations(&mut state)?;
    let more = !state.early_terminations.is_empty();
    if taken.is_empty() {
        state.save()?;
        return Ok(more);
    }
    let size = state.load_info()?.sector_size;
    let sectors = state.load_sectors()?;
    let (mut pledge, mut fees) = (TokenAmount::zero(), TokenAmount::zero());
    let (mut ended, mut with_data) = (Vec::new(), Vec::new());
    for (epoch, numbers) in &taken {
        for sector in sectors.select(numbers)? {
            let fault_fee = fault_fee(reward, power, &sector.power(size).quality);
            fees += termination_fee(&sector.pledge, epoch - sector.activation, &fault_fee);
            pledge += &sector.pledge;
            ended.push(sector.number);
            if sector.deal_weight.is_positive() || sector.verified_weight.is_positive() {
                with_data.push(sector.number);
            }
        }
    }
    state.owe(&fees)?;
    state.add_pledge(&-pledge.clone())?;
    let (burnt, unlocked) = state.repay_what_can_be(now, &balance)?;
    state.save()?;

    burn(burnt)?;
    update_pledge(&-(pledge + unlocked))?;
    terminate_deals(now, with_data)?;
    for number in ended {
        Emitted::new("sector-terminated").indexed("sector", &number).emit()?;
    }
    Ok(more)
}

/// What has ended early, by epoch: of all deadlines together, each epoch once.
fn take_terminations(state: &mut State) -> Result<Terminations, ActorError> {
    let mut all = std::collections::BTreeMap::<ChainEpoch, BitField>::new();
    if state.early_terminations.is_empty() {
        return Ok(Terminations::new());
    }
    let (mut partitions_left, mut sectors_left) = (MOST_PARTITIONS, MOST_SECTORS);
    let mut deadlines = state.load_deadlines()?;
    for index in state.early_terminations.clone().iter() {
        let mut deadline = deadlines.load(index)?;
        let (taken, more) = deadline.take_early(&mut partitions_left, &mut sectors_left)?;
        for (epoch, numbers) in taken {
            *all.entry(epoch).or_default() |= &numbers;
        }
        if !more {
            state.early_terminations -= &bits([index])?;
        }
        deadlines.save(index, &deadline)?;
        if partitions_left == 0 || sectors_left == 0 {
            break;
        }
    }
    state.save_deadlines(&deadlines)?;
    Ok(all.into_iter().collect())
}

/// Deals end with their sectors. A market that fails must not stop a miner's own events.
fn terminate_deals(epoch: ChainEpoch, sectors: Vec<SectorNumber>) -> Result<(), ActorError> {
    if sectors.is_empty() {
        return Ok(());
    }
    let order = params::cbor(&SectorsTerminateParams { epoch, sectors: bits(sectors)? })?;
    let market = Address::new_id(ids::MARKET);
    match send(&market, MARKET_ON_MINER_SECTORS_TERMINATE, order, TokenAmount::default()) {
        Err(error) if fvm_sdk::message::origin() != ids::SYSTEM => Err(error),
        _ => Ok(()),
    }
}
