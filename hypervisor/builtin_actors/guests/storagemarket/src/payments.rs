//! The money of deals: paid epoch by epoch when somebody settles, unlocked at the end, and taken from a provider who
//! does not keep its word. Cron sees to deals that never began.

use actor_runtime::batch::Batch;
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Kind, Reply, caller, ids, params, state};
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::METHOD_SEND;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::deal::DealID;
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

use crate::balances::Lock;
use crate::deal::{self, DealState, Proposal};
use crate::schedule;
use crate::sectors::{self, DealsBySector};
use crate::state::{DEAL_EXPIRED, Deals, State};

#[derive(Serialize_tuple)]
struct SettleReturn {
    results: Batch,
    /// Of the deals that succeeded.
    settlements: Vec<Settlement>,
}

#[derive(Serialize_tuple)]
struct Settlement {
    payment: TokenAmount,
    completed: bool,
}

#[derive(Deserialize_tuple)]
struct TerminateParams {
    epoch: ChainEpoch,
    sectors: BitField,
}

/// How a deal stands.
enum Standing {
    Active(DealState),
    /// It can still be activated.
    Waiting,
    /// It was not activated in time: it is removed now, and the provider's collateral is to be burnt.
    TimedOut(TokenAmount),
}

/// Parameters: the deals, a bare bitfield. Deals that are gone count as failed with 32.
pub fn settle(call: Call) -> Reply {
    let deals: BitField = call.params.decode()?;
    let mut state: State = state::load()?;
    let mut book = state.load_deals()?;
    let mut gone = DealsBySector::new();
    let (mut results, mut settlements, mut burnt) = (Batch::default(), Vec::new(), TokenAmount::zero());
    for deal in deals.iter() {
        let Ok(proposal) = book.proposal(deal) else {
            results.fail(DEAL_EXPIRED);
            continue;
        };
        let settlement = match standing(&mut book, deal, &proposal)? {
            Standing::Waiting => Settlement { payment: TokenAmount::zero(), completed: false },
            Standing::TimedOut(collateral) => {
                burnt += collateral;
                results.fail(DEAL_EXPIRED);
                continue;
            }
            Standing::Active(active) => settle_one(&mut book, deal, &proposal, active, &mut gone)?,
        };
        settlements.push(settlement);
        results.succeed();
    }
    state.save_deals(book)?;
    sectors::remove(&mut state, &gone)?;
    state::save(&state)?;
    burn(burnt)?;
    params::reply(&SettleReturn { results, settlements })
}

/// Pays what is due, and ends the deal if its time is over.
fn settle_one(
    book: &mut Deals,
    deal: DealID,
    proposal: &Proposal,
    mut active: DealState,
    gone: &mut DealsBySector,
) -> Result<Settlement, ActorError> {
    let now = fvm_sdk::network::curr_epoch();
    if ends_pending(&active, proposal, now) {
        book.forget_pending(proposal)?;
    }
    let from = proposal.start.max(active.last_updated);
    let payment = &proposal.price_per_epoch * (proposal.end.min(now) - from).max(0);
    if payment.is_positive() {
        book.balances.pay(proposal, &payment, &mut book.totals)?;
    }
    if now < proposal.end {
        active.last_updated = now;
        book.states.set(deal, active)?;
        return Ok(Settlement { payment, completed: false });
    }
    book.balances.unlock(
        &proposal.provider,
        &proposal.provider_collateral,
        Lock::ProviderCollateral,
        &mut book.totals,
    )?;
    book.balances.unlock(&proposal.client, &proposal.client_collateral, Lock::ClientCollateral, &mut book.totals)?;
    book.remove(deal)?;
    gone.entry((proposal.provider_id(), active.sector)).or_default().push(deal);
    deal::emit("deal-completed", deal, proposal)?;
    Ok(Settlement { payment, completed: true })
}

/// Whether this is the time at which an active deal's proposal may be published again, since its start no longer lets it.
/// Before v19 the first settlement was, whenever it came.
fn ends_pending(active: &DealState, proposal: &Proposal, now: ChainEpoch) -> bool {
    if cfg!(feature = "v19") {
        now > proposal.start && active.last_updated <= proposal.start
    } else {
        active.is_never_updated()
    }
}

fn standing(book: &mut Deals, deal: DealID, proposal: &Proposal) -> Result<Standing, ActorError> {
    let is_early = fvm_sdk::network::curr_epoch() < proposal.start;
    let active = book.states.get(deal)?.cloned();
    // From v19 on an active deal is not settled before its start either.
    if is_early && (active.is_none() || cfg!(feature = "v19")) {
        return Ok(Standing::Waiting);
    }
    if let Some(active) = active {
        return Ok(Standing::Active(active));
    }
    book.balances.unlock(&proposal.client, &proposal.price(), Lock::Fee, &mut book.totals)?;
    book.balances.unlock(&proposal.client, &proposal.client_collateral, Lock::ClientCollateral, &mut book.totals)?;
    let collateral = book.balances.slash(proposal, &mut book.totals)?;
    // All of it is taken, so that nothing is left to unlock; the network's actor unlocks that nothing.
    book.balances.unlock(&proposal.provider, &TokenAmount::zero(), Lock::ProviderCollateral, &mut book.totals)?;
    book.proposals.delete(deal)?;
    book.forget_pending(proposal)?;
    book.take_allocation(deal)?;
    Ok(Standing::TimedOut(collateral))
}

