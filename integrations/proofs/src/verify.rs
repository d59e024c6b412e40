//! Verification by `filecoin-proofs-api`, with the network's numbers of proof types. Source: ref-fvm
//! fvm/src/kernel/filecoin.rs, fvm_shared sector/registered_proof.rs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{ensure, Context};
use filecoin_proofs::with_shape;
use filecoin_proofs_api::{
    post, seal, update, Commitment, ProverId, PublicReplicaInfo, RegisteredAggregationProof, RegisteredPoStProof,
    RegisteredSealProof, RegisteredUpdateProof, SectorId, Ticket,
};
use storage_proofs_core::merkle::MerkleTreeTrait;
use storage_proofs_core::parameter_cache::{parameter_cache_verifying_key_path, CacheableParameters};
use storage_proofs_update::constants::TreeRHasher;
use storage_proofs_update::{EmptySectorUpdateCompound, PublicParams};

use crate::parameters::{require_aggregation, require_key};

/// Verification could not decide.
pub enum Failure {
    /// Verifying keys are missing or altered: no proof of this type can be judged.
    Parameters(String),
    /// The input is not a proof.
    Proof(String),
}

type Verdict = Result<bool, Failure>;

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Proof(format!("{error:#}"))
    }
}

fn parameters(error: anyhow::Error) -> Failure {
    Failure::Parameters(format!("{error:#}"))
}

const SEALS: [RegisteredSealProof; 20] = {
    use RegisteredSealProof::*;
    [
        StackedDrg2KiBV1,
        StackedDrg8MiBV1,
        StackedDrg512MiBV1,
        StackedDrg32GiBV1,
        StackedDrg64GiBV1,
        StackedDrg2KiBV1_1,
        StackedDrg8MiBV1_1,
        StackedDrg512MiBV1_1,
        StackedDrg32GiBV1_1,
        StackedDrg64GiBV1_1,
        StackedDrg2KiBV1_1_Feat_SyntheticPoRep,
        StackedDrg8MiBV1_1_Feat_SyntheticPoRep,
        StackedDrg512MiBV1_1_Feat_SyntheticPoRep,
        StackedDrg32GiBV1_1_Feat_SyntheticPoRep,
        StackedDrg64GiBV1_1_Feat_SyntheticPoRep,
        StackedDrg2KiBV1_2_Feat_NonInteractivePoRep,
        StackedDrg8MiBV1_2_Feat_NonInteractivePoRep,
        StackedDrg512MiBV1_2_Feat_NonInteractivePoRep,
        StackedDrg32GiBV1_2_Feat_NonInteractivePoRep,
        StackedDrg64GiBV1_2_Feat_NonInteractivePoRep,
    ]
};
const FIRST_NON_INTERACTIVE: usize = 15;
const WINNING: [RegisteredPoStProof; 5] = {
    use RegisteredPoStProof::*;
    [
        StackedDrgWinning2KiBV1,
        StackedDrgWinning8MiBV1,
        StackedDrgWinning512MiBV1,
        StackedDrgWinning32GiBV1,
        StackedDrgWinning64GiBV1,
    ]
};
/// Window proofs of type 10 (V1P1 of the network) and above; the syscall refuses types 5 to 9.
const WINDOW: [RegisteredPoStProof; 5] = {
    use RegisteredPoStProof::*;
    [
        StackedDrgWindow2KiBV1_2,
        StackedDrgWindow8MiBV1_2,
        StackedDrgWindow512MiBV1_2,
        StackedDrgWindow32GiBV1_2,
        StackedDrgWindow64GiBV1_2,
    ]
};
const FIRST_WINDOW: usize = 10;
const AGGREGATES: [RegisteredAggregationProof; 2] =
    [RegisteredAggregationProof::SnarkPackV1, RegisteredAggregationProof::SnarkPackV2];
const UPDATES: [RegisteredUpdateProof; 5] = {
    use RegisteredUpdateProof::*;
    [StackedDrg2KiBV1, StackedDrg8MiBV1, StackedDrg512MiBV1, StackedDrg32GiBV1, StackedDrg64GiBV1]
};

/// A sector of a seal or an aggregate.
pub struct Sector {
    pub number: u64,
    pub replica: Commitment,
    pub data: Commitment,
    pub ticket: Ticket,
    pub seed: Ticket,
}

/// Verify a seal.
pub fn seal(seal_type: usize, prover: ProverId, sector: &Sector, proof: &[u8]) -> Verdict {
    let kind = *SEALS.get(seal_type).context("unknown seal type")?;
    require_key(&kind.cache_verifying_key_path()?).map_err(parameters)?;
    if seal_type >= FIRST_NON_INTERACTIVE {
        require_aggregation().map_err(parameters)?;
    }
    let Sector { number, replica, data, ticket, seed } = *sector;
    Ok(seal::verify_seal(kind, replica, data, prover, SectorId::from(number), ticket, seed, proof)?)
}

