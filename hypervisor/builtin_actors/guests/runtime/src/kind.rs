//! The types of built-in actors: a type's number is its place in the bundle's manifest, counted from 1.

use cid::Cid;
use fvm_shared::ActorID;
use fvm_shared::address::Address;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Kind {
    System = 1,
    Init = 2,
    Cron = 3,
    Account = 4,
    StoragePower = 5,
    StorageMiner = 6,
    StorageMarket = 7,
    PaymentChannel = 8,
    Multisig = 9,
    Reward = 10,
    VerifiedRegistry = 11,
    DataCap = 12,
    Placeholder = 13,
    Evm = 14,
    Eam = 15,
    EthAccount = 16,
}

const ALL: [Kind; 16] = [
    Kind::System,
    Kind::Init,
    Kind::Cron,
    Kind::Account,
    Kind::StoragePower,
    Kind::StorageMiner,
    Kind::StorageMarket,
    Kind::PaymentChannel,
    Kind::Multisig,
    Kind::Reward,
    Kind::VerifiedRegistry,
    Kind::DataCap,
    Kind::Placeholder,
    Kind::Evm,
    Kind::Eam,
    Kind::EthAccount,
];

impl Kind {
    /// The type that the manifest gives to a code CID; none for user code.
    pub fn of_code(code: &Cid) -> Option<Kind> {
        let number = fvm_sdk::actor::get_builtin_actor_type(code)?;
        ALL.iter().copied().find(|kind| *kind as i32 == number)
    }

    /// The code CID that the manifest gives to this type.
    pub fn code(self) -> Cid {
        fvm_sdk::actor::get_code_cid_for_type(self as i32)
    }
}

/// The code CID of an actor; none if no such actor exists.
pub fn code_of(id: ActorID) -> Option<Cid> {
    fvm_sdk::actor::get_actor_code_cid(&Address::new_id(id))
}
