//! The hook that tokens call on whoever gets them (FRC-46): `Receive` with a type and a payload.

use frc42_dispatch::method_hash;
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::econ::TokenAmount;
use fvm_shared::{ActorID, MethodNum};

pub const RECEIVE: MethodNum = method_hash!("Receive");

/// The type of a payload that is a `TokensReceived`.
pub const FUNGIBLE_TOKENS: u32 = method_hash!("FRC46") as u32;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct ReceiveParams {
    pub kind: u32,
    pub payload: RawBytes,
}

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct TokensReceived {
    /// Whose tokens they were; the token actor itself where they are minted.
    pub from: ActorID,
    pub to: ActorID,
    /// Who set the transfer off.
    pub operator: ActorID,
    pub amount: TokenAmount,
    pub operator_data: RawBytes,
    pub token_data: RawBytes,
}
