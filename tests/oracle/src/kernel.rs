//! The reference kernel, except that proofs of storage can be answered as a case says.
//!
//! Real verification needs the network's proof parameters. `Proofs::Real` still reaches the reference's own code, whose
//! checks before the mathematics refuse what is malformed.

use std::cell::Cell;

use ambassador::Delegate;
use anyhow::Result as AnyResult;
use fvm::call_manager::CallManager;
use fvm::kernel::filecoin::{DefaultFilecoinKernel, FilecoinKernel};
use fvm::kernel::prelude::*;
use fvm::kernel::{Result, default::DefaultKernel};
use fvm::syscalls::Linker;
use fvm_shared::consensus::ConsensusFault;
use fvm_shared::piece::PieceInfo;
use fvm_shared::sector::{
    AggregateSealVerifyProofAndInfos, RegisteredSealProof, ReplicaUpdateInfo, SealVerifyInfo, WindowPoStVerifyInfo,
};

/// What proofs of storage are answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proofs {
    Accept,
    Reject,
    Real,
}

thread_local!(static PROOFS: Cell<Proofs> = const { Cell::new(Proofs::Accept) });

/// Set the answer for the messages that this thread applies from now on.
pub fn answer_proofs(with: Proofs) {
    PROOFS.set(with);
}

#[derive(Delegate)]
#[delegate(IpldBlockOps, where = "C: CallManager")]
#[delegate(ActorOps, where = "C: CallManager")]
#[delegate(CryptoOps, where = "C: CallManager")]
#[delegate(DebugOps, where = "C: CallManager")]
#[delegate(EventOps, where = "C: CallManager")]
#[delegate(MessageOps, where = "C: CallManager")]
#[delegate(NetworkOps, where = "C: CallManager")]
#[delegate(RandomnessOps, where = "C: CallManager")]
#[delegate(SelfOps, where = "C: CallManager")]
#[delegate(SendOps<K>, generics = "K", where = "K: FilecoinKernel")]
#[delegate(UpgradeOps<K>, generics = "K", where = "K: FilecoinKernel")]
pub struct OracleKernel<C>(DefaultFilecoinKernel<C>);

impl<C: CallManager> OracleKernel<C> {
    /// The answer after the charge, or the reference's own.
    fn answer<T>(
        &self,
        charge: impl Fn(&PriceList) -> fvm::gas::GasCharge,
        answer: T,
        real: impl Fn() -> Result<T>,
    ) -> Result<T> {
        if PROOFS.get() == Proofs::Real {
            return real();
        }
        let manager = &self.0.0.call_manager;
        manager.charge_gas(charge(manager.price_list()))?.stop();
        Ok(answer)
    }
}

fn accepted() -> bool {
    PROOFS.get() == Proofs::Accept
}

impl<C: CallManager> FilecoinKernel for OracleKernel<C> {
    fn compute_unsealed_sector_cid(&self, proof_type: RegisteredSealProof, pieces: &[PieceInfo]) -> Result<Cid> {
        self.0.compute_unsealed_sector_cid(proof_type, pieces)
    }

    fn verify_post(&self, info: &WindowPoStVerifyInfo) -> Result<bool> {
        self.answer(|prices| prices.on_verify_post(info), accepted(), || self.0.verify_post(info))
    }

    fn verify_consensus_fault(&self, h1: &[u8], h2: &[u8], extra: &[u8]) -> Result<Option<ConsensusFault>> {
        self.0.verify_consensus_fault(h1, h2, extra)
    }

    fn batch_verify_seals(&self, infos: &[SealVerifyInfo]) -> Result<Vec<bool>> {
        if PROOFS.get() == Proofs::Real {
            return self.0.batch_verify_seals(infos);
        }
        let charge = |info| self.answer(|prices| prices.on_verify_seal(info), accepted(), || unreachable!());
        infos.iter().map(charge).collect()
    }

    fn verify_aggregate_seals(&self, aggregate: &AggregateSealVerifyProofAndInfos) -> Result<bool> {
        let price = |prices: &PriceList| prices.on_verify_aggregate_seals(aggregate);
        self.answer(price, accepted(), || self.0.verify_aggregate_seals(aggregate))
    }

    fn verify_replica_update(&self, replica: &ReplicaUpdateInfo) -> Result<bool> {
        let price = |prices: &PriceList| prices.on_verify_replica_update(replica);
        self.answer(price, accepted(), || self.0.verify_replica_update(replica))
    }

    fn total_fil_circ_supply(&self) -> Result<TokenAmount> {
        self.0.total_fil_circ_supply()
    }
}

impl<C: CallManager> Kernel for OracleKernel<C> {
    type CallManager = C;
    type Limiter = <DefaultKernel<C> as Kernel>::Limiter;

    fn into_inner(self) -> (C, BlockRegistry) {
        self.0.into_inner()
    }

    fn new(
        manager: C,
        blocks: BlockRegistry,
        caller: ActorID,
        actor_id: ActorID,
        method: MethodNum,
        value_received: TokenAmount,
        read_only: bool,
    ) -> Self {
        Self(DefaultFilecoinKernel::new(manager, blocks, caller, actor_id, method, value_received, read_only))
    }

    fn machine(&self) -> &C::Machine {
        self.0.machine()
    }

    fn limiter_mut(&mut self) -> &mut Self::Limiter {
        self.0.limiter_mut()
    }

    fn gas_available(&self) -> Gas {
        self.0.gas_available()
    }

    fn charge_gas(&self, name: &str, compute: Gas) -> Result<GasTimer> {
        self.0.charge_gas(name, compute)
    }
}

impl<K> SyscallHandler<K> for OracleKernel<K::CallManager>
where
    K: FilecoinKernel
        + ActorOps
        + SendOps
        + UpgradeOps
        + IpldBlockOps
        + CryptoOps
        + DebugOps
        + EventOps
        + MessageOps
        + NetworkOps
        + RandomnessOps
        + SelfOps,
{
    fn link_syscalls(linker: &mut Linker<K>) -> AnyResult<()> {
        DefaultFilecoinKernel::<K::CallManager>::link_syscalls(linker)
    }
}
