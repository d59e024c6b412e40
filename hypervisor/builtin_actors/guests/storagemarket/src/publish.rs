//! Publishing deals: a provider brings what clients have signed. Deals that are not right are left out without a word;
//! the answer says which were taken.

use std::collections::BTreeMap;

use actor_runtime::kind::code_of;
use actor_runtime::send::send;
use actor_runtime::{ActorError, Call, Kind, Reply, address, key, params, state};
use frc42_dispatch::method_hash;
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{strict_bytes, to_vec};
use fvm_shared::address::Address;
use fvm_shared::deal::DealID;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use fvm_shared::{ActorID, MethodNum};

use crate::datacap::{self, Allocations};
use crate::deal::{self, Proposal, SignedProposal};
use crate::schedule;
use crate::state::{Deals, State};
use crate::validity::{self, Network};

const MINER_IS_CONTROLLING_ADDRESS: MethodNum = method_hash!("IsControllingAddress");
const MARKET_NOTIFY_DEAL: MethodNum = method_hash!("MarketNotifyDeal");

#[derive(Deserialize_tuple)]
struct PublishParams {
    deals: Vec<SignedProposal>,
}

#[derive(Serialize_tuple)]
struct PublishReturn {
    ids: Vec<DealID>,
    /// The places in the list of those that were taken.
    valid: BitField,
}

#[derive(Serialize_tuple)]
struct NotifyParams {
    #[serde(with = "strict_bytes")]
    proposal: Vec<u8>,
    deal: DealID,
}

/// What the deals taken so far bind.
#[derive(Default)]
struct Bound {
    by_client: BTreeMap<ActorID, TokenAmount>,
    by_provider: TokenAmount,
    allocations: Allocations,
}

pub fn publish(call: Call) -> Reply {
    let PublishParams { deals } = call.params.decode()?;
    let first = deals.first().ok_or_else(|| ActorError::illegal_argument("there are no deals"))?;
    let given_provider = first.proposal.provider;
    let provider = must_be_controlled(&given_provider)?;
    let network = Network::ask()?;
    // All clients are asked before the state is read: asking may lead anywhere.
    let valid: Vec<bool> = deals.iter().map(|deal| validity::is_valid(deal, &network).unwrap_or(false)).collect();

    let state: State = state::load()?;
    let book = state.load_deals()?;
    let mut bound = Bound::default();
    let (mut taken, mut places) = (Vec::<Proposal>::new(), BitField::default());
    for (place, deal) in deals.into_iter().enumerate() {
        let mut proposal = deal.proposal;
        if !valid[place] || ![given_provider, Address::new_id(provider)].contains(&proposal.provider) {
            continue;
        }
        let Some(client) = address::resolve(&proposal.client) else { continue };
        // From here on with id addresses, which is how the deal is kept, and what its CID is of.
        proposal.provider = Address::new_id(provider);
        proposal.client = Address::new_id(client);
        if can_be_taken(&proposal, &book, &mut bound, &taken)? {
            taken.push(proposal);
            places.set(place as u64);
        }
    }
    let allocations = bound.allocations.transfer()?;
    if taken.is_empty() {
        return Err(ActorError::illegal_argument("no deal is valid"));
    }
    let ids = keep(&taken, &allocations)?;
    for (proposal, id) in taken.iter().zip(&ids) {
        notify(proposal, *id)?;
    }
    params::reply(&PublishReturn { ids, valid: places })
}

/// The id of the provider, whose owner, worker or control address has to be calling.
fn must_be_controlled(provider: &Address) -> Result<ActorID, ActorError> {
    let id = address::resolve(provider);
    let id = id.ok_or_else(|| ActorError::not_found(format!("nobody has the address {provider}")))?;
    let code = code_of(id).ok_or_else(|| ActorError::not_found(format!("there is no actor f0{id}")))?;
    if Kind::of_code(&code) != Some(Kind::StorageMiner) {
        return Err(ActorError::illegal_argument(format!("f0{id} is no miner")));
    }
    let caller = Address::new_id(fvm_sdk::message::caller());
    let question = params::cbor(&caller)?;
    let answer = send(&Address::new_id(id), MINER_IS_CONTROLLING_ADDRESS, question, TokenAmount::default())?;
    if params::returned::<bool>(answer)? {
        return Ok(id);
    }
    Err(ActorError::forbidden(format!("{caller} does not control f0{id}")))
}

/// Whether both parties can pay for the deal on top of those taken before, and it is no double; if so it is bound.
fn can_be_taken(proposal: &Proposal, book: &Deals, bound: &mut Bound, taken: &[Proposal]) -> Result<bool, ActorError> {
    let client = proposal.client_id();
    let by_client = bound.by_client.get(&client).cloned().unwrap_or_default() + proposal.client_funds();
    let by_provider = &bound.by_provider + &proposal.provider_collateral;
    if !book.balances.covers(&proposal.client, &by_client)?
        || !book.balances.covers(&proposal.provider, &by_provider)?
        || is_double(proposal, book, taken)?
        || (proposal.verified && !bound.allocations.request(proposal)?)
    {
        return Ok(false);
    }
    bound.by_client.insert(client, by_client);
    bound.by_provider = by_provider;
    Ok(true)
}

fn is_double(proposal: &Proposal, book: &Deals, taken: &[Proposal]) -> Result<bool, ActorError> {
    let cid = proposal.cid()?;
    for other in taken {
        if other.cid()? == cid {
            return Ok(true);
        }
    }
    book.is_pending(proposal)
}

/// Writes the deals down, with the money locked; returns their ids.
fn keep(taken: &[Proposal], allocations: &datacap::Numbers) -> Result<Vec<DealID>, ActorError> {
    let mut state: State = state::load()?;
    let mut book = state.load_deals()?;
    let mut cycle = state.load_schedule()?;
    let mut ids = Vec::new();
    for proposal in taken {
        let id = state.next_deal;
        state.next_deal += 1;
        book.balances.lock_for(proposal, &mut book.totals)?;
        let cid = proposal.cid()?;
        book.pending.set(key::cid(&cid), ())?;
        book.proposals.set(id, proposal.clone())?;
        if let Some(allocation) = allocations.get(&cid) {
            book.keep_allocation(id, *allocation)?;
        }
        schedule::add(&mut cycle, schedule::place(id, proposal.start), id)?;
        ids.push(id);
    }
    state.save_deals(book)?;
    state.save_schedule(cycle)?;
    state::save(&state)?;
    Ok(ids)
}

/// A client that fails at the news undoes the whole publication: it may not know that it makes deals.
fn notify(proposal: &Proposal, deal: DealID) -> Result<(), ActorError> {
    let news = params::cbor(&NotifyParams { proposal: to_vec(proposal)?, deal })?;
    send(&proposal.client, MARKET_NOTIFY_DEAL, news, TokenAmount::default())
        .map_err(|error| ActorError::new(ExitCode::USR_ILLEGAL_ARGUMENT, error.message).during("telling the client"))?;
    deal::emit("deal-published", deal, proposal)
}
