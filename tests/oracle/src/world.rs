//! The chain around a case, and the reference machine that applies its messages.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use cid::Cid;
use fvm::call_manager::DefaultCallManager;
use fvm::engine::MultiEngine;
use fvm::executor::{ApplyFailure, ApplyKind, ApplyRet, DefaultExecutor, Executor};
use fvm::externs::{Chain, Consensus, Externs, Rand};
use fvm::machine::{DefaultMachine, NetworkConfig};
use fvm_shared::address::Address;
use fvm_shared::chainid::ChainID;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::consensus::{ConsensusFault, ConsensusFaultType};
use fvm_shared::econ::TokenAmount;
use fvm_shared::message::Message;
use fvm_shared::version::NetworkVersion;

use crate::kernel::{OracleKernel, Proofs, answer_proofs};
use crate::store::Layered;
use crate::time::processor_time;

/// The digest where a case records none.
pub const DEFAULT_RANDOMNESS: &[u8; 32] = b"i_am_random_____i_am_random_____";

/// What the chain answers when it is asked about a consensus fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    Error,
    Found { target: u64, epoch: ChainEpoch, kind: u32 },
}

/// The epoch's context and the chain's answers.
#[derive(Clone, Debug)]
pub struct World {
    pub epoch: ChainEpoch,
    pub timestamp: u64,
    pub chain_id: u64,
    pub base_fee: TokenAmount,
    pub circulating_supply: TokenAmount,
    /// Digests of the ticket chain (`chain`) and of the beacon; None: the chain has no answer.
    pub randomness: BTreeMap<(String, ChainEpoch), Option<[u8; 32]>>,
    pub tipsets: BTreeMap<ChainEpoch, Cid>,
    pub proofs: Proofs,
    pub fault: Fault,
}

impl World {
    fn digest(&self, kind: &str, epoch: ChainEpoch) -> Result<[u8; 32]> {
        let recorded = self.randomness.get(&(kind.to_owned(), epoch)).copied();
        recorded.unwrap_or(Some(*DEFAULT_RANDOMNESS)).with_context(|| format!("no {kind} randomness at {epoch}"))
    }
}

impl Externs for World {}

impl Rand for World {
    fn get_chain_randomness(&self, round: ChainEpoch) -> Result<[u8; 32]> {
        self.digest("chain", round)
    }

    fn get_beacon_randomness(&self, round: ChainEpoch) -> Result<[u8; 32]> {
        self.digest("beacon", round)
    }
}

impl Chain for World {
    fn get_tipset_cid(&self, epoch: ChainEpoch) -> Result<Cid> {
        self.tipsets.get(&epoch).copied().with_context(|| format!("no tipset at {epoch}"))
    }
}

impl Consensus for World {
    fn verify_consensus_fault(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<(Option<ConsensusFault>, i64)> {
        let Fault::Found { target, epoch, kind } = self.fault else {
            return if self.fault == Fault::None { Ok((None, 0)) } else { Err(anyhow!("the headers cannot be read")) };
        };
        let fault_type = match kind {
            1 => ConsensusFaultType::DoubleForkMining,
            2 => ConsensusFaultType::ParentGrinding,
            3 => ConsensusFaultType::TimeOffsetMining,
            _ => bail!("no consensus fault is of kind {kind}"),
        };
        Ok((Some(ConsensusFault { target: Address::new_id(target), epoch, fault_type }), 0))
    }
}

/// A message and how it is applied.
#[derive(Clone, Debug)]
pub struct Applied {
    pub message: Message,
    /// Length on chain in bytes, with the signature where one is carried.
    pub raw_length: usize,
    pub implicit: bool,
}

impl Applied {
    /// An explicit message, its length with a signature of 65 bytes for senders whose signatures are carried.
    pub fn explicit(message: Message) -> Self {
        let carried = matches!(message.from.protocol() as u8, 1 | 4);
        let raw_length = encoded(&message).len() + if carried { 69 } else { 0 };
        Self { message, raw_length, implicit: false }
    }

    pub fn implicit(message: Message) -> Self {
        Self { message, raw_length: 0, implicit: true }
    }
}

pub fn encoded(message: &Message) -> Vec<u8> {
    fvm_ipld_encoding::to_vec(message).expect("a message can always be encoded")
}

/// What came out: one answer for each message (an error is one that no receipt exists for), and the state root.
pub struct Outcome {
    pub answers: Vec<Result<ApplyRet, String>>,
    /// Processor time of each message's execution, which is on one thread.
    pub elapsed: Vec<Duration>,
    pub root: Cid,
    /// Of tipsets, the root of each one's receipts.
    pub receipts: Vec<Cid>,
}

impl Outcome {
    /// What comes after this.
    pub fn extend(&mut self, next: Self) {
        self.answers.extend(next.answers);
        self.elapsed.extend(next.elapsed);
        self.receipts.extend(next.receipts);
        self.root = next.root;
    }
}

type Machine = DefaultMachine<Layered, World>;
type Kernel = OracleKernel<DefaultCallManager<Machine>>;

/// Boots machines; compiled modules are kept from one to the next.
pub struct Reference {
    engines: MultiEngine,
}

impl Reference {
    pub fn new() -> Self {
        Self { engines: MultiEngine::new(1) }
    }

    /// Apply the messages one after the other on a fresh machine over `root`, and flush.
    pub fn apply(
        &self,
        version: u32,
        world: &World,
        store: &Layered,
        root: &Cid,
        messages: &[Applied],
        trace: bool,
    ) -> Result<Outcome> {
        self.apply_each(version, world, store, root, trace, |apply| {
            messages.iter().for_each(|applied| {
                apply(applied);
            });
            Ok(())
        })
    }

    /// The same for messages that depend on the answers: `work` gets what applies one, and its answer where there is one.
    pub fn apply_each(
        &self,
        version: u32,
        world: &World,
        store: &Layered,
        root: &Cid,
        trace: bool,
        work: impl FnOnce(&mut dyn FnMut(&Applied) -> Option<ApplyRet>) -> Result<()>,
    ) -> Result<Outcome> {
        let mut network = NetworkConfig::new(NetworkVersion::new(version));
        network.chain_id(ChainID::from(world.chain_id));
        let mut context = network.for_epoch(world.epoch, world.timestamp, *root);
        context.set_base_fee(world.base_fee.clone());
        context.set_circulating_supply(world.circulating_supply.clone());
        if trace {
            context.enable_tracing();
        }
        answer_proofs(world.proofs);
        let machine = Machine::new(&context, store.clone(), world.clone())?;
        let mut executor = DefaultExecutor::<Kernel>::new(self.engines.get(&network)?, machine)?;
        let (mut answers, mut elapsed) = (Vec::new(), Vec::new());
        work(&mut |applied| {
            let kind = if applied.implicit { ApplyKind::Implicit } else { ApplyKind::Explicit };
            let message = applied.message.clone();
            let start = processor_time();
            let answer = executor.execute_message(message, kind, applied.raw_length);
            elapsed.push(processor_time() - start);
            answers.push(answer.map_err(|error| format!("{error:#}")));
            answers.last().and_then(|answer| answer.as_ref().ok()).cloned()
        })?;
        Ok(Outcome { answers, elapsed, root: executor.flush()?, receipts: Vec::new() })
    }
}

/// Why a message failed, in the reference's words.
pub fn words(answer: &ApplyRet) -> Option<String> {
    match answer.failure_info.as_ref()? {
        ApplyFailure::PreValidation(words) => Some(words.clone()),
        failure => Some(failure.to_string()),
    }
}
