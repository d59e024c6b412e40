//! A case's state before, its world and its messages, put together step by step.

use std::collections::BTreeMap;
use std::sync::Arc;

use cid::Cid;
use fvm::state_tree::{ActorState, StateTree, StateTreeVersion};
use fvm_ipld_blockstore::Blockstore;
use fvm_ipld_encoding::{CborStore, DAG_CBOR, IPLD_RAW, RawBytes, to_vec};
use fvm_ipld_hamt::{BytesKey, Hamt};
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::message::Message;
use multihash_codetable::{Code, MultihashDigest};

use crate::bundles::Bundle;
use crate::car::Blocks;
use crate::guest::Guest;
use crate::kernel::Proofs;
use crate::keys;
use crate::store::Layered;
use crate::world::{Applied, Fault, World};

pub const SYSTEM: u64 = 0;
pub const INIT: u64 = 1;
pub const REWARD: u64 = 2;
pub const CRON: u64 = 3;
pub const EAM: u64 = 10;
pub const BURNT: u64 = 99;
/// An account with a secp256k1 key; sends the messages of most cases.
pub const ALICE: u64 = 100;
/// An account with a BLS key.
pub const BOB: u64 = 101;
/// An Ethereum account.
pub const CAROL: u64 = 102;
/// A placeholder that an Ethereum key owns.
pub const DAVE: u64 = 103;
/// The guest that most cases call.
pub const GUEST: u64 = 1000;
/// Where the init actor counts on.
pub const NEXT_ID: u64 = 2000;
pub const EPOCH: i64 = 5000;

/// Another set of messages on the same state, with its own answers.
pub struct Variant {
    pub id: String,
    pub messages: Vec<Applied>,
}

/// A case in the making.
pub struct Scene<'a> {
    pub bundle: &'a Bundle,
    pub version: u32,
    pub world: World,
    pub messages: Vec<Applied>,
    /// Messages that make the state before; they must succeed and are no part of the vector.
    pub setup: Vec<Applied>,
    /// The epoch at which that preparation happens, if it is another one.
    pub setup_epoch: Option<i64>,
    pub variants: Vec<Variant>,
    /// The gas limits to sweep over are derived from the last message's charges.
    pub sweep: bool,
    actors: BTreeMap<u64, ActorState>,
    addresses: Vec<(Address, u64)>,
    nonces: BTreeMap<u64, u64>,
    store: Layered,
}

impl<'a> Scene<'a> {
    /// The singletons that every case needs, and four people with money.
    pub fn new(bundle: &'a Bundle, version: u32) -> Self {
        let world = World {
            epoch: EPOCH,
            timestamp: 1_700_000_000,
            chain_id: 314,
            base_fee: TokenAmount::from_atto(100),
            circulating_supply: TokenAmount::from_whole(600_000_000),
            randomness: BTreeMap::new(),
            tipsets: BTreeMap::new(),
            proofs: Proofs::Accept,
            fault: Fault::None,
        };
        let mut scene = Self {
            bundle,
            version,
            world,
            messages: Vec::new(),
            setup: Vec::new(),
            setup_epoch: None,
            variants: Vec::new(),
            sweep: false,
            actors: BTreeMap::new(),
            addresses: Vec::new(),
            nonces: BTreeMap::new(),
            store: Layered::over(Arc::new(Blocks::new())),
        };
        let system_state = scene.block(&(bundle.data,));
        scene.actor(SYSTEM, bundle.code("system"), system_state, 0);
        scene.actor(REWARD, bundle.code("reward"), empty(), 0);
        scene.actor(EAM, bundle.code("eam"), empty(), 0);
        scene.account(BURNT, Address::new_id(BURNT), 0);
        scene.account(ALICE, keys::secp_address(1), 1_000_000);
        scene.account(BOB, keys::bls_address(1), 1_000_000);
        scene.delegated(CAROL, "ethaccount", keys::eth_address(0xCA), 1_000_000);
        scene.delegated(DAVE, "placeholder", keys::eth_address(0xDA), 1_000_000);
        scene
    }