/// The end of an epoch. Deals whose place in the cycle has come are looked at once: they have begun, or are removed.
/// Those that somebody has settled before stay in the cycle and are settled here.
pub fn cron_tick(call: Call) -> Reply {
    call.params.expect_none()?;
    caller::must_be(ids::CRON)?;
    let now = fvm_sdk::network::curr_epoch();
    let mut state: State = state::load()?;
    let mut cycle = state.load_schedule()?;
    let mut due = Vec::new();
    for epoch in state.last_cron + 1..=now {
        due.extend(schedule::take(&mut cycle, epoch)?);
    }
    state.last_cron = now;
    let mut burnt = TokenAmount::zero();
    if !due.is_empty() {
        let mut book = state.load_deals()?;
        let mut gone = DealsBySector::new();
        for deal in due {
            let Some(proposal) = book.proposals.get(deal)?.cloned() else { continue };
            match standing(&mut book, deal, &proposal)? {
                Standing::Waiting => {
                    return Err(ActorError::illegal_state(format!("deal {deal} is looked at before its start")));
                }
                Standing::TimedOut(collateral) => burnt += collateral,
                Standing::Active(active) if active.is_never_updated() => {
                    if ends_pending(&active, &proposal, now) {
                        book.forget_pending(&proposal)?;
                    }
                }
                Standing::Active(active) => {
                    if !settle_one(&mut book, deal, &proposal, active, &mut gone)?.completed {
                        schedule::add(&mut cycle, schedule::place(deal, now + 1), deal)?;
                    }
                }
            }
        }
        state.save_deals(book)?;
        sectors::remove(&mut state, &gone)?;
    }
    state.save_schedule(cycle)?;
    state::save(&state)?;
    burn(burnt)?;
    params::done()
}

/// The calling miner gives sectors up: their deals end at an epoch, the provider's collateral is burnt.
pub fn terminate(call: Call) -> Reply {
    let TerminateParams { epoch, sectors } = call.params.decode()?;
    caller::must_be_kind(Kind::StorageMiner)?;
    let provider = fvm_sdk::message::caller();
    let mut state: State = state::load()?;
    let deals = sectors::take(&mut state, provider, sectors.iter())?;
    let mut book = state.load_deals()?;
    let mut burnt = TokenAmount::zero();
    for deal in deals {
        let Some(proposal) = book.proposals.get(deal)?.cloned() else { continue };
        if proposal.provider != Address::new_id(provider) {
            return Err(ActorError::illegal_state(format!("deal {deal} is not f0{provider}'s")));
        }
        if proposal.end > epoch {
            burnt += cut_short(&mut book, deal, &proposal, epoch)?;
        }
    }
    state.save_deals(book)?;
    state::save(&state)?;
    burn(burnt)?;
    params::done()
}

/// Pays up to the epoch, gives the client the rest back, and takes the provider's collateral.
fn cut_short(
    book: &mut Deals,
    deal: DealID,
    proposal: &Proposal,
    epoch: ChainEpoch,
) -> Result<TokenAmount, ActorError> {
    let active = book.states.get(deal)?.cloned();
    let active = active.ok_or_else(|| ActorError::illegal_argument(format!("deal {deal} was never activated")))?;
    if active.is_never_updated() || (cfg!(feature = "v19") && active.last_updated <= proposal.start) {
        book.forget_pending(proposal)?;
    }
    let from = proposal.start.max(active.last_updated);
    let payment = &proposal.price_per_epoch * (epoch - from).max(0);
    if payment.is_positive() {
        book.balances.pay(proposal, &payment, &mut book.totals)?;
    }
    let rest = &proposal.price_per_epoch * (proposal.end - epoch.max(proposal.start));
    book.balances.unlock(&proposal.client, &rest, Lock::Fee, &mut book.totals)?;
    book.balances.unlock(&proposal.client, &proposal.client_collateral, Lock::ClientCollateral, &mut book.totals)?;
    let collateral = book.balances.slash(proposal, &mut book.totals)?;
    book.remove(deal)?;
    deal::emit("deal-terminated", deal, proposal)?;
    Ok(collateral)
}

fn burn(amount: TokenAmount) -> Result<(), ActorError> {
    if amount.is_positive() {
        send(&Address::new_id(ids::BURNT_FUNDS), METHOD_SEND, None, amount)?;
    }
    Ok(())
}
