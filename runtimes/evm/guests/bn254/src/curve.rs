//! The curve alt_bn128, as EIP-196 and EIP-197 say: the numbers are checked here, lengths by who calls. Every function
//! writes its result over the input: a point (64 bytes), or a first byte of 1 or 0 for a pairing. The EVM's fast engine
//! (`guests/frames`) has it too.

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::pairing::{MillerLoopOutput, Pairing};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInt, BigInteger, Field, One, PrimeField};

const COORDINATE: usize = 32;
pub const POINT: usize = 2 * COORDINATE;
pub const PAIR: usize = 3 * POINT;
/// Pairs prepared at once: each takes about 20 KB, whatever the length of the input.
const BATCH: usize = 32;

/// What an input may be wrong in; the numbers are known to the host.
#[derive(Clone, Copy)]
pub enum Refusal {
    Coordinate = 1,
    Curve = 2,
    Group = 3,
}

/// The sum of two points: 128 bytes.
pub fn add(data: &mut [u8]) -> Result<(), Refusal> {
    let sum = g1(&data[..POINT])?.into_group() + g1(&data[POINT..])?;
    write(data, sum.into_affine());
    Ok(())
}

/// A point times any number of 256 bits: 96 bytes.
pub fn multiply(data: &mut [u8]) -> Result<(), Refusal> {
    let product = g1(&data[..POINT])? * Fr::from_be_bytes_mod_order(&data[POINT..]);
    write(data, product.into_affine());
    Ok(())
}

/// Whether the product of the pairings is one: any number of 192-byte pairs, at least one.
pub fn pairing(data: &mut [u8]) -> Result<(), Refusal> {
    let mut product = <Bn254 as Pairing>::TargetField::ONE;
    for batch in data.chunks(BATCH * PAIR) {
        let pairs = || batch.chunks_exact(PAIR);
        let first = pairs().map(|pair| g1(&pair[..POINT])).collect::<Result<Vec<_>, _>>()?;
        let second = pairs().map(|pair| g2(&pair[POINT..])).collect::<Result<Vec<_>, _>>()?;
        product *= Bn254::multi_miller_loop(first, second).0;
    }
    let result = Bn254::final_exponentiation(MillerLoopOutput(product));
    data[0] = result.is_some_and(|pairing| pairing.0.is_one()).into();
    Ok(())
}

fn field(data: &[u8]) -> Result<Fq, Refusal> {
    let limb = |place: usize| u64::from_be_bytes(data[place..place + 8].try_into().expect("eight bytes"));
    Fq::from_bigint(BigInt([limb(24), limb(16), limb(8), limb(0)])).ok_or(Refusal::Coordinate)
}

fn g1(data: &[u8]) -> Result<G1Affine, Refusal> {
    let (x, y) = (field(&data[..COORDINATE])?, field(&data[COORDINATE..])?);
    if x == Fq::ZERO && y == Fq::ZERO {
        return Ok(G1Affine::identity());
    }
    let point = G1Affine::new_unchecked(x, y);
    if point.is_on_curve() { Ok(point) } else { Err(Refusal::Curve) }
}

/// The imaginary part of a coordinate comes first.
fn g2(data: &[u8]) -> Result<G2Affine, Refusal> {
    let part = |place: usize| field(&data[place * COORDINATE..(place + 1) * COORDINATE]);
    let (x_imaginary, x_real, y_imaginary, y_real) = (part(0)?, part(1)?, part(2)?, part(3)?);
    let (x, y) = (Fq2::new(x_real, x_imaginary), Fq2::new(y_real, y_imaginary));
    if x == Fq2::ZERO && y == Fq2::ZERO {
        return Ok(G2Affine::identity());
    }
    let point = G2Affine::new_unchecked(x, y);
    if !point.is_on_curve() {
        return Err(Refusal::Curve);
    }
    if point.is_in_correct_subgroup_assuming_on_curve() { Ok(point) } else { Err(Refusal::Group) }
}

fn write(data: &mut [u8], point: G1Affine) {
    let (x, y) = point.xy().unwrap_or((Fq::ZERO, Fq::ZERO));
    data[..COORDINATE].copy_from_slice(&x.into_bigint().to_bytes_be());
    data[COORDINATE..POINT].copy_from_slice(&y.into_bigint().to_bytes_be());
}
