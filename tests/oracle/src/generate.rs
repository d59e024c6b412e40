//! Makes vectors of plans: the state before, and what the reference answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use fvm::trace::ExecutionEvent;
use serde_json::{Number, Value, json};

use crate::bundles::Bundles;
use crate::car;
use crate::coverage;
use crate::plan::Plan;
use crate::scene::{Scene, Variant};
use crate::store::Layered;
use crate::vector::{SOURCE, cid_value, gzip, jobs, message_value, postconditions, world_fields};
use crate::world::{Applied, Reference};

/// At most this many gas limits are tried in one sweep.
const MOST_LIMITS: usize = 400;

/// Write the vectors of `plans` whose ids contain one of `only` (all, if there is none) into `folder`, a file a group.
pub fn generate(plans: &[Plan], bundles: &Bundles, folder: &Path, only: &[String]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    coverage::listen();
    let reference = Reference::new();
    let mut groups: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let mut table = Table::default();
    for plan in plans {
        for version in &plan.versions {
            let id = plan.id(*version);
            if !only.is_empty() && !only.iter().any(|part| id.contains(part.as_str())) {
                continue;
            }
            let vector = vector(plan, *version, bundles, &reference).with_context(|| id.clone())?;
            table.add(plan.group, *version, &vector);
            let lines = groups.entry(plan.group).or_default();
            serde_json::to_writer(&mut *lines, &vector)?;
            lines.push(b'\n');
        }
    }
    for (group, lines) in &groups {
        let data = gzip(lines);
        std::fs::write(folder.join(format!("{group}.jsonl.gz")), &data)?;
        eprintln!("{group}: {} vectors, {} bytes", table.vectors[*group], data.len());
    }
    eprintln!("{} cases: {:?}", table.cases, table.versions);
    Ok(())
}

/// One vector: the plan's scene, run on the reference.
fn vector(plan: &Plan, version: u32, bundles: &Bundles, reference: &Reference) -> Result<Value> {
    let bundle = bundles.of_network_version(version)?;
    let mut scene = Scene::new(bundle, version);
    (plan.build)(&mut scene);
    let (mut root, mut blocks) = scene.finish();
    if !scene.setup.is_empty() {
        let store = Layered::over(bundle.blocks.clone());
        store.extend(&blocks);
        let mut world = scene.world.clone();
        world.epoch = scene.setup_epoch.unwrap_or(world.epoch);
        let outcome = reference.apply(version, &world, &store, &root, &scene.setup, false)?;
        for answer in outcome.answers {
            let answer = answer.map_err(anyhow::Error::msg)?;
            let failed = crate::world::words(&answer).unwrap_or_default();
            ensure!(answer.msg_receipt.exit_code.is_success(), "the preparation failed: {failed}");
        }
        (root, blocks) = (outcome.root, store.own_blocks());
    }
    coverage::take();
    let mut vector = json!({
        "class": "message",
        "_meta": { "id": plan.id(version), "gen": [{ "source": SOURCE }] },
        "bundle": cid_value(&bundle.root),
        "car": BASE64.encode(gzip(&car::write(&root, &blocks))),
    });
    let fields = vector.as_object_mut().expect("it is an object");
    if !features().is_empty() {
        fields.insert("features".into(), features().into());
    }
    world_fields(&scene.world, fields);
    let number = |amount: &fvm_shared::econ::TokenAmount| Number::from_string_unchecked(amount.atto().to_string());
    fields.insert(
        "preconditions".into(),
        json!({
            "variants": [],
            "timestamp": scene.world.timestamp,
            "chain_id": scene.world.chain_id,
            "basefee": number(&scene.world.base_fee),
            "circ_supply": number(&scene.world.circulating_supply),
            "state_tree": { "root_cid": cid_value(&root) },
        }),
    );
    fill(&mut vector, &mut scene, bundles, reference)?;
    let mut seen: BTreeSet<String> =
        coverage::take().into_keys().map(|(name, number)| format!("{name}:{number}")).collect();
    seen.extend(plan.covers.iter().map(|(name, number)| format!("{name}:{number}")));
    vector["_meta"]["syscalls"] = seen.into_iter().collect::<Vec<_>>().into();
    Ok(vector)
}

