//! Verified deals: the client's datacap is moved to the verified registry, which makes allocations for it.

use std::collections::BTreeMap;

use actor_runtime::batch::Batch;
use actor_runtime::policy::{DAY, MAXIMUM_VERIFIED_EXPIRATION, MAXIMUM_VERIFIED_TERM};
use actor_runtime::send::send;
use actor_runtime::{ActorError, ids, params};
use cid::Cid;
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::RawBytes;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use fvm_shared::piece::PaddedPieceSize;
use fvm_shared::{ActorID, MethodNum};

use crate::deal::Proposal;

const BALANCE: MethodNum = method_hash!("Balance");
const TRANSFER_FROM: MethodNum = method_hash!("TransferFrom");

/// How much longer than the deal a claim may run.
const TERM_BUFFER: ChainEpoch = 90 * DAY;

/// Allocation numbers by the CID of the proposal.
pub type Numbers = BTreeMap<Cid, u64>;

#[derive(Serialize_tuple)]
struct AllocationRequest {
    provider: ActorID,
    data: Cid,
    size: PaddedPieceSize,
    term_min: ChainEpoch,
    term_max: ChainEpoch,
    expiration: ChainEpoch,
}

#[derive(Serialize_tuple)]
struct Requests<'a> {
    allocations: &'a [AllocationRequest],
    extensions: [(); 0],
}

#[derive(Serialize_tuple)]
struct TransferParams {
    from: Address,
    to: Address,
    amount: TokenAmount,
    operator_data: RawBytes,
}

#[derive(Deserialize_tuple)]
struct TransferReturn {
    _from_balance: TokenAmount,
    _to_balance: TokenAmount,
    _allowance: TokenAmount,
    recipient_data: RawBytes,
}

/// What the registry answers.
#[derive(Deserialize_tuple)]
struct Allocated {
    _allocations: Batch,
    _extensions: Batch,
    new_allocations: Vec<u64>,
}

/// The requests of each client, and the datacap that it has left after them.
#[derive(Default)]
pub struct Allocations {
    left: BTreeMap<ActorID, TokenAmount>,
    requests: BTreeMap<ActorID, Vec<(Cid, AllocationRequest)>>,
}

impl Allocations {
    /// Asks for an allocation; false if the client's datacap does not reach.
    pub fn request(&mut self, proposal: &Proposal) -> Result<bool, ActorError> {
        let client = proposal.client_id();
        let left = match self.left.get(&client) {
            Some(left) => left.clone(),
            None => balance(client)?,
        };
        let needed = TokenAmount::from_whole(proposal.size.0 as i64);
        let enough = left >= needed;
        self.left.insert(client, if enough { left - needed } else { left });
        if enough {
            self.requests.entry(client).or_default().push((proposal.cid()?, request(proposal)));
        }
        Ok(enough)
    }

    /// Moves the datacap, once for each client; that fails only if something is wrong.
    pub fn transfer(self) -> Result<Numbers, ActorError> {
        let mut numbers = Numbers::new();
        for (client, requests) in self.requests {
            let (cids, requests): (Vec<Cid>, Vec<AllocationRequest>) = requests.into_iter().unzip();
            let allocated = transfer_from(client, &requests)
                .map_err(|error| ActorError::new(ExitCode::USR_ILLEGAL_STATE, error.message))?;
            if allocated.len() != cids.len() {
                return Err(ActorError::illegal_state("the registry has not made an allocation for each request"));
            }
            numbers.extend(cids.into_iter().zip(allocated));
        }
        Ok(numbers)
    }
}

fn request(proposal: &Proposal) -> AllocationRequest {
    let term_min = proposal.duration();
    let now = fvm_sdk::network::curr_epoch();
    AllocationRequest {
        provider: proposal.provider_id(),
        data: proposal.piece,
        size: proposal.size,
        term_min,
        term_max: (term_min + TERM_BUFFER).min(MAXIMUM_VERIFIED_TERM),
        expiration: proposal.start.min(now + MAXIMUM_VERIFIED_EXPIRATION),
    }
}

fn balance(client: ActorID) -> Result<TokenAmount, ActorError> {
    let owner = params::cbor(&Address::new_id(client))?;
    let answer = send(&Address::new_id(ids::DATACAP), BALANCE, owner, TokenAmount::default());
    answer
        .and_then(params::returned)
        .map_err(|error| ActorError::not_found(error.message).during("asking for the client's datacap"))
}

fn transfer_from(client: ActorID, requests: &[AllocationRequest]) -> Result<Vec<u64>, ActorError> {
    let bytes: u64 = requests.iter().map(|request| request.size.0).sum();
    let order = TransferParams {
        from: Address::new_id(client),
        to: Address::new_id(ids::VERIFIED_REGISTRY),
        amount: TokenAmount::from_whole(bytes),
        operator_data: RawBytes::serialize(Requests { allocations: requests, extensions: [] })?,
    };
    let token = Address::new_id(ids::DATACAP);
    let answer = send(&token, TRANSFER_FROM, params::cbor(&order)?, TokenAmount::default())?;
    let TransferReturn { recipient_data, .. } = params::returned(answer)?;
    let allocated: Allocated = recipient_data.deserialize()?;
    Ok(allocated.new_allocations)
}
