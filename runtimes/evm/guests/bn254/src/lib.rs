//! The curve alt_bn128 (`curve.rs`) for the host (`precompiles/curves.py`), which checks and pads lengths. Every function
//! answers a status, and writes its result over the input. An instance serves one call at a time.

mod curve;

use curve::{POINT, Refusal};

/// Memory for `length` bytes of input.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(length: usize) -> *mut u8 {
    Box::leak(vec![0; length].into_boxed_slice()).as_mut_ptr()
}

/// The sum of two points: 128 bytes.
#[unsafe(no_mangle)]
pub extern "C" fn add(input: *mut u8) -> i32 {
    answer(input, 2 * POINT, curve::add)
}

/// A point times any number of 256 bits: 96 bytes.
#[unsafe(no_mangle)]
pub extern "C" fn multiply(input: *mut u8) -> i32 {
    answer(input, POINT + POINT / 2, curve::multiply)
}

/// Whether the product of the pairings is one: any number of 192-byte pairs, at least one.
#[unsafe(no_mangle)]
pub extern "C" fn pairing(input: *mut u8, length: usize) -> i32 {
    answer(input, length, curve::pairing)
}

fn answer(input: *mut u8, length: usize, work: impl FnOnce(&mut [u8]) -> Result<(), Refusal>) -> i32 {
    // The host hands back what `reserve` gave it, with the length that it reserved.
    let data = unsafe { core::slice::from_raw_parts_mut(input, length) };
    work(data).map_or_else(|refusal| refusal as i32, |()| 0)
}
