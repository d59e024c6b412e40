//! 256-bit words as the interpreter needs them beside revm's: moves between memory's byte order and limbs, 128 bits at
//! a time, and the few operations whose result EVM defines otherwise than a number library does.

use core::arch::wasm32::*;
use revm_primitives::U256;

pub const ZERO: U256 = U256::ZERO;
pub const ONE: U256 = U256::from_limbs([1, 0, 0, 0]);

#[inline(always)]
fn reversed(bytes: v128) -> v128 {
    i8x16_shuffle::<15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0>(bytes, bytes)
}

/// Copy a word from one stack slot to another.
///
/// # Safety
/// Both point to 32 bytes.
#[inline(always)]
pub unsafe fn copy(from: usize, to: usize) {
    unsafe {
        let (low, high) = (v128_load(from as *const v128), v128_load((from + 16) as *const v128));
        v128_store(to as *mut v128, low);
        v128_store((to + 16) as *mut v128, high);
    }
}

/// Exchange the words of two stack slots.
///
/// # Safety
/// Both point to 32 bytes.
#[inline(always)]
pub unsafe fn swap(one: usize, other: usize) {
    unsafe {
        let (a, b) = (v128_load(one as *const v128), v128_load((one + 16) as *const v128));
        copy(other, one);
        v128_store(other as *mut v128, a);
        v128_store((other + 16) as *mut v128, b);
    }
}

/// Copy 32 bytes the other way round: between big-endian memory and a stack slot.
///
/// # Safety
/// Both point to 32 bytes.
#[inline(always)]
pub unsafe fn copy_reversed(from: usize, to: usize) {
    unsafe {
        let (low, high) = (v128_load(from as *const v128), v128_load((from + 16) as *const v128));
        v128_store(to as *mut v128, reversed(high));
        v128_store((to + 16) as *mut v128, reversed(low));
    }
}

/// For each number of bytes from 0 to 32, which of a word's bytes belong to a push of so many.
static MASKS: [[u8; 32]; 33] = masks();

const fn masks() -> [[u8; 32]; 33] {
    let mut masks = [[0; 32]; 33];
    let mut size = 0;
    while size <= 32 {
        let mut place = 0;
        while place < size {
            masks[size][place] = 255;
            place += 1;
        }
        size += 1;
    }
    masks
}

/// Write the big-endian number of `size` bytes that ends at `end` into a stack slot; 32 bytes before `end` are readable.
///
/// # Safety
/// See above; `to` points to 32 bytes.
#[inline(always)]
pub unsafe fn push_bytes(end: usize, size: usize, to: usize) {
    unsafe {
        let (high, low) = (v128_load((end - 32) as *const v128), v128_load((end - 16) as *const v128));
        let mask = MASKS.as_ptr() as usize + 32 * size;
        v128_store(to as *mut v128, v128_and(reversed(low), v128_load(mask as *const v128)));
        v128_store((to + 16) as *mut v128, v128_and(reversed(high), v128_load((mask + 16) as *const v128)));
    }
}

/// The word as a number of at most 64 bits.
#[inline(always)]
pub fn small(word: &U256) -> Option<u64> {
    let limbs = word.as_limbs();
    if limbs[1] | limbs[2] | limbs[3] == 0 { Some(limbs[0]) } else { None }
}

#[inline(always)]
pub fn add(a: &U256, b: &U256) -> U256 {
    let (a, b) = (a.as_limbs(), b.as_limbs());
    let (low, carry) = wide(a[0], a[1]).overflowing_add(wide(b[0], b[1]));
    let high = wide(a[2], a[3]).wrapping_add(wide(b[2], b[3])).wrapping_add(carry as u128);
    joined(low, high)
}

#[inline(always)]
pub fn sub(a: &U256, b: &U256) -> U256 {
    let (a, b) = (a.as_limbs(), b.as_limbs());
    let (low, borrow) = wide(a[0], a[1]).overflowing_sub(wide(b[0], b[1]));
    let high = wide(a[2], a[3]).wrapping_sub(wide(b[2], b[3])).wrapping_sub(borrow as u128);
    joined(low, high)
}

