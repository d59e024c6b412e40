//! Precompiles: those that are faster here than a request to the host run here (docs/performance.md has figures). The
//! others stop the transaction, and Python's answer lets it go on.

use crate::Ctx;
use crate::bn254;
use crate::modexp::{Modexp, ModexpPrice};
use revm::handler::PrecompileProvider;
use revm::interpreter::{CallInputs, Gas, InstructionResult, InterpreterResult};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, AddressSet, Bytes};
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

/// A precompile's gas and output; None if it failed.
pub type Outcome = Option<(u64, Vec<u8>)>;

/// A longer input of SHA-256 is hashed by Python.
const LONG: usize = 2048;
/// Longer work is Python's, so that it can be interrupted: gas of MODEXP, pairs of points.
const LONG_MODEXP: u64 = 100_000;
const LONG_PAIRING: usize = 4;

#[derive(Default)]
pub struct Precompiles {
    addresses: AddressSet,
    /// `addresses`, and those of the precompiles that the kernel runs.
    warm: AddressSet,
    changed: bool,
    spec: SpecId,
    pub answer: Option<Outcome>,
}

impl Precompiles {
    /// True for a precompile's address, also one that the kernel runs.
    pub fn has(&self, address: &Address) -> bool {
        self.warm.contains(address)
    }

    pub fn set(&mut self, spec: SpecId, addresses: Vec<Address>, of_kernel: Vec<Address>) {
        self.addresses = addresses.iter().copied().collect();
        let warm: AddressSet = addresses.into_iter().chain(of_kernel).collect();
        self.changed |= warm != self.warm;
        self.warm = warm;
        self.spec = spec;
    }

    fn modexp_price(&self) -> ModexpPrice {
        match self.spec {
            spec if spec.is_enabled_in(SpecId::OSAKA) => ModexpPrice::Bounded,
            spec if spec.is_enabled_in(SpecId::BERLIN) => ModexpPrice::Repriced,
            _ => ModexpPrice::First,
        }
    }

    /// True if Python runs the precompile for this input.
    pub fn asks(&self, address: &Address, data: &[u8]) -> bool {
        self.addresses.contains(address)
            && match number(address) {
                2 => data.len() > LONG,
                3 | 4 | 6 | 7 => false,
                5 => Modexp::of(data, self.modexp_price()).is_none_or(|modexp| modexp.price > LONG_MODEXP),
                8 => data.len() > LONG_PAIRING * bn254::PAIR,
                _ => true,
            }
    }

    fn own(&self, address: &Address, data: &[u8], limit: u64) -> Outcome {
        let cheaper = self.spec.is_enabled_in(SpecId::ISTANBUL);
        let (add, multiply, base, pair) =
            if cheaper { (150, 6000, 45_000, 34_000) } else { (500, 40_000, 100_000, 80_000) };
        let words = data.len().div_ceil(32) as u64;
        let price = match number(address) {
            2 => 60 + 12 * words,
            3 => 600 + 120 * words,
            4 => 15 + 3 * words,
            5 => return Modexp::of(data, self.modexp_price())?.run(limit),
            6 => add,
            7 => multiply,
            8 => base + pair * (data.len() / bn254::PAIR) as u64,
            _ => unreachable!("Python answers for the others"),
        };
        if price > limit {
            return None;
        }
        let output = match number(address) {
            2 => Sha256::digest(data).to_vec(),
            3 => [&[0; 12][..], &Ripemd160::digest(data)].concat(),
            6 => point(data, 2 * bn254::POINT, bn254::add)?,
            7 => point(data, 3 * bn254::POINT / 2, bn254::multiply)?,
            8 => pairing(data)?,
            _ => data.to_vec(),
        };
        Some((price, output))
    }
}

/// The number of a precompile at a low address, 0 for another one.
fn number(address: &Address) -> u8 {
    if address[..19].iter().all(|byte| *byte == 0) { address[19] } else { 0 }
}

impl PrecompileProvider<Ctx> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _: SpecId) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn run(&mut self, context: &mut Ctx, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        if !self.addresses.contains(&inputs.bytecode_address) {
            return Ok(None);
        }
        let outcome = match self.answer.take() {
            Some(answer) => answer,
            None => {
                let outcome = self.own(&inputs.bytecode_address, &inputs.input.as_bytes(context), inputs.gas_limit);
                context.chain.count_precompile(outcome.as_ref().map_or(inputs.gas_limit, |(used, _)| *used));
                outcome
            }
        };
        let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
        if let Some((used, output)) = outcome {
            if gas.record_regular_cost(used) {
                return Ok(Some(InterpreterResult::new(InstructionResult::Return, output.into(), gas)));
            }
        }
        gas.spend_all();
        Ok(Some(InterpreterResult::new(InstructionResult::PrecompileError, Bytes::new(), gas)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}

/// A point, of an input that is cut or extended with zeros.
fn point(input: &[u8], size: usize, work: fn(&mut [u8]) -> Result<(), bn254::Refusal>) -> Option<Vec<u8>> {
    let mut data = vec![0; size];
    let length = size.min(input.len());
    data[..length].copy_from_slice(&input[..length]);
    work(&mut data).ok()?;
    data.truncate(bn254::POINT);
    Some(data)
}

/// A word with 1 if the product of the pairings is one; None if the input is invalid.
fn pairing(input: &[u8]) -> Option<Vec<u8>> {
    if input.len() % bn254::PAIR != 0 {
        return None;
    }
    let mut word = vec![0; 32];
    let mut data = input.to_vec();
    if !data.is_empty() {
        bn254::pairing(&mut data).ok()?;
    }
    word[31] = data.first().map_or(1, |is_one| *is_one);
    Some(word)
}
