//! Applies vectors that exist: print, compare.

use std::io::{Write, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use fvm::trace::ExecutionEvent;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use serde_json::{Value, json};

use crate::bundles::Bundles;
use crate::vector::{Job, cid_value, gunzip, jobs, postconditions};
use crate::world::{Outcome, Reference};

/// The vectors of a file: one as JSON, or one a line, compressed or not.
fn read(path: &Path) -> Result<Vec<Value>> {
    let mut data = std::fs::read(path)?;
    if data.starts_with(&[0x1f, 0x8b]) {
        data = gunzip(&data)?;
    }
    serde_json::Deserializer::from_slice(&data).into_iter().map(|vector| Ok(vector?)).collect()
}

/// Do something with every variant of the files' vectors whose id contains one of `only`.
pub fn each(
    bundles: &Bundles,
    files: &[PathBuf],
    only: &[String],
    mut visit: impl FnMut(Job) -> Result<()>,
) -> Result<()> {
    for path in files {
        for vector in read(path).with_context(|| path.display().to_string())? {
            let jobs = jobs(&vector, bundles).with_context(|| path.display().to_string())?;
            for job in jobs {
                if only.is_empty() || only.iter().any(|part| job.id.contains(part.as_str())) {
                    visit(job)?;
                }
            }
        }
    }
    Ok(())
}

/// Print what comes out of each variant, one JSON object a line; with `trace` also every charge and call.
pub fn run(bundles: &Bundles, files: &[PathBuf], only: &[String], trace: bool) -> Result<()> {
    let reference = Reference::new();
    each(bundles, files, only, |job| {
        let outcome = job.run(&reference, trace)?;
        let mut line = json!({ "id": job.id, "postconditions": postconditions(&outcome) });
        if trace {
            line["trace"] = traces(&outcome).into();
        }
        println!("{line}");
        Ok(())
    })
}

/// The same for a vector on each line of stdin: one line with the list of its variants' answers, before the next is read.
pub fn run_on_request(bundles: &Bundles) -> Result<()> {
    let reference = Reference::new();
    for line in stdin().lines() {
        let answers: Vec<Value> = jobs(&serde_json::from_str(&line?)?, bundles)?
            .iter()
            .map(|job| Ok(json!({ "id": job.id, "postconditions": postconditions(&job.run(&reference, false)?) })))
            .collect::<Result<_>>()?;
        let mut out = stdout().lock();
        writeln!(out, "{}", Value::from(answers))?;
        out.flush()?;
    }
    Ok(())
}

fn traces(outcome: &Outcome) -> Vec<Value> {
    let answers = outcome.answers.iter().flatten();
    answers.map(|answer| answer.exec_trace.iter().map(event_value).collect::<Vec<_>>().into()).collect()
}

fn event_value(event: &ExecutionEvent) -> Value {
    match event {
        ExecutionEvent::GasCharge(charge) => {
            json!([charge.name, charge.total().as_milligas(), charge.other_gas.as_milligas()])
        }
        ExecutionEvent::Call { from, to, method, params, value, gas_limit, read_only } => json!({
            "call": to.to_string(), "from": from, "method": method, "value": value.atto().to_string(),
            "gas_limit": gas_limit, "read_only": read_only, "params": block_value(params),
        }),
        ExecutionEvent::CallReturn(code, block) => json!({ "return": code.value(), "block": block_value(block) }),
        ExecutionEvent::CallError(error) => json!({ "error": error.1 as u32, "words": error.0 }),
        ExecutionEvent::InvokeActor { id, state } => json!({
            "invoke": id, "code": state.code.to_string(), "head": state.state.to_string(), "nonce": state.sequence,
            "balance": state.balance.atto().to_string(),
        }),
        ExecutionEvent::Ipld { op, cid, size } => {
            json!({ "block": cid_value(cid), "size": size, "op": format!("{op:?}") })
        }
        other => json!({ "other": format!("{other:?}") }),
    }
}

/// Codec and bytes of parameters or of what a call returned.
fn block_value(block: &Option<IpldBlock>) -> Value {
    block.as_ref().map_or(Value::Null, |block| json!([block.codec, BASE64.encode(&block.data)]))
}

/// Compare each variant with what it states, or `sample` of them, evenly taken; true if all are equal.
pub fn check(bundles: &Bundles, files: &[PathBuf], only: &[String], sample: Option<usize>) -> Result<bool> {
    let reference = Reference::new();
    let mut all = Vec::new();
    each(bundles, files, only, |job| {
        all.push(job);
        Ok(())
    })?;
    let step = sample.map_or(1, |wanted| all.len().div_ceil(wanted.max(1)).max(1));
    let (mut equal, mut different) = (0, 0);
    for job in all.iter().step_by(step) {
        let found = stated(postconditions(&job.run(&reference, false)?), &job.expected);
        if found == job.expected {
            equal += 1;
        } else {
            different += 1;
            println!("{}", json!({ "id": job.id, "found": found, "expected": job.expected }));
        }
    }
    eprintln!("{equal} equal, {different} different");
    Ok(different == 0)
}

/// What came out, without the words of failures where the vector states none: they are the reference's alone.
fn stated(mut found: Value, expected: &Value) -> Value {
    let receipts = found["receipts"].as_array_mut().into_iter().flatten();
    for (receipt, expected) in receipts.zip(expected["receipts"].as_array().into_iter().flatten()) {
        if expected["words"].is_null() {
            receipt.as_object_mut().expect("a receipt is an object").shift_remove("words");
        }
    }
    found
}