/// Put the variants in, and what the reference answers to each.
fn fill(vector: &mut Value, scene: &mut Scene, bundles: &Bundles, reference: &Reference) -> Result<()> {
    let name = format!("nv{}", scene.version);
    let row = |id: &str| json!({ "id": id, "epoch": scene.world.epoch, "nv": scene.version });
    let messages: Vec<Value> = scene.messages.iter().map(message_value).collect();
    vector["preconditions"]["variants"] = json!([row(&name)]);
    vector["apply_messages"] = messages.into();
    if scene.sweep {
        scene.variants = limits(vector, bundles, reference)?;
    }
    if !scene.variants.is_empty() {
        let rows: Vec<Value> = scene.variants.iter().map(|variant| own(row(&variant.id), variant)).collect();
        vector["preconditions"]["variants"] = rows.into();
        vector.as_object_mut().expect("it is an object").shift_remove("apply_messages");
    }
    for (index, job) in jobs(vector, bundles)?.iter().enumerate() {
        let outcome = job.run(reference, false).with_context(|| job.id.clone())?;
        let place =
            if scene.variants.is_empty() { &mut *vector } else { &mut vector["preconditions"]["variants"][index] };
        place["postconditions"] = postconditions(&outcome);
    }
    Ok(())
}

/// The features that the reference was built with.
fn features() -> Vec<&'static str> {
    let all = [("m2-native", cfg!(feature = "m2-native")), ("upgrade-actor", cfg!(feature = "upgrade-actor"))];
    all.into_iter().filter_map(|(name, is_on)| is_on.then_some(name)).collect()
}

fn own(mut row: Value, variant: &Variant) -> Value {
    row["apply_messages"] = variant.messages.iter().map(message_value).collect::<Vec<_>>().into();
    row
}

/// The last message with every gas limit at which a charge just fits or just does not.
fn limits(vector: &Value, bundles: &Bundles, reference: &Reference) -> Result<Vec<Variant>> {
    let jobs = jobs(vector, bundles)?;
    let outcome = jobs[0].run(reference, true)?;
    let Some(Ok(answer)) = outcome.answers.last() else { bail!("the swept message was refused") };
    let (mut used, mut limits) = (0u64, BTreeSet::new());
    for event in &answer.exec_trace {
        let ExecutionEvent::GasCharge(charge) = event else { continue };
        used += charge.total().as_milligas();
        if charge.total().as_milligas() > 0 {
            let enough = used.div_ceil(1000);
            limits.extend([enough - 1, enough]);
        }
    }
    limits.extend([1, answer.msg_receipt.gas_used + 1000]);
    let limits: Vec<u64> = limits.into_iter().collect();
    let step = limits.len().div_ceil(MOST_LIMITS);
    let at = |limit: &u64| {
        let mut messages = jobs[0].messages.clone();
        let last = messages.last_mut().expect("there is a message to sweep");
        last.message.gas_limit = *limit;
        *last = if last.implicit { last.clone() } else { Applied::explicit(last.message.clone()) };
        Variant { id: format!("gas-{limit}"), messages }
    };
    Ok(limits.iter().step_by(step).map(at).collect())
}

/// Counts for the summary.
#[derive(Default)]
struct Table {
    cases: usize,
    vectors: BTreeMap<String, usize>,
    versions: BTreeMap<u32, usize>,
}

impl Table {
    fn add(&mut self, group: &str, version: u32, vector: &Value) {
        let cases = vector["preconditions"]["variants"].as_array().map_or(0, Vec::len);
        self.cases += cases;
        *self.vectors.entry(group.to_owned()).or_default() += 1;
        *self.versions.entry(version).or_default() += cases;
    }
}
