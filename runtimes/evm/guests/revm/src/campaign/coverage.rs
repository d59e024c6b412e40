//! What the calls of a campaign have reached: edges, which are two consecutive jump destinations of a call, also across
//! contracts. The first one forms an edge with the call's start, and the last one with its end.
//!
//! Numbers of executions fall into eight classes, as in AFL and later coverage-guided fuzzers: a different class of loop
//! iterations counts as new coverage, a few more iterations of a long loop do not.

use crate::protocol::CoverageFigures;
use revm::primitives::{HashMap, HashSet};
use std::iter::once;

/// Edges that are remembered; further ones do not count as new.
const MAX_EDGES: usize = 1 << 18;
/// Hashes of logs that are remembered, then they are forgotten: a log that was added before has nothing new.
const MAX_LOGS: usize = 1 << 16;
/// Least number of executions of each class.
const CLASSES: [u32; 8] = [1, 2, 3, 4, 8, 16, 32, 128];
const START: u64 = 0;
const END: u64 = u64::MAX;

#[derive(Default)]
struct Edge {
    /// A bit for each class that calls have reached.
    classes: u8,
    /// The number of the call that has last executed it, and how often.
    call: u32,
    count: u32,
}

#[derive(Default)]
pub struct Coverage {
    edges: HashMap<(u64, u64), Edge>,
    logs: HashSet<u64>,
    calls: u32,
    /// Edges, each counted with the number of its classes.
    features: u64,
}

impl Coverage {
    /// Add the jumps of a call; return true if an edge, or a class of its number of executions, is new.
    pub fn add(&mut self, log: &[u64]) -> bool {
        if self.logs.len() == MAX_LOGS {
            self.logs.clear();
        }
        if !self.logs.insert(hash(log)) {
            return false;
        }
        let before = self.features;
        self.calls += 1;
        for edge in edges(log) {
            if !self.edges.contains_key(&edge) && self.edges.len() == MAX_EDGES {
                continue;
            }
            let found = self.edges.entry(edge).or_default();
            if found.call != self.calls {
                (found.call, found.count) = (self.calls, 0);
            }
            found.count += 1;
        }
        for edge in edges(log) {
            let Some(found) = self.edges.get_mut(&edge) else { continue };
            let class = 1 << (CLASSES.iter().filter(|least| **least <= found.count).count() - 1);
            self.features += (found.classes & class == 0) as u64;
            found.classes |= class;
        }
        self.features > before
    }

    /// Return its figures, with a number of inputs.
    pub fn figures(&self, inputs: usize) -> CoverageFigures {
        CoverageFigures { edges: self.edges.len() as u64, features: self.features, inputs: inputs as u64 }
    }
}

fn edges(log: &[u64]) -> impl Iterator<Item = (u64, u64)> {
    once(START).chain(log.iter().copied()).zip(log.iter().copied().chain(once(END)))
}

fn hash(log: &[u64]) -> u64 {
    log.iter().fold(log.len() as u64, |hash, jump| {
        let mixed = (hash ^ jump).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    })
}
