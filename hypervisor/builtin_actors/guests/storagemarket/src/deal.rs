//! Deals: what a client proposes and signs, and what becomes of it.

use actor_runtime::ActorError;
use actor_runtime::event::Event;
use cid::Cid;
use cid::multihash::Multihash;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{BytesSer, DAG_CBOR, to_vec};
use fvm_shared::ActorID;
use fvm_shared::address::Address;
use fvm_shared::clock::{ChainEpoch, EPOCH_UNDEFINED};
use fvm_shared::crypto::signature::Signature;
use fvm_shared::deal::DealID;
use fvm_shared::econ::TokenAmount;
use fvm_shared::piece::PaddedPieceSize;
use fvm_shared::sector::SectorNumber;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const BLAKE2B_256: u64 = 0xb220;

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Proposal {
    pub piece: Cid,
    pub size: PaddedPieceSize,
    /// Whether it is paid with datacap.
    pub verified: bool,
    pub client: Address,
    pub provider: Address,
    pub label: Label,
    /// The deal runs from here on; it has to be in a sector by then.
    pub start: ChainEpoch,
    pub end: ChainEpoch,
    pub price_per_epoch: TokenAmount,
    pub provider_collateral: TokenAmount,
    pub client_collateral: TokenAmount,
}

impl Proposal {
    pub fn duration(&self) -> ChainEpoch {
        self.end - self.start
    }

    pub fn price(&self) -> TokenAmount {
        &self.price_per_epoch * self.duration() as u64
    }

    /// What the client has to have.
    pub fn client_funds(&self) -> TokenAmount {
        &self.client_collateral + self.price()
    }

    /// The CID that stands for the proposal; nothing is stored under it.
    pub fn cid(&self) -> Result<Cid, ActorError> {
        let digest = fvm_sdk::crypto::hash_blake2b(&to_vec(self)?);
        Ok(Cid::new_v1(DAG_CBOR, Multihash::wrap(BLAKE2B_256, &digest).expect("32 bytes are a digest")))
    }

    /// The parties' ids, once the proposal is published.
    pub fn client_id(&self) -> ActorID {
        self.client.id().expect("a published deal has id addresses")
    }

    pub fn provider_id(&self) -> ActorID {
        self.provider.id().expect("a published deal has id addresses")
    }
}

#[derive(Deserialize_tuple)]
pub struct SignedProposal {
    pub proposal: Proposal,
    pub signature: Signature,
}

/// Of a deal that has been activated.
#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct DealState {
    pub sector: SectorNumber,
    pub activated: ChainEpoch,
    /// When it was last settled; -1 if never.
    pub last_updated: ChainEpoch,
    /// Always -1: deals that are cut short are removed at once.
    slashed: ChainEpoch,
}

impl DealState {
    pub fn activated_in(sector: SectorNumber) -> Self {
        let activated = fvm_sdk::network::curr_epoch();
        Self { sector, activated, last_updated: EPOCH_UNDEFINED, slashed: EPOCH_UNDEFINED }
    }

    pub fn is_never_updated(&self) -> bool {
        self.last_updated == EPOCH_UNDEFINED
    }
}

/// `kind`: deal-published, deal-activated, deal-completed, deal-terminated.
pub fn emit(kind: &str, deal: DealID, proposal: &Proposal) -> Result<(), ActorError> {
    Event::new(kind)
        .indexed("id", &deal)
        .indexed("client", &proposal.client_id())
        .indexed("provider", &proposal.provider_id())
        .emit()
}

/// What a client writes on a deal: text or bytes.
#[derive(Clone)]
pub enum Label {
    Text(String),
    Bytes(Vec<u8>),
}

impl Label {
    /// In bytes.
    pub fn length(&self) -> usize {
        match self {
            Label::Text(text) => text.len(),
            Label::Bytes(bytes) => bytes.len(),
        }
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Label::Text(text) => text.serialize(serializer),
            Label::Bytes(bytes) => BytesSer(bytes).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LabelVisitor)
    }
}

struct LabelVisitor;

impl Visitor<'_> for LabelVisitor {
    type Value = Label;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("text or bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Label, E> {
        Ok(Label::Text(text.to_string()))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Label, E> {
        Ok(Label::Bytes(bytes.to_vec()))
    }
}