    // --- the state before --------------------------------------------------------------------------------------

    pub fn actor(&mut self, id: u64, code: Cid, state: Cid, balance: u64) -> &mut Self {
        let balance = TokenAmount::from_whole(balance);
        self.actors.insert(id, ActorState::new(code, state, balance, 0, None));
        self
    }

    pub fn account(&mut self, id: u64, address: Address, balance: u64) -> &mut Self {
        let state = self.block(&(address,));
        self.actor(id, self.bundle.code("account"), state, balance);
        if address.id().is_err() {
            self.addresses.push((address, id));
        }
        self
    }

    pub fn delegated(&mut self, id: u64, name: &str, address: Address, balance: u64) -> &mut Self {
        self.actor(id, self.bundle.code(name), empty(), balance);
        self.change(id, |state| state.delegated_address = Some(address));
        self.addresses.push((address, id));
        self
    }

    /// An actor with a guest for code and an empty state.
    pub fn guest(&mut self, id: u64, guest: &Guest) -> &mut Self {
        self.code(id, &guest.build())
    }

    /// An actor with these bytes for code.
    pub fn code(&mut self, id: u64, module: &[u8]) -> &mut Self {
        let code = self.raw_block(module);
        self.actor(id, code, empty(), 0)
    }

    /// An official actor with its constructor's state not yet made.
    pub fn official(&mut self, id: u64, name: &str) -> &mut Self {
        self.actor(id, self.bundle.code(name), empty(), 0)
    }

    pub fn change(&mut self, id: u64, change: impl FnOnce(&mut ActorState)) -> &mut Self {
        change(self.actors.get_mut(&id).expect("the actor is there"));
        self
    }

    pub fn balance(&mut self, id: u64, atto: TokenAmount) -> &mut Self {
        self.change(id, |state| state.balance = atto)
    }

    pub fn remove(&mut self, id: u64) -> &mut Self {
        self.actors.remove(&id);
        self
    }

    /// Store a DAG-CBOR block.
    pub fn block(&mut self, value: &impl serde::Serialize) -> Cid {
        self.store.put_cbor(value, Code::Blake2b256).expect("memory takes everything")
    }

    pub fn raw_block(&mut self, data: &[u8]) -> Cid {
        self.keyed_block(IPLD_RAW, data)
    }

    /// Store bytes under a codec, whatever they are.
    pub fn keyed_block(&mut self, codec: u64, data: &[u8]) -> Cid {
        let cid = Cid::new_v1(codec, Code::Blake2b256.digest(data));
        self.store.put_keyed(&cid, data).expect("memory takes everything");
        cid
    }

    /// A module that the state leads to: a vector has no other blocks.
    pub fn hold(&mut self, module: &[u8]) -> Cid {
        let code = self.raw_block(module);
        self.keep(code);
        code
    }

    /// Have the state lead to code, as that of an actor that no case calls.
    pub fn keep(&mut self, code: Cid) {
        let id = 40_000 + self.actors.len() as u64;
        self.actor(id, code, empty(), 0);
    }

    /// The module that an actor was given.
    pub fn module_of(&self, id: u64) -> Vec<u8> {
        self.store.get(&self.actors[&id].code).expect("memory fails nobody").expect("the code is there")
    }

    /// Give an actor a state of these bytes.
    pub fn state(&mut self, id: u64, data: &[u8]) -> Cid {
        let state = self.keyed_block(DAG_CBOR, data);
        self.change(id, |actor| actor.state = state);
        state
    }

    // --- messages ----------------------------------------------------------------------------------------------

