//! The Ethereum address manager, f010: it computes where a new contract goes, by Ethereum's rules, and has Init
//! create it there. It keeps no state. Unlike other built-ins it takes internal numbers from contracts: they are its
//! users.

mod address;
mod deploy;

use actor_runtime::kind::code_of;
use actor_runtime::send::ask;
use actor_runtime::{ActorError, Call, Kind, Reply, caller, entrypoint, ids, params};
use fvm_ipld_encoding::strict_bytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::{Address, Payload};
use fvm_shared::{ActorID, MethodNum};
use serde::Deserialize;

use crate::address::EthAddress;

const CREATE: MethodNum = 2;
const CREATE2: MethodNum = 3;
const CREATE_EXTERNAL: MethodNum = 4;

/// The account actor's getter of its key address.
const PUBKEY_ADDRESS: MethodNum = 2;

entrypoint!(dispatch);

#[derive(Deserialize_tuple)]
struct CreateParams {
    #[serde(with = "strict_bytes")]
    initcode: Vec<u8>,
    nonce: u64,
}

#[derive(Deserialize_tuple)]
struct Create2Params {
    #[serde(with = "strict_bytes")]
    initcode: Vec<u8>,
    #[serde(with = "strict_bytes")]
    salt: [u8; 32],
}

#[derive(Deserialize)]
#[serde(transparent)]
struct CreateExternalParams(#[serde(with = "strict_bytes")] Vec<u8>);

fn dispatch(call: Call) -> Reply {
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        CREATE => create(call),
        CREATE2 => create2(call),
        CREATE_EXTERNAL => create_external(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn construct(call: Call) -> Reply {
    call.params.expect_none()?;
    if fvm_sdk::message::receiver() != ids::EAM {
        return Err(ActorError::forbidden("the Ethereum address manager is f010 and no other"));
    }
    caller::must_be(ids::SYSTEM)?;
    params::done()
}

/// The CREATE opcode of a contract.
fn create(call: Call) -> Reply {
    let CreateParams { initcode, nonce } = call.params.decode()?;
    caller::must_be_kind(Kind::Evm)?;
    let creator = eth_address_of(fvm_sdk::message::caller())?;
    deploy::deploy(creator, address::by_nonce(&creator, nonce), initcode)
}

/// The CREATE2 opcode of a contract.
fn create2(call: Call) -> Reply {
    let Create2Params { initcode, salt } = call.params.decode()?;
    caller::must_be_kind(Kind::Evm)?;
    let creator = eth_address_of(fvm_sdk::message::caller())?;
    deploy::deploy(creator, address::by_salt(&creator, &salt, &initcode), initcode)
}

/// A deployment from outside, by the account that signed the message.
fn create_external(call: Call) -> Reply {
    let CreateExternalParams(initcode) = call.params.decode()?;
    caller::must_be(fvm_sdk::message::origin())?;
    let Deployer { creator, seed } = deployer(fvm_sdk::message::caller())?;
    deploy::deploy(creator, address::by_nonce(&seed, fvm_sdk::message::nonce()), initcode)
}

/// Who deploys from outside: as the constructor sees it, and as the new address is computed from it. They differ for
/// key accounts: their id can change in a reorganisation, the hash of their key address cannot.
struct Deployer {
    creator: EthAddress,
    seed: EthAddress,
}

fn deployer(id: ActorID) -> Result<Deployer, ActorError> {
    let code = code_of(id).expect("a caller exists");
    match Kind::of_code(&code) {
        Some(Kind::EthAccount) => {
            let own = eth_address_of(id)?;
            Ok(Deployer { creator: own, seed: own })
        }
        Some(Kind::Account) => {
            let answer = ask(&Address::new_id(id), PUBKEY_ADDRESS, None)?;
            let block = answer.ok_or_else(|| ActorError::serialization("the account gave no address"))?;
            let key_address: Address = block.deserialize()?;
            Ok(Deployer { creator: address::of_id(id), seed: address::of_bytes(&key_address.to_bytes()) })
        }
        _ => Err(ActorError::forbidden(format!("f0{id} is no account: it may not deploy"))),
    }
}

/// The 20 bytes of an actor's f410 address.
fn eth_address_of(id: ActorID) -> Result<EthAddress, ActorError> {
    let own = fvm_sdk::actor::lookup_delegated_address(id);
    if let Some(Payload::Delegated(delegated)) = own.as_ref().map(Address::payload)
        && delegated.namespace() == ids::EAM
        && let Ok(bytes) = delegated.subaddress().try_into()
    {
        return Ok(EthAddress(bytes));
    }
    Err(ActorError::forbidden(format!("f0{id} has no Ethereum address")))
}
