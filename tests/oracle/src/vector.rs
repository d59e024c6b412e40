//! Vectors: the official test-vector JSON for messages and tipsets, with what newer network versions need.
//!
//! Beyond the official fields: `bundle` (the CID of the built-in actors' manifest, whose blocks the CAR leaves out),
//! `timestamp`, `chain_id`, `tipsets`, `proofs`, `consensus_fault`; for a message its length on chain and whether it is
//! implicit; for a receipt the events' root and the miner's penalty, or the words of a refusal without receipt. A
//! variant's own `apply_messages` and `postconditions` take the place of the vector's.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use cid::Cid;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use fvm::executor::ApplyRet;
use fvm_ipld_encoding::from_slice;
use fvm_shared::econ::TokenAmount;
use fvm_shared::message::Message;
use serde_json::{Map, Value, json};

use crate::bundles::Bundles;
use crate::car;
use crate::kernel::Proofs;
use crate::store::Layered;
use crate::tipset::{Tipset, execute, tipsets_of};
use crate::world::{Applied, Fault, Outcome, Reference, World, encoded, words};

/// The version of the `fvm` crate that the answers come from.
pub const SOURCE: &str = "ref-fvm, crate fvm 4.8.4";
const MOST_WORDS: usize = 240;

pub fn cid_value(cid: &Cid) -> Value {
    json!({ "/": cid.to_string() })
}

pub fn cid_of(value: &Value) -> Result<Cid> {
    let text = value["/"].as_str().with_context(|| format!("{value} is no CID"))?;
    Cid::try_from(text).with_context(|| text.to_owned())
}

pub fn amount(value: &Value, default: u128) -> Result<TokenAmount> {
    if value.is_null() {
        return Ok(TokenAmount::from_atto(default));
    }
    let number: fvm_shared::bigint::BigInt = value.to_string().parse().with_context(|| format!("{value}"))?;
    Ok(TokenAmount::from_atto(number))
}

fn bytes_of(value: &Value) -> Result<Vec<u8>> {
    Ok(BASE64.decode(value.as_str().unwrap_or_default())?)
}

// --- the world -------------------------------------------------------------------------------------------------------

pub fn world_fields(world: &World, fields: &mut Map<String, Value>) {
    let randomness: Vec<Value> = world
        .randomness
        .iter()
        .map(|((kind, epoch), ret)| json!({ "on": [kind, epoch], "ret": ret.map(|digest| BASE64.encode(digest)) }))
        .collect();
    let tipsets: Vec<Value> =
        world.tipsets.iter().map(|(epoch, cid)| json!({ "epoch": epoch, "cid": cid_value(cid) })).collect();
    if !randomness.is_empty() {
        fields.insert("randomness".into(), randomness.into());
    }
    if !tipsets.is_empty() {
        fields.insert("tipsets".into(), tipsets.into());
    }
    let proofs = match world.proofs {
        Proofs::Accept => "accept",
        Proofs::Reject => "reject",
        Proofs::Real => "real",
    };
    fields.insert("proofs".into(), proofs.into());
    let fault = match world.fault {
        Fault::None => Value::Null,
        Fault::Error => "error".into(),
        Fault::Found { target, epoch, kind } => json!({ "target": target, "epoch": epoch, "type": kind }),
    };
    fields.insert("consensus_fault".into(), fault);
}

fn world_of(vector: &Value, epoch: i64) -> Result<World> {
    let before = &vector["preconditions"];
    let mut randomness = BTreeMap::new();
    for entry in vector["randomness"].as_array().into_iter().flatten() {
        let kind = entry["on"][0].as_str().context("randomness of no kind")?.to_owned();
        let digest = match &entry["ret"] {
            Value::Null => None,
            ret => Some(bytes_of(ret)?.try_into().map_err(|_| anyhow::anyhow!("a digest is 32 bytes"))?),
        };
        randomness.insert((kind, entry["on"][1].as_i64().context("randomness of no epoch")?), digest);
    }
    let mut tipsets = BTreeMap::new();
    for entry in vector["tipsets"].as_array().into_iter().flatten() {
        tipsets.insert(entry["epoch"].as_i64().context("a tipset of no epoch")?, cid_of(&entry["cid"])?);
    }
    let fault = match &vector["consensus_fault"] {
        Value::Null => Fault::None,
        Value::Object(found) => Fault::Found {
            target: found["target"].as_u64().context("a fault of nobody")?,
            epoch: found["epoch"].as_i64().context("a fault of no epoch")?,
            kind: found["type"].as_u64().context("a fault of no kind")? as u32,
        },
        _ => Fault::Error,
    };
    Ok(World {
        epoch,
        timestamp: before["timestamp"].as_u64().unwrap_or(epoch as u64 * 30),
        chain_id: before["chain_id"].as_u64().unwrap_or(0),
        base_fee: amount(&before["basefee"], 100)?,
        circulating_supply: amount(&before["circ_supply"], 0)?,
        randomness,
        tipsets,
        proofs: match vector["proofs"].as_str() {
            Some("real") => Proofs::Real,
            Some("reject") => Proofs::Reject,
            _ => Proofs::Accept,
        },
        fault,
    })
}