/// Verify an aggregate of seals.
pub fn aggregate(
    seal_type: usize,
    aggregate_type: usize,
    prover: ProverId,
    sectors: &[Sector],
    proof: Vec<u8>,
) -> Verdict {
    let kind = *SEALS.get(seal_type).context("unknown seal type")?;
    let aggregation = *AGGREGATES.get(aggregate_type).context("unknown aggregate type")?;
    require_key(&kind.cache_verifying_key_path()?).map_err(parameters)?;
    require_aggregation().map_err(parameters)?;
    let mut inputs = Vec::new();
    for Sector { number, replica, data, ticket, seed } in sectors {
        let number = SectorId::from(*number);
        inputs.extend(seal::get_seal_inputs(kind, *replica, *data, prover, number, *ticket, *seed)?);
    }
    let replicas: Vec<_> = sectors.iter().map(|sector| sector.replica).collect();
    let seeds: Vec<_> = sectors.iter().map(|sector| sector.seed).collect();
    Ok(seal::verify_aggregate_seal_commit_proofs(kind, aggregation, proof, &replicas, &seeds, inputs)?)
}

/// Verify a window proof of spacetime; `post_type` is that of all proofs.
pub fn window(
    post_type: usize,
    randomness: [u8; 32],
    proofs: &[Vec<u8>],
    sectors: &[(u64, Commitment)],
    prover: ProverId,
) -> Verdict {
    let kind = *post_type.checked_sub(FIRST_WINDOW).and_then(|at| WINDOW.get(at)).context("unknown window type")?;
    require_key(&kind.cache_verifying_key_path()?).map_err(parameters)?;
    let proofs: Vec<_> = proofs.iter().map(|proof| (kind, proof.as_slice())).collect();
    Ok(post::verify_window_post(&of_the_field(randomness), &proofs, &replicas(kind, sectors), prover)?)
}

/// Verify a winning proof of spacetime, with the sectors that the randomness selects.
pub fn winning(
    post_type: usize,
    randomness: [u8; 32],
    proof: &[u8],
    sectors: &[(u64, Commitment)],
    prover: ProverId,
) -> Verdict {
    let kind = *WINNING.get(post_type).context("unknown winning type")?;
    require_key(&kind.cache_verifying_key_path()?).map_err(parameters)?;
    Ok(post::verify_winning_post(&of_the_field(randomness), proof, &replicas(kind, sectors), prover)?)
}

/// Verify the update of a replica.
pub fn replica_update(update_type: usize, old: Commitment, new: Commitment, data: Commitment, proof: &[u8]) -> Verdict {
    let kind = *UPDATES.get(update_type).context("unknown update type")?;
    let key = with_shape!(u64::from(kind.sector_size()), update_key, kind.sector_size().into());
    require_key(&key).map_err(parameters)?;
    Ok(update::verify_empty_sector_update_proof(kind, proof, old, new, data)?)
}

/// Return the path of the key for updates; the method of `RegisteredUpdateProof` returns that of seals.
fn update_key<Tree: 'static + MerkleTreeTrait<Hasher = TreeRHasher>>(sector_size: u64) -> PathBuf {
    let parameters = PublicParams::from_sector_size(sector_size);
    parameter_cache_verifying_key_path(&EmptySectorUpdateCompound::<Tree>::cache_identifier(&parameters))
}

/// Return the positions of the sectors that a winning proof is about, in a list of `count` sectors.
pub fn winning_challenge(
    post_type: usize,
    randomness: [u8; 32],
    count: u64,
    prover: ProverId,
) -> Result<Vec<u64>, Failure> {
    let kind = *WINNING.get(post_type).context("unknown winning type")?;
    let check = || -> anyhow::Result<Vec<u64>> {
        ensure!(count > 0, "no sectors");
        post::generate_winning_post_sector_challenge(kind, &of_the_field(randomness), count, prover)
    };
    Ok(check()?)
}

/// Clear two bits of randomness, so that it is an element of the proofs' field, as the network does.
fn of_the_field(mut randomness: [u8; 32]) -> [u8; 32] {
    randomness[31] &= 0x3f;
    randomness
}

/// Repeated numbers count once, with the last commitment, as in ref-fvm.
fn replicas(kind: RegisteredPoStProof, sectors: &[(u64, Commitment)]) -> BTreeMap<SectorId, PublicReplicaInfo> {
    sectors.iter().map(|(number, replica)| (SectorId::from(*number), PublicReplicaInfo::new(kind, *replica))).collect()
}
