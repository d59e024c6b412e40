//! Questions that anybody may ask.

use actor_runtime::{Call, Reply, address, params};
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{BytesDe, strict_bytes};
use fvm_shared::address::Address;
use fvm_shared::bigint::{BigInt, bigint_ser};
use fvm_shared::econ::TokenAmount;

use crate::economy::{fault_fee, largest_termination_fee};
use crate::network;
use crate::state::State;
use crate::vesting::Fund;

#[derive(Serialize_tuple)]
struct ControlAddresses {
    owner: Address,
    worker: Address,
    control: Vec<Address>,
}

#[derive(Serialize_tuple)]
struct Owner {
    owner: Address,
    next: Option<Address>,
}

#[derive(Serialize_tuple)]
struct Vesting {
    funds: Vec<Fund>,
}

#[derive(Serialize_tuple)]
struct Peer {
    #[serde(with = "strict_bytes")]
    peer: Vec<u8>,
}

#[derive(Serialize_tuple)]
struct Multiaddrs {
    multiaddrs: Vec<BytesDe>,
}

#[derive(Deserialize_tuple)]
struct TerminationFeeParams {
    #[serde(with = "bigint_ser")]
    power: BigInt,
    pledge: TokenAmount,
}

pub fn control_addresses(call: Call) -> Reply {
    call.params.expect_none()?;
    let info = State::load()?.load_info()?;
    params::reply(&ControlAddresses { owner: info.owner, worker: info.worker, control: info.control })
}

pub fn owner(call: Call) -> Reply {
    call.params.expect_none()?;
    let info = State::load()?.load_info()?;
    params::reply(&Owner { owner: info.owner, next: info.next_owner })
}

/// Parameters: an address, bare. One that nobody has controls nothing.
pub fn is_controlling(call: Call) -> Reply {
    let asked: Address = call.params.decode()?;
    let Some(id) = address::resolve(&asked) else { return params::reply(&false) };
    let info = State::load()?.load_info()?;
    params::reply(&info.controlling().contains(&Address::new_id(id)))
}

pub fn sector_size(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&State::load()?.load_info()?.sector_size)
}

pub fn available_balance(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&State::load()?.available(&fvm_sdk::sself::current_balance())?)
}

pub fn vesting_funds(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&Vesting { funds: State::load()?.vesting.load()? })
}

pub fn peer(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&Peer { peer: State::load()?.load_info()?.peer })
}

pub fn multiaddrs(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&Multiaddrs { multiaddrs: State::load()?.load_info()?.multiaddrs })
}

/// The most that the early end of sectors with a power and a pledge can cost.
pub fn max_termination_fee(call: Call) -> Reply {
    let TerminationFeeParams { power, pledge } = call.params.decode()?;
    let network = network::ask()?;
    let fault_fee = fault_fee(&network.reward, &network.power, &power);
    params::reply(&largest_termination_fee(&pledge, &fault_fee))
}

pub fn initial_pledge(call: Call) -> Reply {
    call.params.expect_none()?;
    params::reply(&State::load()?.pledge)
}
