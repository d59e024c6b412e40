//! The state of Init: the address map, the next free id, and the network's name. The machine reads and writes this
//! layout too, when it resolves addresses and creates accounts by itself.

use actor_runtime::map::{self, Map};
#[cfg(feature = "m2-native")]
use actor_runtime::store;
use actor_runtime::{ActorError, ids, key};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::address::Address;

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct State {
    /// HAMT from address bytes (f1, f2, f3, f4; never f0) to actor id.
    address_map: Cid,
    next_id: ActorID,
    network_name: String,
    /// The code that was installed, a list in a block of its own.
    #[cfg(feature = "m2-native")]
    installed: Cid,
}

impl State {
    pub fn new(network_name: String) -> Result<Self, ActorError> {
        let address_map = map::empty::<ActorID>().flush()?;
        Ok(Self {
            address_map,
            next_id: ids::FIRST_FREE,
            network_name,
            #[cfg(feature = "m2-native")]
            installed: put_installed(&[])?,
        })
    }

    /// A new id, known by the robust address.
    pub fn assign(&mut self, robust: &Address) -> Result<ActorID, ActorError> {
        let mut addresses = map::load(&self.address_map)?;
        let id = self.take_id();
        insert_new(&mut addresses, robust, id)?;
        self.address_map = addresses.flush()?;
        Ok(id)
    }

    /// The id that the delegated address has, or a new one; and whether it had one. The robust address leads there too.
    pub fn assign_delegated(&mut self, robust: &Address, delegated: &Address) -> Result<(ActorID, bool), ActorError> {
        let mut addresses = map::load(&self.address_map)?;
        let known = addresses.get(&key::address(delegated))?.copied();
        let id = known.unwrap_or_else(|| self.take_id());
        if known.is_none() {
            addresses.set(key::address(delegated), id)?;
        }
        insert_new(&mut addresses, robust, id)?;
        self.address_map = addresses.flush()?;
        Ok((id, known.is_some()))
    }

    #[cfg(feature = "m2-native")]
    pub fn installed(&self) -> Result<Vec<Cid>, ActorError> {
        store::get_object(&self.installed)
    }

    #[cfg(feature = "m2-native")]
    pub fn set_installed(&mut self, codes: &[Cid]) -> Result<(), ActorError> {
        self.installed = put_installed(codes)?;
        Ok(())
    }

    fn take_id(&mut self) -> ActorID {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

/// An address is given once and for ever.
fn insert_new(addresses: &mut Map<ActorID>, address: &Address, id: ActorID) -> Result<(), ActorError> {
    if addresses.set_if_absent(key::address(address), id)? {
        return Ok(());
    }
    Err(ActorError::forbidden("the new actor's robust address is taken"))
}

#[cfg(feature = "m2-native")]
fn put_installed(codes: &[Cid]) -> Result<Cid, ActorError> {
    store::put_object(&codes)
}
