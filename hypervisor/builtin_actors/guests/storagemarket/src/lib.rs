//! The storage market, f05: clients and providers pay in here, and their deals are published, activated and settled.
//!
//! From v19 on (FIP-0118) a deal may still say that it is verified, but datacap is no longer asked for, and sectors are
//! activated without the market's leave.

mod activate;
mod balances;
#[cfg(not(feature = "v19"))]
mod commit;
#[cfg_attr(feature = "v19", path = "without_datacap.rs")]
mod datacap;
mod deal;
mod escrow;
mod getters;
mod payments;
mod publish;
mod schedule;
mod sectors;
mod state;
mod validity;

use actor_runtime::{ActorError, Call, Reply, caller, entrypoint, ids, params};
use frc42_dispatch::method_hash;
use fvm_shared::MethodNum;

use crate::getters::{DataCommitment, Term, of_proposal};
use crate::state::State;

const ADD_BALANCE: MethodNum = 2;
const WITHDRAW_BALANCE: MethodNum = 3;
const PUBLISH_STORAGE_DEALS: MethodNum = 4;
#[cfg(not(feature = "v19"))]
const VERIFY_DEALS_FOR_ACTIVATION: MethodNum = 5;
#[cfg(not(feature = "v19"))]
const BATCH_ACTIVATE_DEALS: MethodNum = 6;
const ON_MINER_SECTORS_TERMINATE: MethodNum = 7;
const CRON_TICK: MethodNum = 9;
const ADD_BALANCE_EXPORTED: MethodNum = method_hash!("AddBalance");
const WITHDRAW_BALANCE_EXPORTED: MethodNum = method_hash!("WithdrawBalance");
const PUBLISH_STORAGE_DEALS_EXPORTED: MethodNum = method_hash!("PublishStorageDeals");
const GET_BALANCE: MethodNum = method_hash!("GetBalance");
const GET_DEAL_DATA_COMMITMENT: MethodNum = method_hash!("GetDealDataCommitment");
const GET_DEAL_CLIENT: MethodNum = method_hash!("GetDealClient");
const GET_DEAL_PROVIDER: MethodNum = method_hash!("GetDealProvider");
const GET_DEAL_LABEL: MethodNum = method_hash!("GetDealLabel");
const GET_DEAL_TERM: MethodNum = method_hash!("GetDealTerm");
const GET_DEAL_TOTAL_PRICE: MethodNum = method_hash!("GetDealTotalPrice");
const GET_DEAL_CLIENT_COLLATERAL: MethodNum = method_hash!("GetDealClientCollateral");
const GET_DEAL_PROVIDER_COLLATERAL: MethodNum = method_hash!("GetDealProviderCollateral");
const GET_DEAL_VERIFIED: MethodNum = method_hash!("GetDealVerified");
const GET_DEAL_ACTIVATION: MethodNum = method_hash!("GetDealActivation");
const GET_DEAL_SECTOR: MethodNum = method_hash!("GetDealSector");
const SETTLE_DEAL_PAYMENTS: MethodNum = method_hash!("SettleDealPayments");
const SECTOR_CONTENT_CHANGED: MethodNum = method_hash!("SectorContentChanged");

entrypoint!(dispatch);

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        ADD_BALANCE | ADD_BALANCE_EXPORTED => escrow::add_balance(call),
        WITHDRAW_BALANCE | WITHDRAW_BALANCE_EXPORTED => escrow::withdraw_balance(call),
        PUBLISH_STORAGE_DEALS | PUBLISH_STORAGE_DEALS_EXPORTED => publish::publish(call),
        #[cfg(not(feature = "v19"))]
        VERIFY_DEALS_FOR_ACTIVATION => commit::verify(call),
        #[cfg(not(feature = "v19"))]
        BATCH_ACTIVATE_DEALS => commit::activate(call),
        ON_MINER_SECTORS_TERMINATE => payments::terminate(call),
        CRON_TICK => payments::cron_tick(call),
        GET_BALANCE => escrow::get_balance(call),
        GET_DEAL_DATA_COMMITMENT => of_proposal(call, |deal| DataCommitment { data: deal.piece, size: deal.size }),
        GET_DEAL_CLIENT => of_proposal(call, |deal| deal.client_id()),
        GET_DEAL_PROVIDER => of_proposal(call, |deal| deal.provider_id()),
        GET_DEAL_LABEL => of_proposal(call, |deal| deal.label),
        GET_DEAL_TERM => of_proposal(call, |deal| Term { start: deal.start, duration: deal.duration() }),
        GET_DEAL_TOTAL_PRICE => of_proposal(call, |deal| deal.price()),
        GET_DEAL_CLIENT_COLLATERAL => of_proposal(call, |deal| deal.client_collateral),
        GET_DEAL_PROVIDER_COLLATERAL => of_proposal(call, |deal| deal.provider_collateral),
        GET_DEAL_VERIFIED => of_proposal(call, |deal| deal.verified),
        GET_DEAL_ACTIVATION => getters::activation(call),
        GET_DEAL_SECTOR => getters::sector(call),
        SETTLE_DEAL_PAYMENTS => payments::settle(call),
        SECTOR_CONTENT_CHANGED => activate::content_changed(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn construct(call: Call) -> Reply {
    call.params.expect_none()?;
    caller::must_be(ids::SYSTEM)?;
    actor_runtime::state::create(&State::new()?)?;
    params::done()
}
