//! Calls contracts as it is told, in each way that `contract_calls` has, and answers what came of it: for tests.
//!
//! | method  | parameters                                             | calls                                      |
//! |---------|--------------------------------------------------------|--------------------------------------------|
//! | Call    | `[contract, calldata, value, gas limit or 0, read-only]` | the contract with this calldata            |
//! | Greet   | `[contract, text]`                                     | `greet(string)`, by its types              |
//! | Method  | `[address, number, CBOR or nothing]`                   | the actor's method of this number          |
//! | Handler | `[contract, number, CBOR or nothing]`                  | the contract's `handle_filecoin_method`    |
//!
//! A contract is named by 20 bytes. The answer is `[outcome, number, data, words]`: the outcomes are those of the enum
//! below, the number is an exit code or an error number.

use actor_runtime::{ActorError, Call, Reply, entrypoint, ids, params, state};
use contract_calls::{CallError, Contract, EthAddress, U256, handler, sol};
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{CBOR, strict_bytes};
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;

const CALL: MethodNum = method_hash!("Call");
const GREET: MethodNum = method_hash!("Greet");
const METHOD: MethodNum = method_hash!("Method");
const HANDLER: MethodNum = method_hash!("Handler");

entrypoint!(dispatch);

sol! {
    interface IInbox {
        function greet(string text) external payable returns (uint256 greetings);
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Returned = 0,
    NotSent = 1,
    NoContract = 2,
    Reverted = 3,
    Exited = 4,
    Unreadable = 5,
}

#[derive(Serialize_tuple)]
struct Told {
    outcome: u64,
    number: u64,
    #[serde(with = "strict_bytes")]
    data: Vec<u8>,
    words: String,
}

#[derive(Deserialize_tuple)]
struct CallParams {
    contract: EthAddress,
    #[serde(with = "strict_bytes")]
    calldata: Vec<u8>,
    value: TokenAmount,
    gas_limit: u64,
    read_only: bool,
}

#[derive(Deserialize_tuple)]
struct GreetParams {
    contract: EthAddress,
    text: String,
}

#[derive(Deserialize_tuple)]
struct MethodParams {
    to: Address,
    number: u64,
    #[serde(with = "strict_bytes")]
    params: Vec<u8>,
}

#[derive(Deserialize_tuple)]
struct HandlerParams {
    contract: EthAddress,
    number: u64,
    #[serde(with = "strict_bytes")]
    params: Vec<u8>,
}

fn dispatch(call: Call) -> Reply {
    let found = match call.method {
        ids::CONSTRUCTOR => {
            state::create(&())?;
            return params::done();
        }
        CALL => by_calldata(call.params.decode()?),
        GREET => by_types(call.params.decode()?),
        METHOD => by_number(call.params.decode()?),
        HANDLER => by_handler(call.params.decode()?),
        unknown => return Err(ActorError::unknown_method(unknown)),
    };
    params::reply(&told(found))
}

fn by_calldata(wanted: CallParams) -> Result<Vec<u8>, CallError> {
    let mut contract = Contract::at(wanted.contract).with_value(wanted.value);
    if wanted.gas_limit > 0 {
        contract = contract.with_gas_limit(wanted.gas_limit);
    }
    if wanted.read_only {
        contract = contract.read_only();
    }
    contract.call_raw(&wanted.calldata)
}

fn by_types(wanted: GreetParams) -> Result<Vec<u8>, CallError> {
    let greetings: U256 = Contract::at(wanted.contract).call(&IInbox::greetCall { text: wanted.text })?;
    Ok(greetings.to_be_bytes_vec())
}

fn by_number(wanted: MethodParams) -> Result<Vec<u8>, CallError> {
    let answer = Contract::at_filecoin(wanted.to).method(wanted.number, block(wanted.params))?;
    Ok(answer.map(|block| block.data).unwrap_or_default())
}

fn by_handler(wanted: HandlerParams) -> Result<Vec<u8>, CallError> {
    let calldata = handler::encode_call(wanted.number, block(wanted.params).as_ref());
    let answer = handler::decode_return(&Contract::at(wanted.contract).call_raw(&calldata)?)?;
    Ok(answer.map(|block| block.data).unwrap_or_default())
}

fn block(data: Vec<u8>) -> Option<IpldBlock> {
    (!data.is_empty()).then_some(IpldBlock { codec: CBOR, data })
}

fn told(found: Result<Vec<u8>, CallError>) -> Told {
    let words = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let (outcome, number, data) = match found {
        Ok(data) => (Outcome::Returned, 0, data),
        Err(CallError::NotSent(number)) => (Outcome::NotSent, number as u64, vec![]),
        Err(CallError::NoContract) => (Outcome::NoContract, 0, vec![]),
        Err(CallError::Reverted(data)) => (Outcome::Reverted, 33, data),
        Err(CallError::Exited(code, data)) => (Outcome::Exited, code.value().into(), data),
        Err(CallError::Answer(_)) => (Outcome::Unreadable, 0, vec![]),
    };
    Told { outcome: outcome as u64, number, data, words }
}
