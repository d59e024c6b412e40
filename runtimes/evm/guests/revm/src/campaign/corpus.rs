//! The corpus of a campaign: inputs that have reached something new, of which later ones are mutations.

use super::Step;
use super::random::Random;

/// Share of a fuzz test's inputs that are mutations.
const INPUTS: f64 = 0.7;
/// Share of sequences that are mutations; others may begin with calls that have written words of other sizes.
const SEQUENCES: f64 = 0.3;
/// Share of mutations of the newest input, which usually reaches deepest.
const NEWEST: f64 = 0.5;
/// Bytes of all inputs, above which the oldest ones are dropped.
const MAX_BYTES: usize = 64 << 20;

struct Input {
    number: u64,
    steps: Vec<Step>,
    /// Mutations since one has last reached something new.
    mutations: u32,
}

impl Input {
    fn size(&self) -> usize {
        self.steps.iter().map(|step| size_of::<Step>() + step.data.len()).sum()
    }
}

pub struct Corpus {
    inputs: Vec<Input>,
    max_inputs: usize,
    min_mutations: u32,
    bytes: usize,
    /// The number of the last input, and of the one whose mutation is running.
    last: u64,
    parent: u64,
    /// Inputs that Python has not stored.
    pub new: Vec<Vec<Step>>,
}

impl Corpus {
    pub fn new(max_inputs: u32, min_mutations: u32) -> Self {
        let max_inputs = max_inputs as usize;
        Self { inputs: Vec::new(), max_inputs, min_mutations, bytes: 0, last: 0, parent: 0, new: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Add an input that has reached something new; Python stores it unless it is known.
    pub fn add(&mut self, steps: Vec<Step>, is_known: bool) {
        if self.max_inputs == 0 {
            return;
        }
        if let Some(parent) = self.inputs.iter_mut().find(|input| input.number == self.parent) {
            parent.mutations = 0;
        }
        if !is_known {
            self.new.push(steps.clone());
        }
        self.last += 1;
        let added = Input { number: self.last, steps, mutations: 0 };
        self.bytes += added.size();
        while !self.inputs.is_empty() && (self.inputs.len() == self.max_inputs || self.bytes > MAX_BYTES) {
            let is_tried = |input: &Input| input.mutations >= self.min_mutations;
            let dropped = self.inputs.remove(self.inputs.iter().position(is_tried).unwrap_or(0));
            self.bytes -= dropped.size();
        }
        self.inputs.push(added);
    }

    /// The next input, or sequence, is no mutation.
    pub fn forget_parent(&mut self) {
        self.parent = 0;
    }

    /// Return an input to mutate, and another one; None if the next one is no mutation.
    pub fn choose(&mut self, random: &mut Random, are_sequences: bool) -> Option<(Vec<Step>, Vec<Step>)> {
        self.forget_parent();
        if self.inputs.is_empty() || !random.chance(if are_sequences { SEQUENCES } else { INPUTS }) {
            return None;
        }
        let count = self.inputs.len();
        let at = if random.chance(NEWEST) { count - 1 } else { random.below(count) };
        let chosen = &mut self.inputs[at];
        chosen.mutations += 1;
        self.parent = chosen.number;
        Some((chosen.steps.clone(), self.inputs[random.below(count)].steps.clone()))
    }
}
