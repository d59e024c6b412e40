//! Seals two sectors of 2 KiB and proves them, with parameters that it generates: the input of the tests.
//!
//! Usage: cargo run --release --example sector -- FOLDER [KIND ...]. The kinds are winning, window, update, seals and
//! aggregate, by default all. Each is written to FOLDER/KIND.json, with its parameters in FOLDER/parameters; files that
//! exist are kept. These parameters are for tests only: whoever generated them can forge proofs.

use std::collections::BTreeMap;
use std::fs::{create_dir_all, write, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use filecoin_proofs::constants::{DefaultPieceHasher, SectorShape2KiB, SECTOR_SIZE_2_KIB};
use filecoin_proofs::parameters::{public_params, window_post_public_params, winning_post_public_params};
use filecoin_proofs_api::{
    post, seal, update, PieceInfo, PrivateReplicaInfo, ProverId, RegisteredAggregationProof, RegisteredPoStProof,
    RegisteredSealProof, RegisteredUpdateProof, SectorId, UnpaddedBytesAmount,
};
use rand::rngs::OsRng;
use serde_json::{json, Value};
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_porep::stacked::StackedCompound;
use storage_proofs_post::fallback::FallbackPoStCompound;
use storage_proofs_update::{EmptySectorUpdateCompound, PublicParams};

type Tree = SectorShape2KiB;

const SEAL: RegisteredSealProof = RegisteredSealProof::StackedDrg2KiBV1_1;
const WINDOW: RegisteredPoStProof = RegisteredPoStProof::StackedDrgWindow2KiBV1_2;
const WINNING: RegisteredPoStProof = RegisteredPoStProof::StackedDrgWinning2KiBV1;
const UPDATE: RegisteredUpdateProof = RegisteredUpdateProof::StackedDrg2KiBV1;
const UNPADDED: usize = 2048 / 128 * 127;
const MINER: u64 = 1000;
const TICKET: [u8; 32] = [1; 32];
const SEED: [u8; 32] = [2; 32];
const RANDOMNESS: [u8; 32] = [3; 32];
/// Maximum number of proofs in an aggregate with the generated parameters.
const AGGREGATED: usize = 4;

struct Sealed {
    number: u64,
    staged: PieceInfo,
    sealed: PathBuf,
    cache: PathBuf,
    output: seal::SealPreCommitPhase2Output,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("usage: sector FOLDER [KIND ...]")?);
    let mut kinds: Vec<String> = arguments.collect();
    if kinds.is_empty() {
        kinds = ["winning", "window", "update", "seals", "aggregate"].map(String::from).to_vec();
    }
    let parameters = folder.join("parameters");
    create_dir_all(&parameters)?;
    std::env::set_var("FIL_PROOFS_PARAMETER_CACHE", &parameters);
    std::env::set_var("FIL_PROOFS_CACHE_DIR", format!("{}/", folder.display()));
    let prover = prover_id(MINER);
    let sectors = [seal_sector(&folder, 7, prover)?, seal_sector(&folder, 8, prover)?];
    for kind in kinds {
        let file = folder.join(format!("{kind}.json"));
        if file.exists() {
            continue;
        }
        let proof = match kind.as_str() {
            "winning" => winning_post(&sectors, prover)?,
            "window" => window_post(&sectors, prover)?,
            "update" => replica_update(&folder, &sectors[0])?,
            "seals" => json!(seals(&sectors, prover)?.iter().map(|proof| hex(proof)).collect::<Vec<_>>()),
            "aggregate" => json!(hex(&aggregate(&folder, &sectors)?)),
            other => bail!("unknown kind of proof: {other}"),
        };
        let sample = json!({
            "miner": MINER,
            "ticket": hex(&TICKET),
            "seed": hex(&SEED),
            "randomness": hex(&RANDOMNESS),
            "sectors": sectors.iter().map(described).collect::<Vec<_>>(),
            "proof": proof,
        });
        write(file, serde_json::to_string_pretty(&sample)?)?;
    }
    Ok(())
}

fn seal_sector(folder: &Path, number: u64, prover: ProverId) -> Result<Sealed> {
    let home = folder.join(format!("sector-{number}"));
    let (data, sealed, cache) = (home.join("staged"), home.join("sealed"), home.join("cache"));
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    create_dir_all(&cache)?;
    File::create(&sealed)?;
    let staged = stage(&data, number as u8)?;
    let (id, pieces) = (SectorId::from(number), [staged.clone()]);
    let first = seal::seal_pre_commit_phase1(SEAL, &cache, &data, &sealed, prover, id, TICKET, &pieces)?;
    let output = seal::seal_pre_commit_phase2(first, &cache, &sealed)?;
    Ok(Sealed { number, staged, sealed, cache, output })
}

fn stage(path: &Path, fill: u8) -> Result<PieceInfo> {
    let data: Vec<u8> = (0..UNPADDED).map(|at| (at as u8).wrapping_mul(31).wrapping_add(fill)).collect();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    Ok(seal::add_piece(SEAL, data.as_slice(), file, UnpaddedBytesAmount(UNPADDED as u64), &[])?.0)
}

