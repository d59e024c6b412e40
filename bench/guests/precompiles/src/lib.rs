//! Ethereum's precompiles in WASM, those of `revm-precompile` without native libraries.
//!
//! Python writes an input into the room and calls `enter` with a precompile's address and how often it shall run.

use revm_precompile::{PrecompileSpecId, Precompiles, u64_to_address};

const ROOM: usize = 1 << 16;
static mut SPACE: [u8; ROOM] = [0; ROOM];

/// Where the room is (0), or a run: the address in the lower half, how often above. The input's length, four bytes
/// little-endian, comes before it; the output is written over both. Answers with its length.
#[unsafe(no_mangle)]
pub extern "C" fn enter(command: u32) -> u32 {
    // SAFETY: one thread
    let space = unsafe { &mut *(&raw mut SPACE) };
    let (address, rounds) = (command & 0xffff, command >> 16);
    if address == 0 {
        return space.as_ptr() as u32;
    }
    let all = Precompiles::new(PrecompileSpecId::OSAKA);
    let Some(precompile) = all.get(&u64_to_address(address as u64)) else { return u32::MAX };
    let length = u32::from_le_bytes([space[0], space[1], space[2], space[3]]) as usize;
    let input = space[4..4 + length].to_vec();
    let mut output = Vec::new();
    for _ in 0..rounds {
        match precompile.execute(core::hint::black_box(&input), u64::MAX >> 1, 0) {
            Ok(done) if done.is_success() => output = done.bytes.to_vec(),
            _ => return u32::MAX,
        }
    }
    space[..output.len()].copy_from_slice(&output);
    output.len() as u32
}
