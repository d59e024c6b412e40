//! Ethereum's 20 bytes as Filecoin's addresses, and back as far as that needs no look-up.

use fvm_ipld_encoding::strict_bytes;
use fvm_shared::ActorID;
use fvm_shared::address::{Address, Payload};
use serde::{Deserialize, Serialize};

/// The f4 namespace of Ethereum's addresses: the id of the Ethereum address manager.
pub const EAM_NAMESPACE: ActorID = 10;

/// An Ethereum address; in CBOR a byte string.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EthAddress(#[serde(with = "strict_bytes")] pub [u8; 20]);

impl EthAddress {
    /// The masked ID of an actor: `ff`, eleven zeros, the id. A contract sees an actor by it that has no f410 address.
    pub fn masked(id: ActorID) -> Self {
        let mut bytes = [0; 20];
        bytes[0] = 0xff;
        bytes[12..].copy_from_slice(&id.to_be_bytes());
        Self(bytes)
    }

    /// The id in a masked ID.
    pub fn as_id(&self) -> Option<ActorID> {
        match self.0 {
            [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, id @ ..] => Some(u64::from_be_bytes(id)),
            _ => None,
        }
    }

    /// f0 of a masked ID, else f410.
    pub fn to_filecoin(self) -> Address {
        match self.as_id() {
            Some(id) => Address::new_id(id),
            None => Address::new_delegated(EAM_NAMESPACE, &self.0).expect("20 bytes are a legal subaddress"),
        }
    }

    /// Of an f410 address its bytes, of an f0 address the masked ID. Others say nothing without a look-up, and an f410
    /// address whose bytes look like a masked ID is not the actor of that id.
    pub fn from_filecoin(address: &Address) -> Option<Self> {
        match address.payload() {
            Payload::ID(id) => Some(Self::masked(*id)),
            Payload::Delegated(delegated) if delegated.namespace() == EAM_NAMESPACE => {
                let found = Self(delegated.subaddress().try_into().ok()?);
                found.as_id().is_none().then_some(found)
            }
            _ => None,
        }
    }
}

/// The same bytes in the type that `sol!` gives to `address`.
impl From<EthAddress> for alloy_sol_types::private::Address {
    fn from(address: EthAddress) -> Self {
        Self::from(address.0)
    }
}

impl From<alloy_sol_types::private::Address> for EthAddress {
    fn from(address: alloy_sol_types::private::Address) -> Self {
        Self(address.into_array())
    }
}