fn seals(sectors: &[Sealed], prover: ProverId) -> Result<Vec<Vec<u8>>> {
    let porep = public_params::<Tree>(&SEAL.as_v1_config())?;
    StackedCompound::<Tree, DefaultPieceHasher>::verifying_key(Some(&mut OsRng), &porep)?;
    let prove = |sector: &Sealed| {
        let (id, pieces) = (SectorId::from(sector.number), [sector.staged.clone()]);
        let (cache, sealed, output) = (&sector.cache, &sector.sealed, sector.output.clone());
        let vanilla = seal::seal_commit_phase1(cache, sealed, prover, id, TICKET, SEED, output, &pieces)?;
        Ok(seal::seal_commit_phase2(vanilla, prover, id)?.proof)
    };
    sectors.iter().map(prove).collect()
}

/// Aggregate the proofs in seals.json.
fn aggregate(folder: &Path, sectors: &[Sealed]) -> Result<Vec<u8>> {
    let porep = public_params::<Tree>(&SEAL.as_v1_config())?;
    if !storage_proofs_core::parameter_cache::parameter_cache_srs_key_path("", 0).exists() {
        StackedCompound::<Tree, DefaultPieceHasher>::srs_key(Some(&mut OsRng), &porep, AGGREGATED)?;
    }
    let seals: Value = serde_json::from_slice(&std::fs::read(folder.join("seals.json"))?)?;
    let proofs = seals["proof"].as_array().context("seals.json has proofs")?;
    let output = |proof: &Value| Some(seal::SealCommitPhase2Output { proof: unhex(proof.as_str()?) });
    let outputs: Vec<_> = proofs.iter().map(output).collect::<Option<_>>().context("proofs are strings")?;
    let replicas: Vec<_> = sectors.iter().map(|sector| sector.output.comm_r).collect();
    let kind = RegisteredAggregationProof::SnarkPackV2;
    seal::aggregate_seal_commit_proofs(SEAL, kind, &replicas, &vec![SEED; sectors.len()], &outputs)
}

fn private(sectors: &[Sealed], kind: RegisteredPoStProof) -> BTreeMap<SectorId, PrivateReplicaInfo> {
    let info =
        |each: &Sealed| PrivateReplicaInfo::new(kind, each.output.comm_r, each.cache.clone(), each.sealed.clone());
    sectors.iter().map(|each| (SectorId::from(each.number), info(each))).collect()
}

fn window_post(sectors: &[Sealed], prover: ProverId) -> Result<Value> {
    let parameters = window_post_public_params::<Tree>(&WINDOW.as_v1_config())?;
    FallbackPoStCompound::<Tree>::verifying_key(Some(&mut OsRng), &parameters)?;
    let proofs = post::generate_window_post(&RANDOMNESS, &private(sectors, WINDOW), prover)?;
    Ok(json!(hex(&proofs[0].1)))
}

fn winning_post(sectors: &[Sealed], prover: ProverId) -> Result<Value> {
    let parameters = winning_post_public_params::<Tree>(&WINNING.as_v1_config())?;
    FallbackPoStCompound::<Tree>::verifying_key(Some(&mut OsRng), &parameters)?;
    let chosen = post::generate_winning_post_sector_challenge(WINNING, &RANDOMNESS, sectors.len() as u64, prover)?;
    let chosen = &sectors[chosen[0] as usize];
    let proofs = post::generate_winning_post(&RANDOMNESS, &private(std::slice::from_ref(chosen), WINNING), prover)?;
    Ok(json!({ "number": chosen.number, "proof": hex(&proofs[0].1) }))
}

fn replica_update(folder: &Path, old: &Sealed) -> Result<Value> {
    let parameters = PublicParams::from_sector_size(SECTOR_SIZE_2_KIB);
    EmptySectorUpdateCompound::<Tree>::verifying_key(Some(&mut OsRng), &parameters)?;
    let home = folder.join("update");
    let (staged, replica, cache) = (home.join("staged"), home.join("sealed"), home.join("cache"));
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    create_dir_all(&cache)?;
    File::create(&replica)?.set_len(SECTOR_SIZE_2_KIB)?;
    let pieces = [stage(&staged, 99)?];
    let new =
        update::empty_sector_update_encode_into(UPDATE, &replica, &cache, &old.sealed, &old.cache, &staged, &pieces)?;
    let (new_replica, new_data) = (new.comm_r_new, new.comm_d_new);
    let proof = update::generate_empty_sector_update_proof(
        UPDATE,
        old.output.comm_r,
        new_replica,
        new_data,
        &old.sealed,
        &old.cache,
        &replica,
        &cache,
    )?;
    Ok(json!({
        "old": hex(&old.output.comm_r), "new": hex(&new_replica), "data": hex(&new_data), "proof": hex(&proof.0),
    }))
}

fn described(sector: &Sealed) -> Value {
    let output = &sector.output;
    json!({ "number": sector.number, "replica": hex(&output.comm_r), "data": hex(&output.comm_d) })
}

/// The bytes of an ID address without its protocol: LEB128.
fn prover_id(mut miner: u64) -> ProverId {
    let mut id = ProverId::default();
    for place in id.iter_mut() {
        *place = (miner & 0x7f) as u8;
        miner >>= 7;
        if miner == 0 {
            break;
        }
        *place |= 0x80;
    }
    id
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).filter_map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}
