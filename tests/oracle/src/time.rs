//! Measures how long the reference takes for a message, modules compiled, state not yet looked at.
//!
//! A variant is applied again and again, each time to a fresh machine over a fresh copy of its state; only the execution
//! of its messages is timed, not the making of the machine. One round before the first that counts compiles its modules.
//! Times are the processor's, so that other programs on the machine count little.

use std::collections::HashMap;
use std::io::stdin;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bundles::Bundles;
use crate::replay::each;
use crate::vector::Job;
use crate::world::Reference;

const FEWEST_ROUNDS: usize = 3;
const MOST_ROUNDS: usize = 1000;

/// Measure each variant's messages: microseconds of execution, one JSON object a line.
pub fn time(bundles: &Bundles, files: &[PathBuf], only: &[String], milliseconds: u64) -> Result<()> {
    let reference = Reference::new();
    let budget = Duration::from_millis(milliseconds);
    each(bundles, files, only, |job| {
        println!("{}", measure(&reference, &job, budget)?);
        Ok(())
    })
}

/// The same for the variants whose ids stand on the lines of stdin, each answered before the next is read: so that
/// another implementation can be measured in between, under the same load of the machine.
pub fn on_request(bundles: &Bundles, files: &[PathBuf], only: &[String], milliseconds: u64) -> Result<()> {
    let reference = Reference::new();
    let budget = Duration::from_millis(milliseconds);
    let mut jobs = HashMap::new();
    each(bundles, files, only, |job| {
        jobs.insert(job.id.clone(), job);
        Ok(())
    })?;
    for line in stdin().lines() {
        let id = line?;
        let job = jobs.get(&id).with_context(|| format!("no vector has the variant {id}"))?;
        println!("{}", measure(&reference, job, budget)?);
    }
    Ok(())
}

/// What this thread has had of the processor so far.
pub fn processor_time() -> Duration {
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    }
    const THREAD_CPU_TIME: i32 = 3;
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the layout is that of 64-bit Linux, and the C library only writes to it.
    let failed = unsafe { clock_gettime(THREAD_CPU_TIME, &mut time) };
    assert_eq!(failed, 0, "a thread knows its processor time");
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

fn measure(reference: &Reference, job: &Job, budget: Duration) -> Result<Value> {
    let messages = job.run(reference, false)?.elapsed.len();
    let mut rounds: Vec<Vec<Duration>> = Vec::new();
    let mut spent = Duration::ZERO;
    while rounds.len() < FEWEST_ROUNDS || (spent < budget && rounds.len() < MOST_ROUNDS) {
        let elapsed = job.run(reference, false)?.elapsed;
        spent += elapsed.iter().sum::<Duration>();
        rounds.push(elapsed);
    }
    let figures: Vec<Value> = (0..messages).map(|index| figures(rounds.iter().map(|round| round[index]))).collect();
    Ok(json!({ "id": job.id, "rounds": rounds.len(), "messages": figures }))
}

fn figures(durations: impl Iterator<Item = Duration>) -> Value {
    let mut micros: Vec<f64> = durations.map(|duration| duration.as_nanos() as f64 / 1000.0).collect();
    micros.sort_by(f64::total_cmp);
    json!({ "median_us": micros[micros.len() / 2], "least_us": micros[0] })
}
