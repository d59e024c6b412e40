//! Puts a contract at an address: a new one through Init, or a destroyed one by resurrection.

use actor_runtime::kind::code_of;
use actor_runtime::send::send;
use actor_runtime::{ActorError, Kind, Reply, ids, params};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{RawBytes, strict_bytes};
use fvm_shared::address::Address;
use fvm_shared::{ActorID, MethodNum};

use crate::address::EthAddress;

const INIT_EXEC4: MethodNum = 3;
const EVM_RESURRECT: MethodNum = 2;

/// What the EVM actor's constructor and its resurrection take.
#[derive(Serialize_tuple)]
struct EvmConstructorParams {
    creator: EthAddress,
    #[serde(with = "strict_bytes")]
    initcode: Vec<u8>,
}

#[derive(Serialize_tuple)]
struct Exec4Params {
    code: Cid,
    constructor_params: RawBytes,
    subaddress: RawBytes,
}

#[derive(Deserialize_tuple)]
struct Exec4Return {
    id_address: Address,
    robust_address: Address,
}

#[derive(Serialize_tuple)]
struct CreateReturn {
    actor_id: ActorID,
    /// None if the actor existed before: resurrection gives no new address.
    robust_address: Option<Address>,
    eth_address: EthAddress,
}

pub fn deploy(creator: EthAddress, target: EthAddress, initcode: Vec<u8>) -> Reply {
    if target.is_reserved() {
        return Err(ActorError::forbidden("the new contract's address is reserved"));
    }
    let constructor_params = RawBytes::serialize(EvmConstructorParams { creator, initcode })?;
    let delegated = Address::new_delegated(ids::EAM, &target.0).expect("20 bytes are a legal subaddress");
    if let Some(id) = fvm_sdk::actor::resolve_address(&delegated) {
        let code = code_of(id).expect("an address in the map has an actor");
        match Kind::of_code(&code) {
            Some(Kind::Placeholder) => {}
            Some(Kind::Evm) => return resurrect(id, target, constructor_params),
            _ => return Err(ActorError::forbidden("another actor lies at the new contract's address")),
        }
    }
    create(target, constructor_params)
}

/// The contract itself refuses unless it is dead.
fn resurrect(id: ActorID, target: EthAddress, constructor_params: RawBytes) -> Reply {
    let value = fvm_sdk::message::value_received();
    send(&Address::new_id(id), EVM_RESURRECT, constructor_params.into(), value)?;
    params::reply(&CreateReturn { actor_id: id, robust_address: None, eth_address: target })
}

fn create(target: EthAddress, constructor_params: RawBytes) -> Reply {
    let order =
        Exec4Params { code: Kind::Evm.code(), constructor_params, subaddress: RawBytes::new(target.0.to_vec()) };
    let value = fvm_sdk::message::value_received();
    let answer = send(&Address::new_id(ids::INIT), INIT_EXEC4, params::cbor(&order)?, value)?;
    let block = answer.ok_or_else(|| ActorError::serialization("Init returned nothing"))?;
    let made: Exec4Return = block.deserialize()?;
    let actor_id = made.id_address.id().expect("Init returns an id address");
    params::reply(&CreateReturn { actor_id, robust_address: Some(made.robust_address), eth_address: target })
}