    /// A message with this scene's fees and a limit that is never reached.
    pub fn draft(&self, from: u64, to: Address, method: u64, params: &[u8]) -> Message {
        Message {
            version: 0,
            from: self.sender(from),
            to,
            sequence: self.nonces.get(&from).copied().unwrap_or(0),
            value: TokenAmount::from_atto(0),
            method_num: method,
            params: RawBytes::new(params.to_vec()),
            gas_limit: 10_000_000_000,
            gas_fee_cap: TokenAmount::from_atto(1000),
            gas_premium: TokenAmount::from_atto(200),
        }
    }

    /// Send an explicit message; its nonce is counted.
    pub fn send(&mut self, message: Message) -> &mut Self {
        if let Some((_, id)) = self.addresses.iter().find(|(address, _)| *address == message.from) {
            *self.nonces.entry(*id).or_default() = message.sequence + 1;
        }
        self.messages.push(Applied::explicit(message));
        self
    }

    /// Alice calls a method of an actor.
    pub fn call(&mut self, to: u64, method: u64, params: &[u8]) -> &mut Self {
        let message = self.draft(ALICE, Address::new_id(to), method, params);
        self.send(message)
    }

    /// Alice calls method 2 of the guest, with nothing.
    pub fn invoke(&mut self) -> &mut Self {
        self.call(GUEST, 2, &[])
    }

    /// A message of the system's own.
    pub fn implicit(&mut self, from: u64, to: u64, method: u64, params: &[u8]) -> &mut Self {
        let mut message = self.draft(from, Address::new_id(to), method, params);
        message.from = Address::new_id(from);
        self.messages.push(Applied::implicit(message));
        self
    }

    /// Give the last message another gas limit.
    pub fn gas_limit(&mut self, limit: u64) -> &mut Self {
        let mut message = self.messages.pop().expect("there is a message").message;
        message.gas_limit = limit;
        self.messages.push(Applied::explicit(message));
        self
    }

    /// The same state, other messages.
    pub fn variant(&mut self, id: impl Into<String>, messages: Vec<Applied>) -> &mut Self {
        self.variants.push(Variant { id: id.into(), messages });
        self
    }

    /// What was sent so far only prepares the state.
    pub fn settle(&mut self) -> &mut Self {
        self.setup.append(&mut self.messages);
        self
    }

    fn sender(&self, id: u64) -> Address {
        self.addresses.iter().find(|(_, known)| *known == id).map_or(Address::new_id(id), |(address, _)| *address)
    }

    // --- the end -----------------------------------------------------------------------------------------------

    /// The init actor with the names given so far; made at the end if nothing needs it earlier.
    pub fn init_actor(&mut self) -> &mut Self {
        let mut map: Hamt<_, u64> = Hamt::new_with_bit_width(self.store.clone(), 5);
        for (address, id) in &self.addresses {
            map.set(BytesKey(address.to_bytes()), *id).expect("memory takes everything");
        }
        let addresses = map.flush().expect("memory takes everything");
        let state = if cfg!(feature = "m2-native") {
            let installed = self.block(&Vec::<Cid>::new());
            self.block(&(addresses, NEXT_ID, "golden", installed))
        } else {
            self.block(&(addresses, NEXT_ID, "golden"))
        };
        self.actor(INIT, self.bundle.code("init"), state, 0)
    }

    /// Write the state tree: its root and all blocks.
    pub fn finish(&mut self) -> (Cid, Blocks) {
        if !self.actors.contains_key(&INIT) {
            self.init_actor();
        }
        let mut tree = StateTree::new(self.store.clone(), StateTreeVersion::V5).expect("version 5 is known");
        for (id, state) in &self.actors {
            tree.set_actor(*id, state.clone());
        }
        let root = tree.flush().expect("memory takes everything");
        empty_block(&self.store);
        (root, self.store.own_blocks())
    }
}

/// The CID of the empty array: a state that is nothing yet.
pub fn empty() -> Cid {
    fvm_shared::EMPTY_ARR_CID
}

fn empty_block(store: &Layered) {
    store.put_keyed(&empty(), &to_vec::<[(); 0]>(&[]).unwrap()).expect("memory takes everything");
}
