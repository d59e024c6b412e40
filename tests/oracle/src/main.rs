//! Golden vectors of the Filecoin VM, made with its reference implementation.
//!
//! `oracle generate --bundles DIR --out DIR [--only PART,...]` writes the vectors; `oracle run`, `check` and `time` apply
//! vectors: print what comes out, compare it with what they state, measure how long a message takes.

mod bundles;
mod car;
mod cases;
mod cbor;
mod coverage;
mod generate;
mod guest;
mod kernel;
mod keys;
mod plan;
mod replay;
mod scene;
mod store;
mod time;
mod tipset;
mod vector;
mod world;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use bundles::Bundles;

const USAGE: &str = "\
usage: oracle generate --bundles DIR --out DIR [--only PART,...]
       oracle list
       oracle run   --bundles DIR [--trace] [--only PART,...] VECTOR...
       oracle run   --bundles DIR --on-request
       oracle check --bundles DIR [--only PART,...] [--sample N] VECTOR...
       oracle time  --bundles DIR [--only PART,...] [--milliseconds N] [--on-request] VECTOR...";

/// 1,024 nested calls need about 36 MiB of native stack, guests' own frames not counted.
const STACK: usize = 512 << 20;

#[derive(Default)]
struct Arguments {
    bundles: Option<PathBuf>,
    out: Option<PathBuf>,
    only: Vec<String>,
    trace: bool,
    on_request: bool,
    sample: Option<usize>,
    milliseconds: Option<u64>,
    files: Vec<PathBuf>,
}

impl Arguments {
    fn parse(mut rest: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = Self::default();
        while let Some(word) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--bundles" => arguments.bundles = Some(value()?.into()),
                "--out" => arguments.out = Some(value()?.into()),
                "--only" => arguments.only = value()?.split(',').map(str::to_owned).collect(),
                "--sample" => arguments.sample = Some(value()?.parse()?),
                "--milliseconds" => arguments.milliseconds = Some(value()?.parse()?),
                "--trace" => arguments.trace = true,
                "--on-request" => arguments.on_request = true,
                _ if word.starts_with('-') => bail!("{word} is not known\n{USAGE}"),
                _ => arguments.files.push(word.into()),
            }
        }
        Ok(arguments)
    }

    fn bundles(&self) -> Result<Bundles> {
        Bundles::open(self.bundles.as_ref().with_context(|| format!("--bundles is missing\n{USAGE}"))?)
    }
}

fn run() -> Result<bool> {
    fvm_shared::address::set_current_network(fvm_shared::address::Network::Mainnet);
    let mut words = std::env::args().skip(1);
    let command = words.next().with_context(|| USAGE.to_owned())?;
    let arguments = Arguments::parse(words)?;
    let plans = cases::plans();
    match command.as_str() {
        "generate" => {
            let out = arguments.out.as_ref().with_context(|| format!("--out is missing\n{USAGE}"))?;
            generate::generate(&plans, &arguments.bundles()?, out, &arguments.only)?;
        }
        "list" => {
            for plan in &plans {
                plan.versions.iter().for_each(|version| println!("{}", plan.id(*version)));
            }
        }
        "run" if arguments.on_request => replay::run_on_request(&arguments.bundles()?)?,
        "run" => replay::run(&arguments.bundles()?, &arguments.files, &arguments.only, arguments.trace)?,
        "check" => {
            return replay::check(&arguments.bundles()?, &arguments.files, &arguments.only, arguments.sample);
        }
        "time" => {
            let milliseconds = arguments.milliseconds.unwrap_or(50);
            let measure = if arguments.on_request { time::on_request } else { time::time };
            measure(&arguments.bundles()?, &arguments.files, &arguments.only, milliseconds)?;
        }
        _ => bail!("{command} is not known\n{USAGE}"),
    }
    Ok(true)
}

fn main() {
    // The words of fatal errors must not depend on where this runs; panics in the reference's proof code are answers.
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
    unsafe { std::env::set_var("RUST_BACKTRACE", "0") };
    std::panic::set_hook(Box::new(|_| ()));
    let worker = std::thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread can be started");
    match worker.join() {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => std::process::exit(1),
        Ok(Err(error)) => {
            eprintln!("{error:#}");
            std::process::exit(2);
        }
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            eprintln!("stopped: {}", words.unwrap_or_default());
            std::process::exit(3);
        }
    }
}
