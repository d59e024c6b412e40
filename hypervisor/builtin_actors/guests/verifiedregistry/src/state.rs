//! The state of the verified registry: verifiers, allocations that wait for their pieces, and claims on stored ones.

use actor_runtime::nested::NestedMap;
use actor_runtime::{ActorError, key, map};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_hamt::BytesKey;
use fvm_shared::ActorID;
use fvm_shared::address::Address;
use fvm_shared::bigint::BigInt;
use fvm_shared::bigint::bigint_ser::BigIntDe;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::piece::PaddedPieceSize;
use fvm_shared::sector::SectorNumber;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct State {
    /// Who makes verifiers, as an id address.
    pub root: Address,
    /// HAMT from a verifier's id address to the bytes that it may still give away.
    verifiers: Cid,
    /// HAMT from verifier and client to the number of the next removal, so that no signature counts twice.
    removals: Cid,
    /// HAMT from client to a HAMT from number to allocation.
    allocations: Cid,
    next_allocation: u64,
    /// HAMT from provider to a HAMT from number to claim; a claim has its allocation's number.
    claims: Cid,
}

/// A client's wish to have a piece stored, paid with datacap.
#[derive(Clone, PartialEq, Serialize_tuple, Deserialize_tuple)]
pub struct Allocation {
    pub client: ActorID,
    pub provider: ActorID,
    pub data: Cid,
    pub size: PaddedPieceSize,
    pub term_min: ChainEpoch,
    pub term_max: ChainEpoch,
    /// The last epoch in which it can be claimed.
    pub expiration: ChainEpoch,
}

/// A provider's word that a piece is stored.
#[derive(Clone, PartialEq, Serialize_tuple, Deserialize_tuple)]
pub struct Claim {
    pub provider: ActorID,
    pub client: ActorID,
    pub data: Cid,
    pub size: PaddedPieceSize,
    pub term_min: ChainEpoch,
    pub term_max: ChainEpoch,
    pub term_start: ChainEpoch,
    pub sector: SectorNumber,
}

#[derive(Clone, PartialEq, Serialize_tuple, Deserialize_tuple)]
pub struct RemovalNumber {
    pub number: u64,
}

impl State {
    pub fn new(root: ActorID) -> Result<Self, ActorError> {
        let empty = map::empty::<BigIntDe>().flush()?;
        let root = Address::new_id(root);
        Ok(Self { root, verifiers: empty, removals: empty, allocations: empty, next_allocation: 1, claims: empty })
    }

    /// What a verifier may still give away; none if it is no verifier.
    pub fn allowance(&self, verifier: ActorID) -> Result<Option<BigInt>, ActorError> {
        let verifiers = map::load::<BigIntDe>(&self.verifiers)?;
        Ok(verifiers.get(&verifier_key(verifier))?.map(|BigIntDe(allowance)| allowance.clone()))
    }

    pub fn set_allowance(&mut self, verifier: ActorID, allowance: BigInt) -> Result<(), ActorError> {
        let mut verifiers = map::load(&self.verifiers)?;
        verifiers.set(verifier_key(verifier), BigIntDe(allowance))?;
        self.verifiers = verifiers.flush()?;
        Ok(())
    }

    pub fn remove_verifier(&mut self, verifier: ActorID) -> Result<(), ActorError> {
        let mut verifiers = map::load::<BigIntDe>(&self.verifiers)?;
        if verifiers.delete(&verifier_key(verifier))?.is_none() {
            return Err(ActorError::illegal_argument(format!("f0{verifier} is no verifier")));
        }
        self.verifiers = verifiers.flush()?;
        Ok(())
    }

    /// The number that a verifier's next word about a client has to carry; it is used up by this.
    pub fn use_removal(&mut self, verifier: ActorID, client: ActorID) -> Result<RemovalNumber, ActorError> {
        let mut removals = map::load::<RemovalNumber>(&self.removals)?;
        let mut pair = Address::new_id(verifier).to_bytes();
        pair.extend(Address::new_id(client).to_bytes());
        let pair = BytesKey(pair);
        let current = removals.get(&pair)?.cloned().unwrap_or(RemovalNumber { number: 0 });
        removals.set(pair, RemovalNumber { number: current.number + 1 })?;
        self.removals = removals.flush()?;
        Ok(current)
    }

    pub fn load_allocations(&self) -> Result<NestedMap<Allocation>, ActorError> {
        NestedMap::load(&self.allocations)
    }

    pub fn save_allocations(&mut self, allocations: NestedMap<Allocation>) -> Result<(), ActorError> {
        self.allocations = allocations.flush()?;
        Ok(())
    }

    /// Numbers a client's new allocations and keeps them.
    pub fn add_allocations(&mut self, client: ActorID, new: &[Allocation]) -> Result<Vec<u64>, ActorError> {
        let numbers: Vec<u64> = (self.next_allocation..).take(new.len()).collect();
        let mut allocations = self.load_allocations()?;
        for (number, allocation) in numbers.iter().zip(new) {
            allocations.under(key::unsigned(client))?.set(key::unsigned(*number), allocation.clone())?;
        }
        self.save_allocations(allocations)?;
        self.next_allocation += new.len() as u64;
        Ok(numbers)
    }

    pub fn load_claims(&self) -> Result<NestedMap<Claim>, ActorError> {
        NestedMap::load(&self.claims)
    }

    pub fn save_claims(&mut self, claims: NestedMap<Claim>) -> Result<(), ActorError> {
        self.claims = claims.flush()?;
        Ok(())
    }
}

fn verifier_key(verifier: ActorID) -> BytesKey {
    key::address(&Address::new_id(verifier))
}
