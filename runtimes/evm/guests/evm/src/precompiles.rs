//! The precompiles that are quicker here than a host call, as `python -m bench.precompiles` measures them
//! (docs/engines.md has the table).

use crate::bn254;
use crate::frame::Frame;
use crate::host::Answer;
use crate::modexp::{Modexp, ModexpPrice};
use crate::points::{pairing, point};
use crate::tables::GasTable;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

/// A longer input of SHA-256 is hashed by the host.
const LONG: usize = 2048;
const BLAKE2F_INPUT: usize = 213;

/// What came of a call: the gas used and the output, or nothing where it failed.
pub type Outcome = Option<(u64, Vec<u8>)>;

/// What costs more than this is announced to `pause` before it begins.
const LONG_WORK: u64 = 100_000;

/// Run the precompile at a low address; None where it is the host's.
///
/// `pause` is called now and then during long work.
pub fn run<P>(
    frame: &mut Frame,
    number: u64,
    limit: u64,
    prices: &GasTable,
    modexp_price: ModexpPrice,
    mut pause: P,
) -> Answer<Option<Outcome>>
where
    P: FnMut(&mut Frame) -> Answer<()>,
{
    let input = frame.region(frame.ask.input);
    let words = (input.len() as u64).div_ceil(32);
    let price = match number {
        5 => match Modexp::of(input, modexp_price) {
            Some(modexp) => modexp.price,
            None => return Ok(None),
        },
        8 => prices.bn254_pairing_base + prices.bn254_pairing_pair * (input.len() / bn254::PAIR) as u64,
        _ => 0,
    };
    if price > LONG_WORK && price <= limit {
        pause(frame)?;
    }
    let input = frame.region(frame.ask.input);
    let priced = |price: u64, work: &dyn Fn() -> Vec<u8>| Some((price <= limit).then(|| (price, work())));
    Ok(match number {
        2 if input.len() <= LONG => priced(prices.sha256_base + prices.sha256_word * words, &|| Sha256::digest(input).to_vec()),
        3 => priced(prices.ripemd160_base + prices.ripemd160_word * words, &|| {
            [&[0; 12][..], &Ripemd160::digest(input)].concat()
        }),
        4 => priced(prices.identity_base + prices.identity_word * words, &|| input.to_vec()),
        5 => Modexp::of(input, modexp_price).map(|modexp| modexp.run(limit)),
        6 if limit >= prices.bn254_add => {
            Some(point(input, 2 * bn254::POINT, bn254::add).map(|sum| (prices.bn254_add, sum)))
        }
        7 if limit >= prices.bn254_mul => {
            let product = point(input, 3 * bn254::POINT / 2, bn254::multiply);
            Some(product.map(|product| (prices.bn254_mul, product)))
        }
        8 if limit >= price => Some(pairing(input).map(|is_one| (price, is_one))),
        6..=8 => Some(None),
        9 => Some(blake2f(frame, limit, pause)?),
        _ => None,
    })
}

// --- the compression function of BLAKE2b (EIP-152) ------------------------------------------------------------------

const INITIAL: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];
const ORDERS: [[u8; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
/// Rounds before the next pause.
const ROUNDS: u32 = 200_000;

fn blake2f<P>(frame: &mut Frame, limit: u64, mut pause: P) -> Answer<Outcome>
where
    P: FnMut(&mut Frame) -> Answer<()>,
{
    let Ok(input) = <[u8; BLAKE2F_INPUT]>::try_from(frame.region(frame.ask.input)) else { return Ok(None) };
    let rounds = u32::from_be_bytes([input[0], input[1], input[2], input[3]]);
    let last = input[BLAKE2F_INPUT - 1];
    if rounds as u64 > limit || last > 1 {
        return Ok(None);
    }
    let number = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| input[at + byte]));
    let before: [u64; 8] = core::array::from_fn(|place| number(4 + 8 * place));
    let message: [u64; 16] = core::array::from_fn(|place| number(68 + 8 * place));
    let mut state = [0; 16];
    state[..8].copy_from_slice(&before);
    state[8..].copy_from_slice(&INITIAL);
    state[12] ^= number(196);
    state[13] ^= number(204);
    if last == 1 {
        state[14] = !state[14];
    }
    let mut done = 0;
    while done < rounds {
        let until = rounds.min(done.saturating_add(ROUNDS));
        for round in done..until {
            mix_all(&mut state, &message, &ORDERS[(round % 10) as usize]);
        }
        done = until;
        if done < rounds {
            pause(frame)?;
        }
    }
    let mixed = before.iter().enumerate().map(|(place, word)| word ^ state[place] ^ state[place + 8]);
    Ok(Some((rounds as u64, mixed.flat_map(u64::to_le_bytes).collect())))
}

#[rustfmt::skip] // four columns, four diagonals
fn mix_all(state: &mut [u64; 16], message: &[u64; 16], order: &[u8; 16]) {
    let word = |place: usize| message[order[place] as usize];
    mix(state, 0, 4,  8, 12, word(0), word(1));
    mix(state, 1, 5,  9, 13, word(2), word(3));
    mix(state, 2, 6, 10, 14, word(4), word(5));
    mix(state, 3, 7, 11, 15, word(6), word(7));
    mix(state, 0, 5, 10, 15, word(8), word(9));
    mix(state, 1, 6, 11, 12, word(10), word(11));
    mix(state, 2, 7,  8, 13, word(12), word(13));
    mix(state, 3, 4,  9, 14, word(14), word(15));
}

#[inline(always)]
fn mix(v: &mut [u64; 16], a: usize, b: usize, c: usize, d: usize, x: u64, y: u64) {
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(x);
    v[d] = (v[d] ^ v[a]).rotate_right(32);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(24);
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(y);
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(63);
}