// --- messages and receipts -------------------------------------------------------------------------------------------

pub fn message_value(applied: &Applied) -> Value {
    let mut value = json!({ "bytes": BASE64.encode(encoded(&applied.message)) });
    if applied.implicit {
        value["implicit"] = true.into();
    } else {
        value["raw_length"] = applied.raw_length.into();
    }
    value
}

fn message_of(value: &Value) -> Result<Applied> {
    let message: Message = from_slice(&bytes_of(&value["bytes"])?)?;
    if value["implicit"].as_bool().unwrap_or(false) {
        return Ok(Applied::implicit(message));
    }
    let mut applied = Applied::explicit(message);
    if let Some(length) = value["raw_length"].as_u64() {
        applied.raw_length = length as usize;
    }
    Ok(applied)
}

pub fn postconditions(outcome: &Outcome) -> Value {
    let receipts: Vec<Value> = outcome.answers.iter().map(receipt_value).collect();
    let mut after = json!({ "receipts": receipts, "state_tree": { "root_cid": cid_value(&outcome.root) } });
    if !outcome.receipts.is_empty() {
        after["receipts_roots"] = outcome.receipts.iter().map(cid_value).collect::<Vec<_>>().into();
    }
    after
}

fn receipt_value(answer: &Result<ApplyRet, String>) -> Value {
    let answer = match answer {
        Ok(answer) => answer,
        Err(words) => return json!({ "refused": words }),
    };
    let receipt = &answer.msg_receipt;
    let mut value = json!({
        "exit_code": receipt.exit_code.value(),
        "return": BASE64.encode(receipt.return_data.bytes()),
        "gas_used": receipt.gas_used,
        "events_root": receipt.events_root.as_ref().map(cid_value),
        "penalty": answer.penalty.atto().to_string(),
    });
    if let Some(mut words) = words(answer) {
        if let Some((end, _)) = words.char_indices().nth(MOST_WORDS) {
            words.truncate(end);
        }
        value["words"] = words.trim_end().into();
    }
    value
}

// --- running a vector ------------------------------------------------------------------------------------------------

/// One variant of a vector, ready to run.
pub struct Job {
    pub id: String,
    pub version: u32,
    pub world: World,
    pub store: Layered,
    pub root: Cid,
    pub messages: Vec<Applied>,
    /// Of a vector of class tipset, in place of messages.
    pub tipsets: Vec<Tipset>,
    pub expected: Value,
}

/// Every variant of a vector over the bundle that it names.
pub fn jobs(vector: &Value, bundles: &Bundles) -> Result<Vec<Job>> {
    let before = &vector["preconditions"];
    let root = cid_of(&before["state_tree"]["root_cid"])?;
    let (_, blocks) = car::read(&gunzip(&bytes_of(&vector["car"])?)?)?;
    let id = vector["_meta"]["id"].as_str().unwrap_or_default();
    let mut jobs = Vec::new();
    for variant in before["variants"].as_array().context("a vector without variants")? {
        let version = variant["nv"].as_u64().context("a variant of no network version")? as u32;
        let bundle = match &vector["bundle"] {
            Value::Null => bundles.of_network_version(version)?,
            manifest => bundles.of_manifest(&cid_of(manifest)?)?,
        };
        let store = Layered::over(bundle.blocks.clone());
        store.extend(&blocks);
        let own = |field: &str| if variant[field].is_null() { vector[field].clone() } else { variant[field].clone() };
        let messages = own("apply_messages");
        let epoch = variant["epoch"].as_i64().context("a variant of no epoch")?;
        jobs.push(Job {
            id: format!("{id}:{}", variant["id"].as_str().unwrap_or_default()),
            version,
            world: world_of(vector, epoch)?,
            store,
            root,
            messages: messages.as_array().into_iter().flatten().map(message_of).collect::<Result<_>>()?,
            tipsets: tipsets_of(&own("apply_tipsets"), before, epoch)?,
            expected: own("postconditions"),
        });
    }
    Ok(jobs)
}

impl Job {
    pub fn run(&self, reference: &Reference, trace: bool) -> Result<Outcome> {
        let store = self.store.fork();
        if !self.tipsets.is_empty() {
            return execute(reference, self.version, &self.world, &store, &self.root, &self.tipsets, trace);
        }
        reference.apply(self.version, &self.world, &store, &self.root, &self.messages, trace)
    }
}

// --- compression -----------------------------------------------------------------------------------------------------

/// gzip with nothing of the machine in it: no name, no time.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

pub fn gunzip(data: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    GzDecoder::new(data).read_to_end(&mut out)?;
    Ok(out)
}
