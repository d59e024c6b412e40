//! The storage miner actor: its people, its money, and what becomes of its sectors.
//!
//! Reduced: sectors cannot be committed or proven here, and what belongs to that answers 22. On networks of developers
//! the methods of `development` take that place.

// Without power there are no new sectors to pledge for.
#![cfg_attr(not(feature = "development-power"), allow(dead_code, unused_imports))]

mod beneficiary;
#[cfg(feature = "development-power")]
#[cfg_attr(feature = "v19", path = "pieces.rs")]
mod claim;
#[cfg_attr(feature = "supply-share", path = "supply_share.rs")]
mod collateral;
mod control;
mod cron;
mod deadline;
#[cfg(feature = "development-power")]
mod development;
mod economy;
mod expiration;
mod faults;
mod getters;
mod info;
mod money;
mod network;
mod partition;
mod power;
#[cfg(feature = "v19")]
mod quality;
mod queue;
mod schedule;
mod sector;
mod state;
mod status;
mod vesting;

use actor_runtime::{ActorError, Call, Reply, caller, entrypoint, ids};
use frc42_dispatch::method_hash;
use fvm_shared::MethodNum;

const CONTROL_ADDRESSES: MethodNum = 2;
const CHANGE_WORKER_ADDRESS: MethodNum = 3;
const CHANGE_PEER_ID: MethodNum = 4;
const DECLARE_FAULTS: MethodNum = 10;
const ON_DEFERRED_CRON_EVENT: MethodNum = 12;
const CHECK_SECTOR_PROVEN: MethodNum = 13;
const APPLY_REWARDS: MethodNum = 14;
const WITHDRAW_BALANCE: MethodNum = 16;
const CHANGE_MULTIADDRS: MethodNum = 18;
const CONFIRM_CHANGE_WORKER_ADDRESS: MethodNum = 21;
const REPAY_DEBT: MethodNum = 22;
const CHANGE_OWNER_ADDRESS: MethodNum = 23;
const CHANGE_BENEFICIARY: MethodNum = 30;
const GET_BENEFICIARY: MethodNum = 31;
#[cfg(feature = "v19")]
const UPGRADE_SECTOR_QUALITY: MethodNum = 37;
const CHANGE_WORKER_ADDRESS_EXPORTED: MethodNum = method_hash!("ChangeWorkerAddress");
const CHANGE_PEER_ID_EXPORTED: MethodNum = method_hash!("ChangePeerID");
const WITHDRAW_BALANCE_EXPORTED: MethodNum = method_hash!("WithdrawBalance");
const CHANGE_MULTIADDRS_EXPORTED: MethodNum = method_hash!("ChangeMultiaddrs");
const CONFIRM_CHANGE_WORKER_ADDRESS_EXPORTED: MethodNum = method_hash!("ConfirmChangeWorkerAddress");
const REPAY_DEBT_EXPORTED: MethodNum = method_hash!("RepayDebt");
const CHANGE_OWNER_ADDRESS_EXPORTED: MethodNum = method_hash!("ChangeOwnerAddress");
const CHANGE_BENEFICIARY_EXPORTED: MethodNum = method_hash!("ChangeBeneficiary");
const GET_BENEFICIARY_EXPORTED: MethodNum = method_hash!("GetBeneficiary");
const GET_OWNER: MethodNum = method_hash!("GetOwner");
const IS_CONTROLLING_ADDRESS: MethodNum = method_hash!("IsControllingAddress");
const GET_SECTOR_SIZE: MethodNum = method_hash!("GetSectorSize");
const GET_AVAILABLE_BALANCE: MethodNum = method_hash!("GetAvailableBalance");
const GET_VESTING_FUNDS: MethodNum = method_hash!("GetVestingFunds");
const GET_PEER_ID: MethodNum = method_hash!("GetPeerID");
const GET_MULTIADDRS: MethodNum = method_hash!("GetMultiaddrs");
const MAX_TERMINATION_FEE: MethodNum = method_hash!("MaxTerminationFee");
const INITIAL_PLEDGE: MethodNum = method_hash!("InitialPledge");
const GENERATE_SECTOR_LOCATION: MethodNum = method_hash!("GenerateSectorLocation");
const VALIDATE_SECTOR_STATUS: MethodNum = method_hash!("ValidateSectorStatus");
const GET_NOMINAL_SECTOR_EXPIRATION: MethodNum = method_hash!("GetNominalSectorExpiration");
#[cfg(feature = "development-power")]
const DEVELOPMENT_ONLY_COMMIT_SECTORS: MethodNum = method_hash!("DevelopmentOnlyCommitSectors");
#[cfg(feature = "development-power")]
const DEVELOPMENT_ONLY_PROVE_DEADLINE: MethodNum = method_hash!("DevelopmentOnlyProveDeadline");

entrypoint!(dispatch);

fn dispatch(call: Call) -> Reply {
    caller::guard_internal_numbers(call.method)?;
    match call.method {
        ids::CONSTRUCTOR => control::construct(call),
        CONTROL_ADDRESSES => getters::control_addresses(call),
        CHANGE_WORKER_ADDRESS | CHANGE_WORKER_ADDRESS_EXPORTED => control::change_worker(call),
        CHANGE_PEER_ID | CHANGE_PEER_ID_EXPORTED => control::change_peer(call),
        DECLARE_FAULTS => faults::declare(call),
        ON_DEFERRED_CRON_EVENT => cron::on_deferred_event(call),
        CHECK_SECTOR_PROVEN => status::check_proven(call),
        APPLY_REWARDS => money::apply_rewards(call),
        WITHDRAW_BALANCE | WITHDRAW_BALANCE_EXPORTED => money::withdraw(call),
        CHANGE_MULTIADDRS | CHANGE_MULTIADDRS_EXPORTED => control::change_multiaddrs(call),
        CONFIRM_CHANGE_WORKER_ADDRESS | CONFIRM_CHANGE_WORKER_ADDRESS_EXPORTED => control::confirm_worker(call),
        REPAY_DEBT | REPAY_DEBT_EXPORTED => money::repay_debt(call),
        CHANGE_OWNER_ADDRESS | CHANGE_OWNER_ADDRESS_EXPORTED => control::change_owner(call),
        CHANGE_BENEFICIARY | CHANGE_BENEFICIARY_EXPORTED => beneficiary::change(call),
        GET_BENEFICIARY | GET_BENEFICIARY_EXPORTED => beneficiary::get(call),
        #[cfg(feature = "v19")]
        UPGRADE_SECTOR_QUALITY => quality::upgrade(call),
        GET_OWNER => getters::owner(call),
        IS_CONTROLLING_ADDRESS => getters::is_controlling(call),
        GET_SECTOR_SIZE => getters::sector_size(call),
        GET_AVAILABLE_BALANCE => getters::available_balance(call),
        GET_VESTING_FUNDS => getters::vesting_funds(call),
        GET_PEER_ID => getters::peer(call),
        GET_MULTIADDRS => getters::multiaddrs(call),
        MAX_TERMINATION_FEE => getters::max_termination_fee(call),
        INITIAL_PLEDGE => getters::initial_pledge(call),
        GENERATE_SECTOR_LOCATION => status::generate_location(call),
        VALIDATE_SECTOR_STATUS => status::validate(call),
        GET_NOMINAL_SECTOR_EXPIRATION => status::nominal_expiration(call),
        #[cfg(feature = "development-power")]
        DEVELOPMENT_ONLY_COMMIT_SECTORS => development::commit_sectors(call),
        #[cfg(feature = "development-power")]
        DEVELOPMENT_ONLY_PROVE_DEADLINE => development::prove_deadline(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}