#[inline(always)]
pub fn less(a: &U256, b: &U256) -> bool {
    let (a, b) = (a.as_limbs(), b.as_limbs());
    let (a_high, b_high) = (wide(a[2], a[3]), wide(b[2], b[3]));
    a_high < b_high || (a_high == b_high && wide(a[0], a[1]) < wide(b[0], b[1]))
}

#[inline(always)]
pub fn less_signed(a: &U256, b: &U256) -> bool {
    let (a, b) = (a.as_limbs(), b.as_limbs());
    let (a_high, b_high) = (wide(a[2], a[3]) as i128, wide(b[2], b[3]) as i128);
    a_high < b_high || (a_high == b_high && wide(a[0], a[1]) < wide(b[0], b[1]))
}

#[inline(always)]
pub fn equal(a: &U256, b: &U256) -> bool {
    let (a, b) = (a.as_limbs(), b.as_limbs());
    (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) == 0
}

#[inline(always)]
fn wide(low: u64, high: u64) -> u128 {
    low as u128 | (high as u128) << 64
}

#[inline(always)]
fn joined(low: u128, high: u128) -> U256 {
    U256::from_limbs([low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64])
}

#[inline(always)]
pub fn truth(value: bool) -> U256 {
    U256::from_limbs([value as u64, 0, 0, 0])
}

#[inline(always)]
pub fn is_zero(word: &U256) -> bool {
    let limbs = word.as_limbs();
    limbs[0] | limbs[1] | limbs[2] | limbs[3] == 0
}

pub fn shift_left(value: &U256, by: &U256) -> U256 {
    match small(by) {
        Some(by) if by < 256 => *value << by as usize,
        _ => ZERO,
    }
}

pub fn shift_right(value: &U256, by: &U256) -> U256 {
    match small(by) {
        Some(by) if by < 256 => *value >> by as usize,
        _ => ZERO,
    }
}

pub fn shift_right_signed(value: &U256, by: &U256) -> U256 {
    match small(by) {
        Some(by) if by < 256 => value.arithmetic_shr(by as usize),
        _ if value.bit(255) => U256::MAX,
        _ => ZERO,
    }
}

/// The byte at a place counted from the highest one; 0 behind the lowest.
pub fn byte(word: &U256, place: &U256) -> U256 {
    match small(place) {
        Some(place) if place < 32 => U256::from(word.byte(31 - place as usize)),
        _ => ZERO,
    }
}

/// Extend the sign of the lowest `size + 1` bytes.
pub fn sign_extend(word: &U256, size: &U256) -> U256 {
    match small(size) {
        Some(size) if size < 31 => {
            let bit = 8 * size as usize + 7;
            let mask = (ONE << (bit + 1)) - ONE;
            if word.bit(bit) { *word | !mask } else { *word & mask }
        }
        _ => *word,
    }
}

/// Whether a part of something of this length lies wholly within.
pub fn within(offset: &U256, size: &U256, length: usize) -> bool {
    match (small(offset), small(size)) {
        (Some(offset), Some(size)) => offset.checked_add(size).is_some_and(|end| end <= length as u64),
        _ => false,
    }
}

/// The word of calldata from an offset on, with zeros behind their end.
#[inline(always)]
pub fn calldata_word(calldata: &[u8], offset: &U256) -> U256 {
    let Some(offset) = small(offset) else { return ZERO };
    if offset >= calldata.len() as u64 {
        return ZERO;
    }
    let rest = &calldata[offset as usize..];
    if rest.len() >= 32 {
        let mut word = ZERO;
        // SAFETY: 32 bytes on both sides
        unsafe { copy_reversed(rest.as_ptr() as usize, &raw mut word as usize) };
        return word;
    }
    let mut bytes = [0; 32];
    bytes[..rest.len()].copy_from_slice(rest);
    U256::from_be_bytes(bytes)
}
