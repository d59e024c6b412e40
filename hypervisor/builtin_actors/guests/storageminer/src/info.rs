//! What rarely changes about a miner: who owns it, works for it and benefits from it, and the size of its sectors.

use actor_runtime::account::public_key;
use actor_runtime::kind::code_of;
use actor_runtime::{ActorError, Kind, address, caller};
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{BytesDe, strict_bytes};
use fvm_shared::ActorID;
use fvm_shared::address::{Address, Protocol};
use fvm_shared::clock::{ChainEpoch, EPOCH_UNDEFINED};
use fvm_shared::econ::TokenAmount;
use fvm_shared::sector::{RegisteredPoStProof, SectorSize};

const MOST_CONTROL_ADDRESSES: usize = 10;
/// Bytes.
const LONGEST_PEER: usize = 128;
const MOST_MULTIADDRS: usize = 1024;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct Info {
    /// All as id addresses.
    pub owner: Address,
    pub worker: Address,
    pub control: Vec<Address>,
    pub next_worker: Option<WorkerChange>,
    #[serde(with = "strict_bytes")]
    pub peer: Vec<u8>,
    pub multiaddrs: Vec<BytesDe>,
    pub proof: RegisteredPoStProof,
    pub sector_size: SectorSize,
    pub partition_sectors: u64,
    /// The last epoch in which the miner is shut out for a consensus fault.
    pub shut_out_until: ChainEpoch,
    pub next_owner: Option<Address>,
    pub beneficiary: Address,
    pub term: Term,
    pub next_beneficiary: Option<BeneficiaryChange>,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct WorkerChange {
    pub worker: Address,
    pub effective: ChainEpoch,
}

/// How much a beneficiary that is not the owner may withdraw, and until when.
#[derive(Clone, Default, Serialize_tuple, Deserialize_tuple)]
pub struct Term {
    pub quota: TokenAmount,
    pub used: TokenAmount,
    pub expiration: ChainEpoch,
}

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct BeneficiaryChange {
    pub beneficiary: Address,
    pub quota: TokenAmount,
    pub expiration: ChainEpoch,
    pub approved_by_beneficiary: bool,
    pub approved_by_nominee: bool,
}

impl Term {
    /// What is left to withdraw at an epoch, in attoFIL.
    pub fn left(&self, now: ChainEpoch) -> TokenAmount {
        if self.expiration > now { (&self.quota - &self.used).max(TokenAmount::default()) } else { Default::default() }
    }
}

impl Info {
    pub fn new(
        owner: ActorID,
        worker: ActorID,
        control: Vec<Address>,
        peer: Vec<u8>,
        multiaddrs: Vec<BytesDe>,
        proof: RegisteredPoStProof,
    ) -> Result<Self, ActorError> {
        Ok(Self {
            owner: Address::new_id(owner),
            worker: Address::new_id(worker),
            control,
            next_worker: None,
            peer,
            multiaddrs,
            proof,
            sector_size: proof.sector_size().map_err(ActorError::illegal_argument)?,
            partition_sectors: proof.window_post_partition_sectors().map_err(ActorError::illegal_argument)?,
            shut_out_until: EPOCH_UNDEFINED,
            next_owner: None,
            beneficiary: Address::new_id(owner),
            term: Term::default(),
            next_beneficiary: None,
        })
    }

    pub fn caller_must_be_owner(&self) -> Result<(), ActorError> {
        caller::must_be_one_of(&[self.owner])
    }

    /// Owner, worker and control addresses: all who may run the miner.
    pub fn caller_must_control(&self) -> Result<(), ActorError> {
        caller::must_be_one_of(&self.controlling())
    }

    pub fn controlling(&self) -> Vec<Address> {
        self.control.iter().chain(&[self.worker, self.owner]).copied().collect()
    }

    /// Puts a new worker into office when its time has come; whether anything has changed.
    pub fn take_over(&mut self, now: ChainEpoch) -> bool {
        match self.next_worker.take_if(|change| now >= change.effective) {
            Some(change) => {
                self.worker = change.worker;
                true
            }
            None => false,
        }
    }
}

pub fn check_control(control: &[Address]) -> Result<(), ActorError> {
    if control.len() > MOST_CONTROL_ADDRESSES {
        return Err(ActorError::illegal_argument(format!("more than {MOST_CONTROL_ADDRESSES} control addresses")));
    }
    Ok(())
}

pub fn check_peer(peer: &[u8]) -> Result<(), ActorError> {
    if peer.len() > LONGEST_PEER {
        return Err(ActorError::illegal_argument(format!("a peer id has at most {LONGEST_PEER} bytes")));
    }
    Ok(())
}

pub fn check_multiaddrs(multiaddrs: &[BytesDe]) -> Result<(), ActorError> {
    if multiaddrs.iter().any(|multiaddr| multiaddr.0.is_empty()) {
        return Err(ActorError::illegal_argument("a multiaddr is empty"));
    }
    if multiaddrs.iter().map(|multiaddr| multiaddr.0.len()).sum::<usize>() > MOST_MULTIADDRS {
        return Err(ActorError::illegal_argument(format!("multiaddrs have at most {MOST_MULTIADDRS} bytes together")));
    }
    Ok(())
}

/// The proofs of window PoSt that a miner may be made for.
pub fn check_proof(proof: RegisteredPoStProof) -> Result<(), ActorError> {
    use RegisteredPoStProof::*;
    match proof {
        StackedDRGWindow2KiBV1P1
        | StackedDRGWindow8MiBV1P1
        | StackedDRGWindow512MiBV1P1
        | StackedDRGWindow32GiBV1P1
        | StackedDRGWindow64GiBV1P1 => Ok(()),
        _ => Err(ActorError::illegal_argument("not a proof for new miners")),
    }
}

/// The id behind an address that has to exist already.
pub fn resolve(wanted: &Address) -> Result<ActorID, ActorError> {
    address::resolve(wanted).ok_or_else(|| ActorError::illegal_argument(format!("nobody has the address {wanted}")))
}

pub fn resolve_all(wanted: &[Address]) -> Result<Vec<Address>, ActorError> {
    wanted.iter().map(|address| Ok(Address::new_id(resolve(address)?))).collect()
}

/// The id of a worker: an account with a BLS key, since it signs lots with it.
pub fn resolve_worker(wanted: &Address) -> Result<ActorID, ActorError> {
    let id = resolve(wanted)?;
    let code = code_of(id).ok_or_else(|| ActorError::illegal_argument(format!("there is no actor f0{id}")))?;
    if Kind::of_code(&code) != Some(Kind::Account) {
        return Err(ActorError::illegal_argument(format!("the worker f0{id} is no account")));
    }
    if wanted.protocol() != Protocol::BLS && public_key(id)?.protocol() != Protocol::BLS {
        return Err(ActorError::illegal_argument(format!("the worker f0{id} has no BLS key")));
    }
    Ok(id)
}
