//! The rules for programs: those of pallet-revive (`limits.rs`).

use polkavm::ProgramBlob;
use polkavm::program::{Instruction, InstructionSetKind};
use polkavm_common::program::EstimateInterpreterMemoryUsageArgs;

use crate::host::FUNCTIONS;

const MAX_BLOCK: u32 = 1_000;
const MAX_CODE: usize = 1 << 20;
const MAX_MEMORY: u32 = (1 << 20) + (512 << 10);
pub const CACHE: u32 = 1 << 20;
pub const PAGE: u32 = 4096;

/// A valid program: the numbers of the functions that it imports, and its memory in bytes.
pub struct Checked {
    pub functions: Vec<u8>,
    pub memory: u32,
}

/// Check a program, or return the rule that it breaks.
pub fn check(blob: &ProgramBlob, size: usize) -> Result<Checked, String> {
    if size > MAX_CODE {
        return Err(format!("it has {size} bytes, more than {MAX_CODE}"));
    }
    if blob.isa() != InstructionSetKind::ReviveV1 {
        return Err(format!("its instruction set is {}, not revive_v1", blob.isa().name()));
    }
    let functions = imports(blob)?;
    for name in ["deploy", "call"] {
        if !blob.exports().any(|export| export.symbol().as_bytes() == name.as_bytes()) {
            return Err(format!("it does not export {name}"));
        }
    }
    let (mut largest, mut block, mut blocks, mut instructions) = (0, 0, 0, 0);
    for found in blob.instructions() {
        block += 1;
        instructions += 1;
        match found.kind {
            Instruction::invalid => return Err(format!("it has an invalid instruction at {}", found.offset)),
            Instruction::ecalli(number) if number as usize >= functions.len() => {
                return Err(format!(
                    "it calls import {number} at {}, but has {} imports",
                    found.offset,
                    functions.len()
                ));
            }
            _ => {}
        }
        if found.kind.opcode().starts_new_basic_block() {
            largest = largest.max(block);
            (block, blocks) = (0, blocks + 1);
        }
    }
    largest = largest.max(block);
    if largest > MAX_BLOCK {
        return Err(format!("a basic block has {largest} instructions, more than {MAX_BLOCK}"));
    }
    let usage = blob.estimate_interpreter_memory_usage(EstimateInterpreterMemoryUsageArgs::BoundedCache {
        instruction_count: instructions,
        basic_block_count: blocks,
        max_cache_size_bytes: CACHE,
        max_block_size: largest,
        page_size: PAGE,
    })?;
    let memory = usage.baseline_ram_consumption;
    if memory > MAX_MEMORY {
        return Err(format!("its memory has {memory} bytes, more than {MAX_MEMORY}"));
    }
    Ok(Checked { functions, memory })
}

fn imports(blob: &ProgramBlob) -> Result<Vec<u8>, String> {
    let mut functions = Vec::new();
    for found in blob.imports().iter() {
        let Some(name) = found else { return Err("an import has no valid name".into()) };
        match FUNCTIONS.iter().position(|row| row.0.as_bytes() == name.as_bytes()) {
            Some(number) if functions.len() < FUNCTIONS.len() => functions.push(number as u8),
            Some(_) => return Err(format!("it has more than {} imports", FUNCTIONS.len())),
            None => return Err(format!("it imports {name}, which is not a host function")),
        }
    }
    Ok(functions)
}
