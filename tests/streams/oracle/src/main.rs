//! Asks the published crate of the reward actor's state whether streams keep their invariants.
//!
//! A line of standard input is `EPOCH ACCRUED STREAMS`: a decimal number, then the CBOR of the rows of accruals and of the
//! block of streams in hexadecimal digits. A line of the answer is `valid LIABILITY`, in attoFIL, or `broken` and why.

use std::io::{BufRead, Write, stdin, stdout};

use anyhow::{Context, Result};
use fil_actor_reward_state::v19::{StreamAccrual, StreamsState, explicit_liability, validate_streams_state};
use fvm_ipld_encoding::from_slice;

fn main() -> Result<()> {
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        writeln!(out, "{}", answer(&line?).unwrap_or_else(|error| format!("broken {error:#}").replace('\n', " ")))?;
    }
    Ok(())
}

fn answer(line: &str) -> Result<String> {
    let mut words = line.split(' ');
    let mut word = || words.next().context("a line has three words");
    let epoch: i64 = word()?.parse()?;
    let accrued: Vec<StreamAccrual> = from_slice(&hex::decode(word()?)?)?;
    let streams: StreamsState = from_slice(&hex::decode(word()?)?)?;
    validate_streams_state(&streams, &accrued, epoch)?;
    Ok(format!("valid {}", explicit_liability(&streams, &accrued).atto()))
}
