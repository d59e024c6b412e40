//! A price oracle: reporters send prices to this native actor, the median of a round goes to contracts.
//!
//! | method      | parameters                                   | who      | returns                        |
//! |-------------|----------------------------------------------|----------|--------------------------------|
//! | Constructor | `[[reporter address, ...], quorum]`          | Init     | nothing                        |
//! | Subscribe   | 20 bytes, the contract's Ethereum address    | reporter | nothing                        |
//! | Report      | `[round, price]`                             | reporter | whether this closed the round  |
//! | Latest      | none                                         | anyone   | `[round, price]`               |
//! | InvokeEVM   | calldata of `IPriceOracle`                   | anyone   | as a contract would            |
//!
//! Prices are integers in units of the deployer's choice, rounds are numbered from 1. The round's price is saved before
//! it is pushed: a contract that asks back in the middle of a push gets the new one. A contract that refuses a push
//! cannot hold up the others; the refusal becomes an event.

mod round;

use actor_runtime::event::Event;
use actor_runtime::{ActorError, Call, Reply, caller, entrypoint, ids, params, state};
use contract_calls::serve::{self, INVOKE_EVM, REVERTED};
use contract_calls::{CallError, Contract, EthAddress, I256, SolInterface, sol};
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::error::ExitCode;
use fvm_shared::{ActorID, MethodNum};

use crate::round::Rounds;

const SUBSCRIBE: MethodNum = method_hash!("Subscribe");
const REPORT: MethodNum = method_hash!("Report");
const LATEST: MethodNum = method_hash!("Latest");

/// Gas of one push: no subscriber can use up what the others need.
const PUSH_GAS: u64 = 200_000_000;
const MOST_SUBSCRIBERS: usize = 16;

entrypoint!(dispatch);

sol! {
    /// What contracts that want prices have.
    interface IPriceFeed {
        error StaleRound(uint64 latest);
        function update(uint64 round, int256 price) external returns (bool changed);
    }

    /// What contracts see of this actor.
    interface IPriceOracle {
        error NoPriceYet();
        function latest() external view returns (uint64 round, int256 price);
    }
}

#[derive(Serialize_tuple, Deserialize_tuple)]
struct State {
    reporters: Vec<ActorID>,
    subscribers: Vec<EthAddress>,
    rounds: Rounds,
}

#[derive(Deserialize_tuple)]
struct ConstructorParams {
    reporters: Vec<Address>,
    quorum: u64,
}

#[derive(Deserialize_tuple)]
struct ReportParams {
    round: u64,
    price: i64,
}

fn dispatch(call: Call) -> Reply {
    match call.method {
        ids::CONSTRUCTOR => construct(call),
        SUBSCRIBE => subscribe(call),
        REPORT => report(call),
        LATEST => latest(call),
        INVOKE_EVM => serve_contracts(call),
        unknown => Err(ActorError::unknown_method(unknown)),
    }
}

fn construct(call: Call) -> Reply {
    let ConstructorParams { reporters, quorum } = call.params.decode()?;
    caller::must_be(ids::INIT)?;
    let mut known = Vec::new();
    for address in &reporters {
        let id = fvm_sdk::actor::resolve_address(address)
            .ok_or_else(|| ActorError::illegal_argument(format!("there is no reporter {address}")))?;
        if !known.contains(&id) {
            known.push(id);
        }
    }
    if quorum == 0 || quorum > known.len() as u64 {
        return Err(ActorError::illegal_argument(format!("a quorum of {quorum} among {} reporters", known.len())));
    }
    state::create(&State { reporters: known, subscribers: Vec::new(), rounds: Rounds::new(quorum) })?;
    params::done()
}

fn subscribe(call: Call) -> Reply {
    let contract: EthAddress = call.params.decode()?;
    let (mut state, _) = load_for_reporter()?;
    if state.subscribers.len() == MOST_SUBSCRIBERS {
        return Err(ActorError::forbidden(format!("there are {MOST_SUBSCRIBERS} subscribers already")));
    }
    if !state.subscribers.contains(&contract) {
        state.subscribers.push(contract);
    }
    state::save(&state)?;
    params::done()
}

fn report(call: Call) -> Reply {
    let ReportParams { round, price } = call.params.decode()?;
    let (mut state, reporter) = load_for_reporter()?;
    let closed = state.rounds.report(reporter, round, price)?;
    state::save(&state)?;
    if let Some(median) = closed {
        Event::new("price").indexed("round", &round).field("price", &median).emit()?;
        for contract in &state.subscribers {
            push(contract, round, median)?;
        }
    }
    params::reply(&closed.is_some())
}

/// One contract is told. What it says is not this actor's business, what it does with its gas neither.
fn push(contract: &EthAddress, round: u64, price: i64) -> Result<(), ActorError> {
    let update = IPriceFeed::updateCall { round, price: I256::unchecked_from(price) };
    let told = Contract::at(*contract).with_gas_limit(PUSH_GAS).call(&update);
    let refused = match told {
        Ok(_) => return Ok(()),
        Err(error) => words(&error),
    };
    Event::new("push-refused").indexed("round", &round).field("contract", contract).field("why", &refused).emit()
}

/// The feed's own error is known here by its type; all others say of themselves what they can.
fn words(error: &CallError) -> String {
    match error.custom::<IPriceFeed::StaleRound>() {
        Some(stale) => format!("the contract is at round {} already", stale.latest),
        None => error.to_string(),
    }
}

fn latest(call: Call) -> Reply {
    call.params.expect_none()?;
    match state::load::<State>()?.rounds.latest() {
        Some(found) => params::reply(&found),
        None => Err(ActorError::not_found("there is no price yet")),
    }
}

/// Calls of contracts, written in Solidity as `IPriceOracle(oracle).latest()`.
fn serve_contracts(call: Call) -> Reply {
    let calldata = serve::calldata(call.params.block())
        .ok_or_else(|| ActorError::serialization("InvokeEVM takes calldata, one byte string"))?;
    match IPriceOracle::IPriceOracleCalls::abi_decode_validate(&calldata) {
        Ok(IPriceOracle::IPriceOracleCalls::latest(_)) => match state::load::<State>()?.rounds.latest() {
            Some((round, price)) => {
                let answer = IPriceOracle::latestReturn { round, price: I256::unchecked_from(price) };
                Ok(Some(serve::answer::<IPriceOracle::latestCall>(&answer)))
            }
            None => Err(reverted(serve::revert(&IPriceOracle::NoPriceYet {}), "there is no price yet")),
        },
        Err(_) => Err(reverted(serve::revert_with("no such function"), "calldata of no function of IPriceOracle")),
    }
}

fn reverted(data: IpldBlock, message: &str) -> ActorError {
    ActorError { code: REVERTED, message: message.to_string(), data: Some(data) }
}

fn load_for_reporter() -> Result<(State, ActorID), ActorError> {
    let state: State = state::load()?;
    let caller = fvm_sdk::message::caller();
    if state.reporters.contains(&caller) {
        return Ok((state, caller));
    }
    Err(ActorError::new(ExitCode::USR_FORBIDDEN, format!("f0{caller} is no reporter")))
}
