//! Words and texts that inputs are drawn from.
//!
//! Words are grouped in pools, each drawn from by its weight. This keeps the few numbers that conditions compare with from
//! being outnumbered by thousands of pushed words.

use super::random::Random;
use crate::wire::Reader;
use revm::primitives::{Address, HashSet, Log, U256};

/// Words from runs.
const MAX_FOUND: usize = 4096;
/// Bytes examined of return data or an event's data.
const MAX_OUTPUT: usize = 1024;
/// Probability that a chosen word is changed.
const NEAR: f64 = 0.25;
/// Share of changed words that are incremented or decremented (off-by-one bounds); the others are inverted bitwise.
const BESIDE: f64 = 0.7;
/// Half of the draws from the runs' words choose from this many latest ones, which reflect the current state.
const RECENT: usize = 8;
/// Draws to find a word that fits the type.
const TRIES: usize = 2;

/// Pools, each with the weight of its words.
#[derive(Clone, Copy, PartialEq)]
enum Pool {
    /// Numbers in both sources and code; all of the sources if there are none.
    Sharp,
    Literals,
    /// Words from runs.
    Found,
    /// Addresses and slots after `setUp`.
    State,
    /// Words that code pushes.
    Pushed,
}

const WEIGHTS: [(Pool, usize); 5] =
    [(Pool::Sharp, 3), (Pool::Literals, 1), (Pool::Found, 2), (Pool::State, 2), (Pool::Pushed, 3)];

#[derive(Default)]
pub struct Dictionary {
    literals: Vec<U256>,
    texts: Vec<Vec<u8>>,
    state: Vec<U256>,
    pushed: Vec<U256>,
    sharp: Vec<U256>,
    found: Vec<U256>,
    known: HashSet<U256>,
    max_found: usize,
    /// The pools that are not empty, each repeated by its weight.
    pools: Vec<Pool>,
    /// Addresses of linked libraries, which are no inputs.
    pub libraries: HashSet<Address>,
}

impl Dictionary {
    /// Read the most words of all pools but that of literals, and the lists of literals, state, pushed words, texts and
    /// libraries.
    pub fn read(read: &mut Reader<'_>) -> Self {
        let limit = read.get::<u32>() as usize;
        let literals = distinct(read.list());
        let mut state = distinct(read.list());
        state.truncate(limit);
        let mut pushed = distinct(read.list());
        pushed.truncate(limit - state.len());
        let known: HashSet<U256> = pushed.iter().chain(&state).copied().collect();
        let mut found = Self {
            sharp: literals.iter().filter(|number| known.contains(*number)).copied().collect(),
            max_found: MAX_FOUND.min(limit - state.len() - pushed.len()),
            texts: read.list_of(|read| read.data().to_vec()),
            libraries: read.list().into_iter().collect(),
            literals,
            state,
            pushed,
            known,
            ..Self::default()
        };
        found.choose_pools();
        found
    }

    fn pool(&self, pool: Pool) -> &[U256] {
        match pool {
            Pool::Sharp if self.sharp.is_empty() => &self.literals,
            Pool::Sharp => &self.sharp,
            Pool::Literals => &self.literals,
            Pool::Found => &self.found,
            Pool::State => &self.state,
            Pool::Pushed => &self.pushed,
        }
    }

    fn choose_pools(&mut self) {
        let filled = WEIGHTS.into_iter().filter(|(pool, _)| !self.pool(*pool).is_empty());
        self.pools = filled.flat_map(|(pool, weight)| std::iter::repeat_n(pool, weight)).collect();
    }

    fn add(&mut self, word: U256) {
        if self.found.len() < self.max_found && self.known.insert(word) {
            self.found.push(word);
            if self.found.len() == 1 {
                self.choose_pools();
            }
        }
    }

    /// Remember what a call has returned, emitted and written.
    pub fn learn(&mut self, output: &[u8], logs: &[Log], words: &[U256]) {
        self.add_data(output);
        for log in logs {
            log.data.topics().iter().skip(1).for_each(|topic| self.add((*topic).into()));
            self.add_data(&log.data.data);
        }
        words.iter().for_each(|word| self.add(*word));
    }

    fn add_data(&mut self, data: &[u8]) {
        data[..data.len().min(MAX_OUTPUT)].chunks_exact(32).for_each(|word| self.add(U256::from_be_slice(word)));
    }

    /// Forget words from runs, since the next run starts from another state.
    pub fn forget_runs(&mut self) {
        for word in self.found.drain(..) {
            self.known.remove(&word);
        }
        self.choose_pools();
    }

    /// Return a word or a variation of one, preferably of at most this many bits; None if there are no words.
    pub fn choose(&self, random: &mut Random, bits: usize) -> Option<U256> {
        let mut word = U256::ZERO;
        if self.pools.is_empty() {
            return None;
        }
        for _ in 0..TRIES {
            let chosen = self.pools[random.below(self.pools.len())];
            let pool = self.pool(chosen);
            word = if chosen == Pool::Found && random.chance(0.5) {
                pool[pool.len() - 1 - random.below(pool.len().min(RECENT))]
            } else {
                pool[random.below(pool.len())]
            };
            if word.bit_len() <= bits {
                break;
            }
        }
        if !random.chance(NEAR) {
            return Some(word);
        }
        let one = U256::from(1);
        Some(if !random.chance(BESIDE) {
            !word
        } else if random.chance(0.5) {
            word.wrapping_add(one)
        } else {
            word.wrapping_sub(one)
        })
    }

    pub fn choose_text(&self, random: &mut Random) -> Option<&[u8]> {
        (!self.texts.is_empty()).then(|| &*self.texts[random.below(self.texts.len())])
    }
}

fn distinct(words: Vec<U256>) -> Vec<U256> {
    let mut seen: HashSet<U256> = HashSet::default();
    words.into_iter().filter(|word| seen.insert(*word)).collect()
}
